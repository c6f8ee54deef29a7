"""Which file a path is, as CloudFront's function decides it: the code that is published, run by a JavaScript engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
import quickjs
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.artefacts import Site, SiteFile
from orchestrator.artefacts.sites.site_options import SiteOptions
from orchestrator.components.cdn.routing_function import MAX_CODE_BYTES, RoutingFunction, write_function
from orchestrator.components.cdn.sites import ServedSite

STATIC = ("about.html", "blog/index.html", "blog/first.html", "docs/v1.2.html", "docs/v2.0/index.html", "404.html",
          "both.html", "both/index.html", "caf\u00e9.html", "LICENSE", "feed.xml")  # fmt: skip
NEXT = ("about.html", "_next/static/chunks/main.js")


def site(*keys: str, routing: Any = "static", prefix: str = "", **more: Any) -> ServedSite:
    file = SiteFile(1, "", "", "text/html", "no-cache", entry=True)
    files = {f"{prefix}{key}": file for key in ("index.html", *keys)}
    return ServedSite(
        f"bucket.{prefix or 'web'}",
        SiteOptions(prefix, routing),
        Site("", files, prefix=prefix),
        is_shipped=True,
        **more,
    )


class Function:
    """A function, as CloudFront runs it."""

    def __init__(self, function: RoutingFunction) -> None:
        self.code = f"{function.data}\n{function.program}"
        self._context = quickjs.Context()
        self._context.eval(self.code)

    def ask(self, uri: str, **query: str) -> Any:
        """What is made of a request: the key that is asked for, or status and location."""
        parameters = {name: {"value": value} for name, value in query.items()}
        event = {"context": {"eventType": "viewer-request"}, "request": {"uri": uri, "querystring": parameters}}
        answer = json.loads(self._context.eval(f"JSON.stringify(handler({json.dumps(event)}))"))
        return answer["uri"] if "uri" in answer else (answer["statusCode"], answer["headers"]["location"]["value"])

    def respond(self, headers: dict[str, str], status: int = 200) -> Any:
        response = {"statusCode": status, "headers": {name: {"value": value} for name, value in headers.items()}}
        event = {"context": {"eventType": "viewer-response"}, "request": {"uri": "/"}, "response": response}
        return json.loads(self._context.eval(f"JSON.stringify(handler({json.dumps(event)}))"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/index.html"),
        ("/products/12", "/index.html"),
        ("/products/", "/index.html"),
        ("/v1.2/about", "/index.html"),
        ("/assets/app-3f2a.js", "/assets/app-3f2a.js"),
        ("/favicon.ico", "/favicon.ico"),
        ("/LICENSE", "/LICENSE"),
        ("/.well-known/apple-app-site-association", "/.well-known/apple-app-site-association"),
        ("/.well-known/acme-challenge/token", "/.well-known/acme-challenge/token"),
        ("/LICENSE/x", "/index.html"),
        ("/%E0%A4%A", "/index.html"),
    ],
)
def test_a_deep_link_is_the_page_and_a_file_is_the_file(path: str, expected: str) -> None:
    assert Function(write_function([site("LICENSE", routing="spa")], "index.html")).ask(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [  # as Cloudflare Pages, Netlify and GitHub Pages serve such files
        ("/", "/index.html"),
        ("/index.html", "/index.html"),
        ("/about", "/about.html"),
        ("/about/", (301, "/about")),
        ("/about.html", "/about.html"),
        ("/blog", (301, "/blog/")),
        ("/blog/", "/blog/index.html"),
        ("/blog/index.html", "/blog/index.html"),
        ("/blog/first", "/blog/first.html"),
        ("/docs/v1.2", "/docs/v1.2.html"),
        ("/docs/v2.0/", "/docs/v2.0/index.html"),
        ("/docs/v2.0", (301, "/docs/v2.0/")),
        ("/both", "/both.html"),
        ("/both/", "/both/index.html"),
        ("/caf%C3%A9", "/caf%C3%A9.html"),
        ("/LICENSE", "/LICENSE"),
        ("/feed.xml", "/feed.xml"),
        ("/nothing.png", "/nothing.png"),
        ("/nope", "/404.html"),
        ("/nope/", "/404.html"),
        ("/nope.html", "/404.html"),
        ("/docs", "/404.html"),
        ("/docs/", "/404.html"),
        ("/docs/v9.9", "/docs/v9.9"),
        ("//evil.example/", "/404.html"),
    ],
)
def test_a_static_site_has_clean_urls_and_its_own_page_for_unknown_paths(path: str, expected: object) -> None:
    assert Function(write_function([site(*STATIC)], "index.html")).ask(path) == expected


def test_two_sites_are_apart() -> None:
    """The site with the longest prefix answers; its name without the slash leads to it, with the query."""
    sites = [
        site("LICENSE", routing="spa"),
        site("login.html", prefix="admin/"),
        site(routing="spa", prefix="admin/v2/"),
    ]
    function = Function(write_function(sites, "index.html"))

    assert function.ask("/admin", a="1", b="") == (301, "/admin/?a=1&b")
    assert function.ask("/admin/") == "/admin/index.html"
    assert function.ask("/admin/login") == "/admin/login.html"
    assert function.ask("/admin/v2/users/5") == "/admin/v2/index.html"
    assert function.ask("/administration") == "/index.html"
    assert function.ask("/users/5") == "/index.html"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/old", (302, "/new")),
        ("/shop/a/b", (301, "/products/a/b")),
        ("/shop/", (301, "/products/")),
        ("/shop//evil.example", (301, "/products/evil.example")),
        ("/out/page", (308, "https://example.org/page")),
        ("/older", "/index.html"),
    ],
)
def test_redirects_come_first_and_stay_where_they_are_sent(path: str, expected: object) -> None:
    rules = (
        {"from": "/old", "to": "/new", "status": 302},
        {"from": "/shop/*", "to": "/products/*", "status": 301},
        {"from": "/out/*", "to": "https://example.org/*", "status": 308},
    )
    assert Function(write_function([site(routing="spa", redirects=rules)], "index.html")).ask(path) == expected


def test_a_response_gets_the_status_and_the_headers_of_its_file() -> None:
    function = Function(write_function([site()], "index.html"))
    stored = {"content-type": "text/html", "x-amz-meta-status": "404", "x-amz-meta-header-x-robots-tag": "noindex"}

    answer = function.respond(stored)
    assert answer["statusCode"] == 404
    assert answer["headers"] == {"content-type": {"value": "text/html"}, "x-robots-tag": {"value": "noindex"}}
    assert function.respond(stored, status=304)["statusCode"] == 304


@settings(max_examples=60, deadline=None)
@given(
    st.sets(st.text(st.characters(codec="utf-8", exclude_characters="/.%?#\x00"), min_size=1, max_size=8), max_size=30),
    st.data(),
)
def test_every_page_is_found_whatever_the_names(names: set[str], data: st.DataObject) -> None:
    """A page is never taken for another one, and what is no page is unknown."""
    from urllib.parse import quote

    folders = {name for name in names if data.draw(st.booleans())}
    keys = [f"{name}/index.html" if name in folders else f"{name}.html" for name in sorted(names - {"404", "index"})]
    function = Function(write_function([site(*keys, "404.html")], "index.html"))

    for name in names - {"404", "index"}:
        uri = f"/{quote(name, safe='')}"
        assert function.ask(f"{uri}/" if name in folders else uri) == (
            f"{uri}/index.html" if name in folders else f"{uri}.html"
        )
    assert function.ask("/no-page-of-these") == "/404.html"


def test_a_site_with_too_many_pages_still_has_clean_urls() -> None:
    """CloudFront takes no function of more than 10 KB: it then knows how pages are stored, not which there are."""
    few = write_function([site(*(f"p/{number}/index.html" for number in range(1200)), "404.html")], "index.html")
    many = write_function([site(*(f"p/{number}/index.html" for number in range(5000)), "404.html")], "index.html")

    assert (few.unlisted, many.unlisted) == ((), ("bucket.web",))
    for function in map(Function, (few, many)):
        assert len(function.code.encode()) <= MAX_CODE_BYTES
        assert function.ask("/p/7/") == "/p/7/index.html"
        assert function.ask("/p/7") == (301, "/p/7/")
    assert Function(few).ask("/p/9999/") == "/404.html"
