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
MIN_CROP_RATIO = 0.72
"""Of the shorter side, what the nearest variation shows."""
LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""How bright red, green and blue seem."""


def make_views(path: Path, contract: Preprocessing, seed: str, count: int) -> Pixels:
    """A photo as it is, and ``count - 1`` variations of it: (count, size, size, 3).

    Raises Problems: it cannot be read.
    """
    full_image = preprocessing.load_upright(path, contract)
    original = preprocessing.crop_and_resize(full_image, contract)
    reduced = _limit_short_side(full_image, contract.size / MIN_CROP_RATIO) if count > 1 else full_image
    generators = (random.Random(f"{seed}:{number}") for number in range(1, count))  # noqa: S311 - nothing is kept secret
    return np.stack([original, *(augment(reduced, contract, rng) for rng in generators)])


def _limit_short_side(image: Image.Image, max_side: float) -> Image.Image:
    """The shorter side no longer than ``side``: the nearest variation then has every pixel that the network sees."""
    factor = max_side / min(image.size)
    if factor >= 1:
        return image
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def augment(image: Image.Image, contract: Preprocessing, rng: random.Random) -> Pixels:
    """One variation of a picture: a window, turned and mirrored in one step, then its light."""
    side = min(image.size) * rng.uniform(MIN_CROP_RATIO, 1.0)
    x = _random_offset(image.width - side, rng) + side / 2
    y = _random_offset(image.height - side, rng) + side / 2
    angle = math.radians(rng.uniform(-15, 15))
    scale, half = side / contract.size, contract.size / 2
    mirrored_scale = -scale if rng.random() < 0.5 else scale
    cosine, sine = math.cos(angle), math.sin(angle)
    # Row by row, where in the picture a point of the window lies; its middle is at (x, y).
    affine_coefficients = (mirrored_scale * cosine, scale * sine, x - half * (mirrored_scale * cosine + scale * sine),
             -mirrored_scale * sine, scale * cosine, y - half * (scale * cosine - mirrored_scale * sine))  # fmt: skip
    window = image.transform(
        (contract.size, contract.size), Image.Transform.AFFINE, affine_coefficients, Image.Resampling.BILINEAR,
        fillcolor=_corner_colour(image),
    )  # fmt: skip
    return preprocessing.to_pixels(_vary_light(window, rng), contract)


def _vary_light(image: Image.Image, rng: random.Random) -> Image.Image:
    """In another light, through another lens: brightness, contrast, saturation and warmth are one matrix."""
    brightness, contrast, saturation = (rng.uniform(1 - spread, 1 + spread) for spread in (0.2, 0.2, 0.15))
    warmth = rng.uniform(-0.06, 0.06)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    saturation_matrix = saturation * np.eye(3) + (1 - saturation) * LUMA_WEIGHTS
    mean = ImageStat.Stat(image.convert("L")).mean[0]
    matrix = tint[:, None] * np.hstack(
        [brightness * contrast * saturation_matrix, np.full((3, 1), brightness * (1 - contrast) * mean)]
    )
    image = image.convert("RGB", tuple(matrix.ravel().tolist()))
    if rng.random() < 0.2:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    return image


def _random_offset(max_offset: float, rng: random.Random) -> float:
    """Where a window begins that has ``room`` to move: in the middle, more often than not."""
    return max_offset * min(max(rng.gauss(0.5, 0.2), 0.0), 1.0)


def _corner_colour(image: Image.Image) -> tuple[int, ...]:
    """The colour around the thing: the mean of the corners."""
    last_pixel = (image.width - 1, image.height - 1)
    corners = [image.getpixel(corner) for corner in ((0, 0), (last_pixel[0], 0), (0, last_pixel[1]), last_pixel)]
    return tuple(int(value) for value in np.mean(np.asarray(corners, dtype=float), axis=0))
