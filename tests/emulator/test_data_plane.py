"""What a distribution of the real manifests answers viewers, on both backends: to a client and to a browser."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orchestrator.emulator import Emulator, Faults
from tests.emulator.account import Client, make_client, wait_until
from tests.proofs import real_stack

WEB, FILES = "joiabagur-web-prod", "joiabagur-files-prod"
SCRIPT = (
    """
document.title = 'ran';
const told = document.querySelector('#told');
fetch('/ml-models/current.json').then(r => r.json()).then(model =>
  fetch('/ml-models/none.json').then(missing =>
    told.textContent = location.pathname + ' model ' + model.version + ' missing ' + missing.status));
"""
    + "// a comment that makes it worth compressing\n" * 40
)
PAGE = '<!doctype html><p id="told">waiting</p><script type="module" src="/assets/app-abc123.js"></script>'
OBJECTS = (
    (WEB, "index.html", PAGE, "text/html; charset=utf-8", "public, max-age=600"),
    (WEB, "assets/app-abc123.js", SCRIPT, "text/javascript", "public, max-age=31536000, immutable"),
    (FILES, "ml-models/current.json", '{"version": 7}', "application/json", "no-cache"),
    (FILES, "sale-photos/private.json", "{}", "application/json", "no-cache"),
)


@dataclass
class Site:
    """A deployed distribution with a site behind it."""

    emulator: Emulator
    s3: Client
    cloudfront: Client
    id: str
    host: str

    def get(self, path: str, *, method: str = "GET", host: str = "", **headers: str) -> tuple[int, Message, bytes]:
        """One request of a viewer; header names with ``_`` for ``-``."""
        connection = HTTPConnection("127.0.0.1", urlsplit(self.emulator.url).port or 0, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers={"Host": host or self.host, **named})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    def put(
        self, key: str, body: str, bucket: str = WEB, kind: str = "text/html", control: str = "max-age=600"
    ) -> None:
        self.s3.put_object(Bucket=bucket, Key=key, Body=body.encode(), ContentType=kind, CacheControl=control)


@pytest.fixture(scope="module", params=real_stack.BACKENDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with real_stack.emulated_aws(request.param) as emulator:
        outcomes = real_stack.apply(real_stack.load_stack(tmp_path_factory.mktemp("site") / "manifests"))
        assert real_stack.list_failures(outcomes) == []
        s3, cloudfront = make_client(emulator, "s3"), make_client(emulator, "cloudfront", "us-east-1")
        found = cloudfront.list_distributions()["DistributionList"]["Items"][0]
        made = Site(emulator, s3, cloudfront, found["Id"], found["DomainName"])
        for bucket, key, body, kind, control in OBJECTS:
            made.put(key, body, bucket, kind, control)
        yield made
        s3.close()
        cloudfront.close()


@pytest.mark.parametrize(
    ("path", "status", "kind", "content"),
    [
        ("/", 200, "text/html; charset=utf-8", PAGE),
        ("/products/12", 200, "text/html; charset=utf-8", PAGE),
        ("/assets/app-abc123.js", 200, "text/javascript", SCRIPT),
        ("/ml-models/current.json", 200, "application/json", '{"version": 7}'),
        ("/assets/nope.js", (403, 404), "application/xml", None),
        ("/ml-models/none.json", (403, 404), "application/xml", None),
        ("/ml-models/none", (403, 404), "application/xml", None),
        ("/sale-photos/private.json", (403, 404), "application/xml", None),
        ("/ml-models/../sale-photos/private.json", (403, 404), "application/xml", None),
    ],
)
def test_a_path_is_what_it_says(site: Site, path: str, status: object, kind: str, content: str | None) -> None:
    """A deep link is the page, a missing file is missing, and of the files bucket only models are served."""
    counted = len(site.emulator.calls)
    told, headers, body = site.get(path)

    assert told == status if isinstance(status, int) else told in (403, 404)
    assert headers["Content-Type"] == kind
    assert content is None or body.decode() == content
    assert b"waiting" not in body or content == PAGE
    assert headers["Via"].endswith("(CloudFront)")
    assert len(site.emulator.calls) == counted


def test_a_page_is_secured_and_a_model_is_for_everybody(site: Site) -> None:
    """By the response headers policies of the behaviours."""
    _, page, _ = site.get("/")
    _, model, _ = site.get("/ml-models/current.json", Origin="https://elsewhere.example")

    for headers in (page, model):
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Strict-Transport-Security"].startswith("max-age=")
    assert "Access-Control-Allow-Origin" not in page
    assert model["Access-Control-Allow-Origin"] == "*"


def test_the_edge_keeps_what_it_has_until_it_is_told(site: Site) -> None:
    """A new file is not seen; an invalidation in progress changes nothing; a completed one shows it."""
    site.put("news.html", "old")
    assert [site.get("/news.html")[1]["X-Cache"].split()[0] for _ in range(2)] == ["Miss", "Hit"]
    site.put("news.html", "new")
    site.put("other.html", "other")
    site.get("/other.html")
    site.emulator.faults = Faults(settle_seconds={"cloudfront": 0.5})
    batch = {"CallerReference": "news", "Paths": {"Quantity": 1, "Items": ["/new*"]}}
    made = site.cloudfront.create_invalidation(DistributionId=site.id, InvalidationBatch=batch)["Invalidation"]
    assert site.get("/news.html")[2] == b"old"

    wanted = {"DistributionId": site.id, "Id": made["Id"]}
    wait_until(
        lambda: site.cloudfront.get_invalidation(**wanted)["Invalidation"]["Status"], lambda it: it == "Completed"
    )
    site.emulator.faults = Faults()

    assert site.get("/news.html")[2] == b"new"
    assert site.get("/other.html")[1]["X-Cache"] == "Hit from cloudfront"


def test_a_viewer_gets_no_more_than_it_needs(site: Site) -> None:
    """Nothing it has, no body for HEAD, a part when it asks for one, compressed when it may be."""
    path = "/assets/app-abc123.js"
    _, headers, whole = site.get(path)

    assert site.get(path, If_None_Match=headers["ETag"])[::2] == (304, b"")
    status, head, body = site.get(path, method="HEAD")
    assert (status, int(head["Content-Length"]), body) == (200, len(whole), b"")
    assert site.get(path, Range="bytes=1-4")[::2] == (206, whole[1:5])
    _, packed, small = site.get(path, Accept_Encoding="gzip, br")
    assert packed["Content-Encoding"] == "gzip"
    assert packed["ETag"] == f"W/{headers['ETag']}"
    assert gzip.decompress(small) == whole


@pytest.mark.parametrize("host", ["{domain}", "{domain}.localhost", "{id}.localhost"])
def test_a_distribution_has_names(site: Site, host: str) -> None:
    """Its domain and its id, for browsers with .localhost behind; another host is nobody's."""
    named = host.format(domain=site.host, id=site.id.lower())

    assert site.get("/", host=named)[0] == 200
    assert site.get("/", host=f"x{named}")[0] == 403


def test_plain_http_is_sent_on(site: Site) -> None:
    """Only where a proxy says that it was plain, or a browser could see nothing here."""
    status, headers, _ = site.get("/a", X_Forwarded_Proto="http")

    assert (status, headers["Location"]) == (301, f"https://{site.host}/a")
    assert site.get("/a", method="DELETE")[0] == 403


def test_a_bucket_that_denies_is_closed(site: Site) -> None:
    """An explicit Deny outweighs every Allow, and another distribution's Allow is none."""
    site.put("closed.html", "closed")
    policy = json.loads(site.s3.get_bucket_policy(Bucket=WEB)["Policy"])
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:Get*", "Resource": f"arn:aws:s3:::{WEB}/closed*"}
    foreign = json.loads(json.dumps(policy).replace(site.id, "E00000000000"))
    try:
        for other in ({**policy, "Statement": [*policy["Statement"], deny]}, foreign):
            site.s3.put_bucket_policy(Bucket=WEB, Policy=json.dumps(other))
            assert site.get("/closed.html")[0] == 403
    finally:
        site.s3.put_bucket_policy(Bucket=WEB, Policy=json.dumps(policy))
    assert site.get("/closed.html")[0] == 200


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--virtual-time-budget=5000",
)  # fmt: skip


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: it opens the site")
def test_a_browser_follows_a_deep_link(site: Site, tmp_path: Path) -> None:
    """Chromium loads the page and its chunk, fetches a model, and is told of a missing one."""
    url = f"{site.emulator.browser_url(site.host)}/products/12"
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={tmp_path}", "--dump-dom", url]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=90).stdout

    missing = site.get("/ml-models/none.json")[0]
    told = shown.partition('<p id="told">')[2].partition("</p>")[0]
    assert told == f"/products/12 model 7 missing {missing}"
