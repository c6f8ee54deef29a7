"""Other photos of the same thing: what changes when a customer takes the picture instead of the shop.

Jewels are photographed from any side, on any cloth, in any light; they are not stretched, and gold does not turn blue.
So: mirrored, turned, nearer or farther, off centre, brighter or darker, warmer or colder, a little out of focus.
"""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from ml.pictures import FILTERS, Pixels, on_ground, prepared, read
from ml.run import Preprocessing

REVISION = 1
"""Goes up when the same seed would give other pictures: cached features are then made anew."""


def views(path: Path, contract: Preprocessing, seed: str, count: int) -> Pixels:
    """A photo as it is, and ``count - 1`` variations of it: (count, size, size, 3).

    Raises Problems: it cannot be read.
    """
    first = read(path, contract)
    if count == 1:
        return first[None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            upright = on_ground(ImageOps.exif_transpose(image), contract.transparent)
    upright.thumbnail((contract.size * 3, contract.size * 3), reducing_gap=2.0)
    draws = (random.Random(f"{seed}:{number}") for number in range(1, count))  # noqa: S311 - nothing is kept secret
    others = [varied(upright, contract, one) for one in draws]
    return np.stack([first, *others])


def varied(image: Image.Image, contract: Preprocessing, draws: random.Random) -> Pixels:
    """One variation of a picture."""
    side = min(image.size) * draws.uniform(0.72, 1.0)
    left = _near_middle(image.width - side, draws)
    top = _near_middle(image.height - side, draws)
    angle = draws.uniform(-15, 15)
    turned = image.rotate(angle, FILTERS["cubic"], center=(left + side / 2, top + side / 2), fillcolor=_edge(image))
    square = turned.resize(
        (contract.size, contract.size), FILTERS[contract.resize], box=(left, top, left + side, top + side)
    )
    if draws.random() < 0.5:
        square = ImageOps.mirror(square)
    return prepared(_lit(square, draws), contract)


def _lit(image: Image.Image, draws: random.Random) -> Image.Image:
    """In another light, through another lens."""
    for enhancer, spread in ((ImageEnhance.Brightness, 0.2), (ImageEnhance.Contrast, 0.2), (ImageEnhance.Color, 0.15)):
        image = enhancer(image).enhance(draws.uniform(1 - spread, 1 + spread))
    warmth = draws.uniform(-0.06, 0.06)
    red, green, blue = image.split()
    image = Image.merge("RGB", (_scaled(red, 1 + warmth), green, _scaled(blue, 1 - warmth)))
    if draws.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(draws.uniform(0.3, 1.0)))
    return image


def _scaled(channel: Image.Image, factor: float) -> Image.Image:
    return channel.point([min(255, round(value * factor)) for value in range(256)])


def _near_middle(room: float, draws: random.Random) -> float:
    """Where a window begins that has ``room`` to move: in the middle, more often than not."""
    return room * min(max(draws.gauss(0.5, 0.2), 0.0), 1.0)


def _edge(image: Image.Image) -> tuple[int, ...]:
    """The colour around the thing: the mean of the corners."""
    last = (image.width - 1, image.height - 1)
    corners = [image.getpixel(place) for place in ((0, 0), (last[0], 0), (0, last[1]), last)]
    return tuple(int(value) for value in np.mean(np.asarray(corners, dtype=float), axis=0))
