"""A page as a PNG, drawn by a chromium that speaks to nobody, and made small by pngquant."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.state.pages.looking import looking

QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-color-profile=srgb",
)  # fmt: skip
MOST_BYTES = 200_000


def draw(html: str, to: Path, width: int, height: int, scale: float = 1.5) -> None:
    """Draw ``html`` on ``width`` x ``height`` CSS pixels, each ``scale`` pixels of the picture wide."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("chromium is not on PATH")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "page.html")
        source.write_text(html, encoding="utf-8")
        size = [f"--window-size={width},{height}", f"--force-device-scale-factor={scale}"]
        where = [f"--user-data-dir={folder}/profile", f"--screenshot={to.resolve()}", source.as_uri()]
        subprocess.run([chromium, *QUIET, *size, *where], check=True, capture_output=True, timeout=120)
    _small(to)


def shoot(pages: Mapping[Path, tuple[str, int, int, str]], scale: float = 1.25) -> None:
    """Photograph pages of a service that runs: each an address, CSS pixels wide and high, and ``light`` or ``dark``."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for to, (address, width, height, scheme) in pages.items():
            with looking(chromium, width, scheme, device_scale_factor=scale) as seen:
                seen.page.set_viewport_size({"width": width, "height": height})
                seen.open(address)
                seen.page.screenshot(path=to)
            _small(to)


def _small(to: Path) -> None:
    subprocess.run(
        ["pngquant", "--force", "--strip", "--speed", "1", "--output", to, "128", to], check=True, timeout=120
    )
    if to.stat().st_size > MOST_BYTES:
        raise ValueError(f"{to.name} has {to.stat().st_size:,} bytes, more than {MOST_BYTES:,}")
    print(f"{to.name}: {to.stat().st_size // 1000} kB")
