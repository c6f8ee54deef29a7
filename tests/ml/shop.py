"""Photos of a small shop: jewels drawn with Pillow, each product with a form and a colour of its own."""

from __future__ import annotations

import colorsys
import io
import random

from PIL import Image, ImageDraw

from orchestrator.model_registry.staleness import PHOTOS
from orchestrator.storage import FileStorage


def photo(product: int, shot: int, *, size: tuple[int, int] = (120, 96), form: str = "JPEG") -> bytes:
    """Shot number ``shot`` of a product: the same jewel elsewhere, in another light, on another cloth."""
    draws = random.Random(product * 1000 + shot)
    ground = tuple(draws.randint(170, 250) for _ in range(3))
    picture = Image.new("RGB", size, ground)
    pen = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y = draws.randint(0, size[0]), draws.randint(0, size[1])
        pen.line((x, y, x + draws.randint(-60, 60), y + draws.randint(-60, 60)), fill=tuple(v - 20 for v in ground))
    red, green, blue = colorsys.hsv_to_rgb(product * 0.37 % 1, 0.9, draws.uniform(0.6, 0.9))
    colour = (int(red * 255), int(green * 255), int(blue * 255))
    x, y, half = draws.randint(36, size[0] - 36), draws.randint(32, size[1] - 32), draws.randint(20, 28)
    box = (x - half, y - half, x + half, y + half)
    if product % 3 == 0:
        pen.ellipse(box, outline=colour, width=7)
    elif product % 3 == 1:
        pen.rectangle(box, fill=colour)
    else:
        pen.polygon([(x, y - half), (x + half, y + half), (x - half, y + half)], fill=colour)
    stream = io.BytesIO()
    picture.save(stream, form, **({"quality": 92} if form == "JPEG" else {}))
    return stream.getvalue()


def fill(storage: FileStorage, products: int = 3, shots: int = 4) -> dict[str, bytes]:
    """Put photos into a storage; what was put, by key."""
    made = {
        f"{PHOTOS}p{product}/{shot}.jpg": photo(product, shot) for product in range(products) for shot in range(shots)
    }
    for key, data in made.items():
        storage.put(key, data)
    return made
