"""Other photos of the same thing: what changes when a customer takes the picture instead of the shop.

Jewels are photographed from any side, on any cloth, in any light; they are not stretched, and gold does not turn blue.
So: mirrored, turned, nearer or farther, off centre, brighter or darker, warmer or colder, a little out of focus.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageStat

from ml.data import preprocessing
from ml.data.preprocessing import Pixels
from ml.training_run import Preprocessing

REVISION = 2
"""Goes up when the same seed would give other pictures: cached features are then made anew."""
NEAREST = 0.72
"""Of the shorter side, what the nearest variation shows."""
GREY = np.array([0.299, 0.587, 0.114])
"""How bright red, green and blue seem."""


def views(path: Path, contract: Preprocessing, seed: str, count: int) -> Pixels:
    """A photo as it is, and ``count - 1`` variations of it: (count, size, size, 3).

    Raises Problems: it cannot be read.
    """
    whole = preprocessing.upright(path, contract)
    first = preprocessing.fitted(whole, contract)
    small = _shrunk(whole, contract.size / NEAREST) if count > 1 else whole
    draws = (random.Random(f"{seed}:{number}") for number in range(1, count))  # noqa: S311 - nothing is kept secret
    return np.stack([first, *(varied(small, contract, one) for one in draws)])


def _shrunk(image: Image.Image, side: float) -> Image.Image:
    """The shorter side no longer than ``side``: the nearest variation then has every pixel that the network sees."""
    factor = side / min(image.size)
    if factor >= 1:
        return image
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def varied(image: Image.Image, contract: Preprocessing, draws: random.Random) -> Pixels:
    """One variation of a picture: a window, turned and mirrored in one step, then its light."""
    side = min(image.size) * draws.uniform(NEAREST, 1.0)
    x = _near_middle(image.width - side, draws) + side / 2
    y = _near_middle(image.height - side, draws) + side / 2
    angle = math.radians(draws.uniform(-15, 15))
    scale, half = side / contract.size, contract.size / 2
    across = -scale if draws.random() < 0.5 else scale
    cosine, sine = math.cos(angle), math.sin(angle)
    # Row by row, where in the picture a point of the window lies; its middle is at (x, y).
    place = (across * cosine, scale * sine, x - half * (across * cosine + scale * sine),
             -across * sine, scale * cosine, y - half * (scale * cosine - across * sine))  # fmt: skip
    window = image.transform(
        (contract.size, contract.size), Image.Transform.AFFINE, place, Image.Resampling.BILINEAR,
        fillcolor=_edge(image),
    )  # fmt: skip
    return preprocessing.ordered(_lit(window, draws), contract)


def _lit(image: Image.Image, draws: random.Random) -> Image.Image:
    """In another light, through another lens: brightness, contrast, saturation and warmth are one matrix."""
    bright, contrast, colour = (draws.uniform(1 - spread, 1 + spread) for spread in (0.2, 0.2, 0.15))
    warmth = draws.uniform(-0.06, 0.06)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    mixed = colour * np.eye(3) + (1 - colour) * GREY
    mean = ImageStat.Stat(image.convert("L")).mean[0]
    matrix = tint[:, None] * np.hstack([bright * contrast * mixed, np.full((3, 1), bright * (1 - contrast) * mean)])
    image = image.convert("RGB", tuple(matrix.ravel().tolist()))
    if draws.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(draws.uniform(0.3, 1.0)))
    return image


def _near_middle(room: float, draws: random.Random) -> float:
    """Where a window begins that has ``room`` to move: in the middle, more often than not."""
    return room * min(max(draws.gauss(0.5, 0.2), 0.0), 1.0)


def _edge(image: Image.Image) -> tuple[int, ...]:
    """The colour around the thing: the mean of the corners."""
    last = (image.width - 1, image.height - 1)
    corners = [image.getpixel(place) for place in ((0, 0), (last[0], 0), (0, last[1]), last)]
    return tuple(int(value) for value in np.mean(np.asarray(corners, dtype=float), axis=0))
