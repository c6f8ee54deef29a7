"""A page as a browser has it: what it weighs, what it complains of, how wide it is, what axe says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.state.pages.sample_history import NOW

WIDTHS = (1280, 390)
OVERFLOW_SCRIPT = """() => [...document.querySelectorAll('main *, header *')]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll, .tabs, pre, #log'))
  .slice(0, 3).map((one) => one.outerHTML.slice(0, 200))"""


@dataclass
class PageView:
    """One page that was opened."""

    page: Any
    errors: list[str] = field(default_factory=list)
    transferred_bytes: int = 0

    def open(self, address: str) -> int:
        """Load it; the status."""
        response = self.page.goto(address, wait_until="load")
        return int(response.status)

    @property
    def overflow(self) -> list[str]:
        """What reaches beyond the right edge; empty when the page does not scroll sideways."""
        scrolls_sideways = self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return [*(["the page scrolls sideways"] if scrolls_sideways else []), *self.page.evaluate(OVERFLOW_SCRIPT)]


def find_accessibility_violations(page: Any) -> list[str]:
    """What axe finds, as lines: the rule and where."""
    from axe_playwright_python.sync_playwright import Axe

    results = Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    )
    return [
        f"{violation['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for violation in results.response["violations"]
        for node in violation["nodes"][:3]
    ]


@contextmanager
def open_page(
    browser: Any, width: int = 1280, scheme: str = "light", *, enable_javascript: bool = True, **more: Any
) -> Iterator[PageView]:
    """A new window; what is wrong with it is written down as it happens."""
    size = {"width": width, "height": 900 if width > 500 else 844}
    context = browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=enable_javascript, **more)
    page = context.new_page()
    view = PageView(page)
    page.on("console", lambda message: view.errors.append(message.text) if message.type in {"error", "warning"} else 0)
    page.on("pageerror", lambda error: view.errors.append(str(error)))
    page.on("dialog", lambda dialog: view.errors.append(f"dialog {dialog.message}"))
    page.on("requestfinished", lambda request: _count_bytes(view, request))
    page.clock.set_system_time(datetime.fromtimestamp(NOW, UTC))
    try:
        yield view
    finally:
        context.close()


def _count_bytes(view: PageView, request: Any) -> None:
    if "/live" not in request.url:
        sizes = request.sizes()
        view.transferred_bytes += sizes["responseBodySize"] + sizes["responseHeadersSize"]
