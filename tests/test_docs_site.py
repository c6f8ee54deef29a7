"""The documentation site: it builds with strict links, and its search finds what people look for."""

from __future__ import annotations

import contextlib
import functools
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import docs_site

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("docs-site")]


READY = "() => /start searching/i.test(document.querySelector('.md-search-result__meta')?.innerText ?? '')"
"""The search has read its index: before, it hears no key."""

LISTED = """page => [...document.querySelectorAll('.md-search-result__item a')]
    .slice(0, 12).some(link => link.href.includes(page))"""
"""The page is among the first twelve: the search answers every key, and its first answer lists nearly every page."""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; `strict` fails on a link that leads nowhere."""
    folder = tmp_path_factory.mktemp("site") / "site"
    docs_site.build(folder)
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(site)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_every_page_is_in_the_menu_and_has_its_source_beside_it(site: Path) -> None:
    pages = sorted(path.relative_to(docs_site.ROOT) for path in (docs_site.ROOT / "docs").rglob("*.md"))
    menu = (site / "index.html").read_text()

    assert len(pages) >= 35
    for page in pages:
        built = page.with_name("index.html" if page.name == "README.md" else f"{page.stem}.html")
        assert (site / built).is_file(), page
        assert (site / page).is_file(), page
        if page.as_posix() != "docs/README.md":
            assert f'href="{built.as_posix()}"' in menu, f"{page} is not in docs/README.md"


def test_a_numbered_list_goes_on_after_a_code_block(site: Path) -> None:
    """Otherwise the second step of an instruction is number one again."""
    differing = {}
    for path in (docs_site.ROOT / "docs").rglob("*.md"):
        page = path.relative_to(docs_site.ROOT)
        text = re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
        built = site / page.with_name("index.html" if page.name == "README.md" else f"{page.stem}.html")
        article = built.read_text().partition("<article")[2].partition("</article>")[0]
        counts = len(re.findall(r"^ *1\. ", text, re.MULTILINE)), article.count("<ol>")
        if len(set(counts)) > 1:
            differing[str(page)] = counts

    assert differing == {}


def test_language_models_get_an_index_of_sources_that_exist(site: Path) -> None:
    """llmstxt.org: a title, a summary, sections of links."""
    lines = (site / "llms.txt").read_text().splitlines()
    targets = [line.partition("](")[2].removesuffix(")") for line in lines if line.startswith("- [")]

    assert lines[0] == "# orchestrator"
    assert lines[2].startswith("> ")
    assert len(targets) >= 30
    assert [target for target in targets if not (site / target).is_file()] == []


def test_the_schemas_are_published(site: Path) -> None:
    assert {path.name for path in (docs_site.ROOT / "schemas").glob("*.json")} == {
        path.name for path in (site / "schemas").glob("*.json")
    }


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("add environment", "docs/how-to/environments.html"),
        ("roll back", "docs/how-to/roll-back.html"),
        ("cost", "docs/how-to/estimate-cost.html"),
        ("upgrade", "docs/how-to/upgrade.html"),
        ("adopt", "docs/how-to/adopt-resources.html"),
        ("leave", "docs/how-to/leave.html"),
        ("incident", "docs/how-to/runbooks.html"),
        ("secret from outside", "docs/how-to/set-secrets.html"),
        ("FAQ", "docs/explanation/faq.html"),
        ("worker", "docs/explanation/faq.html"),
        ("metrics", "docs/reference/state-service-api.html"),
        ("expireOldVersionsAfterDays", "docs/reference/kinds/bucket.html"),
    ],
)
def test_a_search_finds_the_page(address: str, browser: Any, words: str, page: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    try:
        tab.goto(f"{address}/index.html")
        tab.click("input.md-search__input")
        tab.wait_for_function(READY, timeout=60_000)
        tab.locator("input.md-search__input").press_sequentially(words)
        with contextlib.suppress(playwright.TimeoutError):
            tab.wait_for_function(LISTED, arg=page, timeout=20_000)
        found = tab.eval_on_selector_all(".md-search-result__item a", "links => links.map(link => link.href)")
    finally:
        tab.close()

    assert any(page in link for link in found[:12]), found
