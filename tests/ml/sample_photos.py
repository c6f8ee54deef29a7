"""Photos of a small shop: jewels drawn with Pillow, each product with a form and a colour of its own."""

from __future__ import annotations

import colorsys
import io
import random

from PIL import Image, ImageDraw

from orchestrator.model_registry.staleness import PHOTOS_PREFIX
from orchestrator.storage import FileStorage


def draw_photo(product: int, shot: int, *, size: tuple[int, int] = (120, 96), form: str = "JPEG") -> bytes:
    """Shot number ``shot`` of a product: the same jewel elsewhere, in another light, on another cloth."""
    rng = random.Random(product * 1000 + shot)
    background = tuple(rng.randint(170, 250) for _ in range(3))
    picture = Image.new("RGB", size, background)
    canvas = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y = rng.randint(0, size[0]), rng.randint(0, size[1])
        canvas.line((x, y, x + rng.randint(-60, 60), y + rng.randint(-60, 60)), fill=tuple(v - 20 for v in background))
    red, green, blue = colorsys.hsv_to_rgb(product * 0.37 % 1, 0.9, rng.uniform(0.6, 0.9))
    colour = (int(red * 255), int(green * 255), int(blue * 255))
    x, y, half = rng.randint(36, size[0] - 36), rng.randint(32, size[1] - 32), rng.randint(20, 28)
    box = (x - half, y - half, x + half, y + half)
    if product % 3 == 0:
        canvas.ellipse(box, outline=colour, width=7)
    elif product % 3 == 1:
        canvas.rectangle(box, fill=colour)
    else:
        canvas.polygon([(x, y - half), (x + half, y + half), (x - half, y + half)], fill=colour)
    stream = io.BytesIO()
    picture.save(stream, form, **({"quality": 92} if form == "JPEG" else {}))
    return stream.getvalue()


def fill_storage(storage: FileStorage, products: int = 3, shots: int = 4) -> dict[str, bytes]:
    """Put photos into a storage; what was put, by key."""
    photos = {
        f"{PHOTOS_PREFIX}p{product}/{shot}.jpg": draw_photo(product, shot)
        for product in range(products)
        for shot in range(shots)
    }
    for key, data in photos.items():
        storage.put(key, data)
    return photos
