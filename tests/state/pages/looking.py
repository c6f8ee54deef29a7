"""A page as a browser has it: what it weighs, what it complains of, how wide it is, what axe says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.state.pages.past import NOW

WIDTHS = (1280, 390)
TOO_WIDE = """() => [...document.querySelectorAll('main *, header *')]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll, .tabs, pre, #log'))
  .slice(0, 3).map((one) => one.outerHTML.slice(0, 200))"""


@dataclass
class Look:
    """One page that was opened."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    weight: int = 0

    def open(self, address: str) -> int:
        """Load it; the status."""
        answer = self.page.goto(address, wait_until="load")
        return int(answer.status)

    @property
    def overflow(self) -> list[str]:
        """What reaches beyond the right edge; empty when the page does not scroll sideways."""
        wide = self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return [*(["the page scrolls sideways"] if wide else []), *self.page.evaluate(TOO_WIDE)]


def violations(page: Any) -> list[str]:
    """What axe finds, as lines: the rule and where."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    )
    return [
        f"{one['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for one in found.response["violations"]
        for node in one["nodes"][:3]
    ]


@contextmanager
def looking(
    browser: Any, width: int = 1280, scheme: str = "light", *, script: bool = True, **more: Any
) -> Iterator[Look]:
    """A new window; what is wrong with it is written down as it happens."""
    size = {"width": width, "height": 900 if width > 500 else 844}
    context = browser.new_context(viewport=size, color_scheme=scheme, java_script_enabled=script, **more)
    page = context.new_page()
    look = Look(page)
    page.on(
        "console", lambda message: look.complaints.append(message.text) if message.type in {"error", "warning"} else 0
    )
    page.on("pageerror", lambda error: look.complaints.append(str(error)))
    page.on("dialog", lambda dialog: look.complaints.append(f"dialog {dialog.message}"))
    page.on("requestfinished", lambda request: _weigh(look, request))
    page.clock.set_system_time(datetime.fromtimestamp(NOW, UTC))
    try:
        yield look
    finally:
        context.close()


def _weigh(look: Look, request: Any) -> None:
    if "/live" not in request.url:
        sizes = request.sizes()
        look.weight += sizes["responseBodySize"] + sizes["responseHeadersSize"]
