"""Draw fixed pictures that photos of a shop seldom are, for the parity check.

Transparency, all EXIF orientations, 16 bits a channel, palettes, odd sizes: where Pillow and browsers could differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION_TAG = 0x0112


def write(folder: Path) -> tuple[Path, ...]:
    """Write the pictures into ``folder`` and return their paths.  Raises OSError."""
    paths = []
    for name, picture, options in _draw_all():
        picture.save(folder / name, **options)
        paths.append(folder / name)
    return tuple(paths)


def _draw_all() -> Iterator[tuple[str, Image.Image, dict[str, Any]]]:
    base = _draw(320, 240)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = orientation
        yield f"exif-{orientation}.jpg", base, {"exif": exif, "quality": 92}
    yield "odd-size.png", _draw(33, 517), {}
    yield "small.png", _draw(65, 67), {}
    yield "grey.png", base.convert("L"), {}
    yield "palette.gif", base.quantize(64), {}
    see_through = base.convert("RGBA")
    see_through.putalpha(
        Image.linear_gradient("L").resize(base.size).point([min(255, 2 * value) for value in range(256)])
    )
    yield "alpha.png", see_through, {}
    yield "alpha.webp", see_through, {"lossless": True}
    grey16 = np.asarray(base.convert("L"), dtype=np.uint16) * 257
    yield "grey-16-bit.png", Image.fromarray(grey16), {}


def _draw(width: int, height: int) -> Image.Image:
    """Draw a picture that looks different from every side and in every channel."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    ring = np.abs(np.hypot(x - 0.55, (y - 0.4) * height / width) - 0.2) < 0.05
    red = 230 - 120 * x + 20 * np.sin(40 * y)
    green = 200 - 90 * y + 15 * np.sin(23 * x * y)
    blue = 160 + 60 * x * y
    pixels = np.stack([np.where(ring, 200, red), np.where(ring, 140, green), np.where(ring, 40, blue)], axis=-1)
    pixels[: height // 5, : width // 6] = (20, 40, 180)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
