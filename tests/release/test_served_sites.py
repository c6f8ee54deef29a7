"""Sites as visitors see them: static exports, a second site below a path, headers, redirects, and what is kept.

Deployed by the command line to the emulated AWS, asked for at its edge, which runs the published function.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from tests.proofs.real_stack import clients
from tests.release.manifests import PROJECT

WEB = """
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: web}
spec: {name: shop-web, spa: {dir: web%s}}
"""
ADMIN = """
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: admin}
spec: {name: shop-admin, spa: {dir: admin%s}}
"""
CDN = """
---
apiVersion: orchestrator/v1
kind: Cdn
metadata: {name: web}
spec: {origin: bucket.web%s}
"""
EXPORT = {
    "index.html": "home",
    "about.html": "about us",
    "blog/index.html": "blog",
    "404.html": "lost?",
    "LICENSE": "MIT",
    ".well-known/apple-app-site-association": "{}",
    "menu.pdf": "%PDF",
    "feed.rss": "<rss/>",
}


class Shop:
    """A checkout with sites, deployed from the command line."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder, self.emulator, self.clients = folder, emulator, clients()

    def write(self, web: str = "", admin: str | None = None, cdn: str = "") -> None:
        text = PROJECT + WEB % web + (ADMIN % admin if admin is not None else "") + CDN % cdn
        (self.folder / "shop.yaml").write_text(text)

    def build(self, name: str, files: Mapping[str, str]) -> None:
        for path in sorted((self.folder / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for key, text in files.items():
            path = self.folder / name / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, *arguments: str) -> int:
        return main([*arguments, "-f", str(self.folder), "-e", "prod"])

    def deploy(self) -> int:
        return self.run("deploy", "--auto-approve")

    def get(self, path: str) -> tuple[int, str, Message]:
        """What a visitor gets."""
        listed = self.clients.call("cloudfront", "list_distributions", {})
        [distribution] = listed["DistributionList"]["Items"]
        connection = HTTPConnection("127.0.0.1", urlsplit(self.emulator.url).port or 0, timeout=10)
        connection.request("GET", path, headers={"Host": distribution["DomainName"]})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body, answer.headers


@pytest.fixture
def shop(tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return Shop(tmp_path, emulator)


def test_a_static_export_is_served_as_its_framework_means_it(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Clean URLs, folders, the site's own page with status 404; the pages of the next release, and the way back."""
    shop.write(", routing: static")
    shop.build("web", EXPORT)
    assert shop.deploy() == 0
    assert "3 of 3 probes passed" in capsys.readouterr().out

    expected = {
        "/": (200, "home"),
        "/about": (200, "about us"),
        "/blog/": (200, "blog"),
        "/nope": (404, "lost?"),
        "/blog/nope/": (404, "lost?"),
        "/LICENSE": (200, "MIT"),
        "/.well-known/apple-app-site-association": (200, "{}"),
    }
    assert {path: shop.get(path)[:2] for path in expected} == expected
    assert shop.get("/blog")[0] == 301
    assert shop.get("/blog")[2]["Location"] == "/blog/"
    assert shop.get("/nope.png")[0] == 404
    assert shop.get("/LICENSE")[2]["Content-Type"] == "text/plain; charset=utf-8"
    assert shop.get("/.well-known/apple-app-site-association")[2]["Content-Type"].startswith("application/json")
    assert "X-Amz-Meta-Status" not in shop.get("/nope")[2]
    assert shop.run("plan") == 0
    assert "No changes" in capsys.readouterr().out

    shop.build("web", {key: text for key, text in EXPORT.items() if key != "about.html"} | {"team.html": "team"})
    assert shop.deploy() == 0
    assert [shop.get(path)[0] for path in ("/about", "/team")] == [404, 200]
    assert shop.run("rollback", "--auto-approve") == 0
    assert [shop.get(path)[0] for path in ("/about", "/team")] == [200, 404]
    assert shop.get("/nope")[:2] == (404, "lost?")


def test_a_second_site_is_served_below_its_path(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Its front page, its deep links and its files; asked for by the deploy, which fails if it is not there."""
    paths = ', paths: [{pattern: "/admin/*", origin: bucket.admin}]'
    shop.write(admin=", prefix: /admin/", cdn=paths)
    shop.build("web", {"index.html": "shop"})
    shop.build("admin", {"index.html": "admin", "assets/app-1a2b3c4d.js": "app"})
    assert shop.deploy() == 0
    assert "3 of 3 probes passed" in capsys.readouterr().out

    expected = {
        "/": (200, "shop"),
        "/users/5": (200, "shop"),
        "/admin/": (200, "admin"),
        "/admin/users/5": (200, "admin"),
        "/admin/index.html": (200, "admin"),
        "/admin/assets/app-1a2b3c4d.js": (200, "app"),
    }
    assert {path: shop.get(path)[:2] for path in expected} == expected
    assert (shop.get("/admin")[0], shop.get("/admin")[2]["Location"]) == (301, "/admin/")
    shop.build("admin", {"index.html": "admin 2", "assets/app-5e6f7a8b.js": "app 2"})
    assert shop.deploy() == 0
    assert shop.get("/admin/")[1] == "admin 2", "the edge had the old page"
    assert shop.get("/admin/assets/app-1a2b3c4d.js")[1] == "app", "a tab may still be open"
    assert shop.run("rollback", "--auto-approve", "--only", "admin") == 0
    assert shop.get("/admin/")[1] == "admin"


def test_each_site_has_its_own_way_of_routing(shop: Shop) -> None:
    """A static site below a path has its own page for unknown paths; the app beside it answers all of its own."""
    shop.write(admin=", prefix: docs, routing: static", cdn=', paths: [{pattern: "/docs/*", origin: bucket.admin}]')
    shop.build("web", {"index.html": "shop", "404.html": "never"})
    shop.build("admin", {"index.html": "docs", "guide.html": "guide", "404.html": "no such page"})
    assert shop.deploy() == 0

    expected = {
        "/nope": (200, "shop"),
        "/404.html": (200, "never"),
        "/docs/": (200, "docs"),
        "/docs/guide": (200, "guide"),
        "/docs/nope": (404, "no such page"),
        "/docs/nope.html": (404, "no such page"),
    }
    assert {path: shop.get(path)[:2] for path in expected} == expected


def test_a_second_site_without_its_path_is_refused(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """CloudFront asks the bucket for the whole path: every page would be missing."""
    shop.write(admin="", cdn=', paths: [{pattern: "/admin/*", origin: bucket.admin}]')
    shop.build("web", {"index.html": "shop"})
    shop.build("admin", {"index.html": "admin"})

    assert shop.deploy() == 1
    error = capsys.readouterr().err
    assert "the site of bucket.admin is at the root of its bucket, so `/admin/*` matches none of its pages" in error
    assert "set `spa: {prefix: admin/}` in bucket.admin" in error


def test_headers_and_redirects_are_the_manifests(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """By pattern: type, cache and anything else; they come back with their release."""
    rules = (
        '{pattern: "*.pdf", cacheControl: "max-age=60", set: {X-Robots-Tag: noindex, Content-Disposition: attachment}}'
    )
    redirects = '[{from: "/shop/*", to: "/about?from=*", status: 302}]'
    shop.write(f", headers: [{rules}], redirects: {redirects}")
    shop.build("web", EXPORT)
    assert shop.deploy() == 0

    _, body, headers = shop.get("/menu.pdf")
    assert (body, headers["Content-Type"], headers["Cache-Control"]) == ("%PDF", "application/pdf", "max-age=60")
    assert (headers["X-Robots-Tag"], headers["Content-Disposition"]) == ("noindex", "attachment")
    assert shop.get("/feed.rss")[2]["Content-Type"] == "application/rss+xml; charset=utf-8"
    assert shop.get("/")[2]["X-Robots-Tag"] is None
    status, _, headers = shop.get("/shop/a?b=1")
    assert (status, headers["Location"]) == (302, "/about?from=a&b=1")
    assert shop.run("plan") == 0
    assert "No changes" in capsys.readouterr().out

    shop.write(f", headers: [{rules.replace('noindex', 'all')}]")
    assert shop.deploy() == 0
    assert shop.get("/menu.pdf")[2]["X-Robots-Tag"] == "all"
    assert shop.get("/shop/a")[0] == 200
    assert shop.run("rollback", "--auto-approve") == 0
    assert shop.get("/menu.pdf")[2]["X-Robots-Tag"] == "noindex"
    assert shop.get("/shop/a")[0] == 302


def test_names_of_every_kind_are_invalidated(shop: Shop) -> None:
    """Encoded as CloudFront's guide says ("What you need to know when invalidating files"), so that the edge forgets.

    Others were told that a plain ``~`` is refused: https://github.com/aws/aws-sdk/issues/525
    """
    names = [
        "~t.txt",
        "(group).txt",
        "@x.txt",
        "it's.txt",
        "a+b.txt",
        "a b.txt",
        "caf\u00e9.txt",
        "100%.txt",
        "a&b,c;d=e!$.txt",
    ]
    shop.write()
    shop.build("web", {"index.html": "1", **dict.fromkeys(names, "1")})
    assert shop.deploy() == 0
    paths = [f"/{quote(name)}" for name in names]
    paths += [f"/{quote(name, safe='()@&+,;=!$~')}" for name in names]
    assert {shop.get(path)[1] for path in paths} == {"1"}
    shop.build("web", {"index.html": "2", **dict.fromkeys(names, "2")})
    assert shop.deploy() == 0
    ends = time.monotonic() + 30  # an invalidation completes some time after the deploy, as CloudFront's do
    while (served := {path: shop.get(path)[1] for path in paths}) != dict.fromkeys(paths, "2"):
        assert time.monotonic() < ends, served
        time.sleep(0.2)


def test_a_type_that_is_not_known_is_told(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write()
    shop.build("web", {"index.html": "1", "data.unheard-of": "1"})
    assert shop.deploy() == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "the media type of 1 file is unknown" in shown
    assert "data.unheard-of. Set the type with `spa.headers`" in shown


def test_no_browser_is_forbidden_to_look_at_a_file_of_unknown_type(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """`nosniff` makes a browser trust the type (WHATWG Fetch, "nosniff"): it goes with known types only.

    Type and header of each file, of names with and without a type, and with one from the manifest.
    """
    names = {
        "index.html": "text/html; charset=utf-8",
        "app.js": "text/javascript; charset=utf-8",
        "model.onnx": "application/octet-stream",
        "disk.bin": "application/octet-stream",
        "data.unheard-of": None,
        "no-such-name-2": None,
        "geo.thing": "application/geo+json",
    }
    shop.write(", headers: [{pattern: '*.thing', contentType: application/geo+json}]")
    shop.build("web", dict.fromkeys(names, "1"))
    assert shop.deploy() == 0

    for name, content_type in names.items():
        status, _, headers = shop.get(f"/{name}")
        expected = (200, content_type or "application/octet-stream", "nosniff" if content_type else None)
        assert (status, headers["Content-Type"], headers["X-Content-Type-Options"]) == expected, name
        assert not [header for header in headers if header.lower().startswith("x-amz-meta")]
    capsys.readouterr()
    assert shop.run("plan") == 0
    assert "No changes" in capsys.readouterr().out

    shop.build("web", {"index.html": "1", "app.js": "2"})
    assert shop.deploy() == 0
    assert shop.get("/app.js")[2]["X-Content-Type-Options"] == "nosniff"
