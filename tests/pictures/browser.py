"""Render a page to PNG with an offline chromium, cut where an element ends, and compress it with pngquant."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.state.pages.page_view import open_page

MAX_BYTES = 200_000
MIN_HEIGHT = 200
"""In CSS pixels; a page is at least as high as its window, so its own height shows only in a low one."""
BLOCKS = "h1, h2, h3, h4, p, li, tr, dt, dd, pre, summary, button, input, select, .pill"
CUT_SCRIPT = """([maxHeight, selector]) => {
  const height = 4 * Math.ceil(document.body.getBoundingClientRect().bottom / 4);
  if (height <= maxHeight) return height;
  const boxes = [...document.querySelectorAll(selector)].map((block) => block.getBoundingClientRect())
    .filter((box) => box.height > 0 && box.height < maxHeight / 4);
  const cuts = (y) => boxes.some((box) => box.top < y - 0.5 && box.bottom > y + 0.5);
  for (let y = maxHeight; y > maxHeight / 2; y -= 1) if (!cuts(y)) return y;
  throw new Error(`every cut between ${maxHeight / 2} and ${maxHeight} pixels goes through a line`);
}"""
"""The height of the page, or the largest one below ``maxHeight`` that cuts through no paragraph, row or control.

Rounded to four, so that the picture has whole pixels at a scale of 1.25."""


class Picture(NamedTuple):
    """How a page is photographed: width and greatest height in CSS pixels, ``light`` or ``dark``, pixels per pixel."""

    width: int
    max_height: int
    scheme: str = "light"
    scale: float = 1.25


def render_html(html: str, target: Path, picture: Picture) -> None:
    """Photograph a page that is given as HTML."""
    with _open_chromium() as chromium, _open_view(chromium, picture) as view:
        view.page.set_content(html)
        _photograph(view.page, target, picture)


def take_screenshots(pages: Mapping[Path, tuple[str, Picture]]) -> None:
    """Photograph running pages, each at its address."""
    with _open_chromium() as chromium:
        for target, (address, picture) in pages.items():
            with _open_view(chromium, picture) as view:
                view.open(address)
                _photograph(view.page, target, picture)


@contextmanager
def _open_chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright_session:
        flags = ["--no-sandbox", "--force-color-profile=srgb"]
        yield playwright_session.chromium.launch(executable_path=shutil.which("chromium"), args=flags)


def _open_view(chromium: Any, picture: Picture) -> Any:
    return open_page(chromium, picture.width, picture.scheme, device_scale_factor=picture.scale)


def _photograph(page: Any, target: Path, picture: Picture) -> None:
    page.set_viewport_size({"width": picture.width, "height": MIN_HEIGHT})
    height = page.evaluate(CUT_SCRIPT, [picture.max_height, BLOCKS])
    page.set_viewport_size({"width": picture.width, "height": height})
    page.screenshot(path=target)
    _compress(target)


def _compress(target: Path) -> None:
    """Reduce the colours, a long terminal's to fewer, until the picture is small."""
    for colours in ("128", "64", "32"):
        command = ["pngquant", "--force", "--strip", "--speed", "1", "--output", str(target), colours, str(target)]
        subprocess.run(command, check=True, timeout=120)
        if target.stat().st_size <= MAX_BYTES:
            break
    if target.stat().st_size > MAX_BYTES:
        raise ValueError(f"{target.name} has {target.stat().st_size:,} bytes; the limit is {MAX_BYTES:,}")
    print(f"{target.name}: {target.stat().st_size // 1000} kB")
