"""Render a page to PNG with an offline chromium, and compress it with pngquant."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.state.pages.page_view import open_page

HEADLESS_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-color-profile=srgb",
)  # fmt: skip
MAX_BYTES = 200_000


def render_html(html: str, target: Path, width: int, height: int, scale: float = 1.5) -> None:
    """Render ``html`` at ``width`` x ``height`` CSS pixels, with ``scale`` image pixels per CSS pixel."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("chromium is not on PATH")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "page.html")
        source.write_text(html, encoding="utf-8")
        size = [f"--window-size={width},{height}", f"--force-device-scale-factor={scale}"]
        paths = [f"--user-data-dir={folder}/profile", f"--screenshot={target.resolve()}", source.as_uri()]
        subprocess.run([chromium, *HEADLESS_FLAGS, *size, *paths], check=True, capture_output=True, timeout=120)
    _compress(target)


def take_screenshots(pages: Mapping[Path, tuple[str, int, int, str]], scale: float = 1.25) -> None:
    """Take screenshots of running pages: each a URL, width and height in CSS pixels, and ``light`` or ``dark``."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright_session:
        chromium = playwright_session.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for target, (address, width, height, scheme) in pages.items():
            with open_page(chromium, width, scheme, device_scale_factor=scale) as view:
                view.page.set_viewport_size({"width": width, "height": height})
                view.open(address)
                view.page.screenshot(path=target)
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
