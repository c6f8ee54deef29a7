"""Augment photos with the variations between shop photos and customer photos.

Customers photograph jewellery from any side, on any background, in any light, but never stretched or with other
colours.  Augmentation therefore mirrors, rotates, zooms and shifts, changes brightness and warmth, and blurs slightly.
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
"""Increment when the same seed gives other images, so that cached features are recomputed."""
MIN_CROP_RATIO = 0.72
"""Smallest crop, as a fraction of the shorter side."""
LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Perceived brightness of red, green and blue (Rec. 601)."""


def make_views(path: Path, contract: Preprocessing, seed: str, count: int) -> Pixels:
    """Return a photo and ``count - 1`` augmented versions of it as a (count, size, size, 3) array.

    Raises Problems if it cannot be read.
    """
    full_image = preprocessing.load_upright(path, contract)
    original = preprocessing.crop_and_resize(full_image, contract)
    reduced = _limit_short_side(full_image, contract.size / MIN_CROP_RATIO) if count > 1 else full_image
    generators = (random.Random(f"{seed}:{number}") for number in range(1, count))  # noqa: S311 - not for cryptography
    return np.stack([original, *(augment(reduced, contract, rng) for rng in generators)])


def _limit_short_side(image: Image.Image, max_side: float) -> Image.Image:
    """Downscale so that the shorter side is at most ``max_side``: the smallest crop still has full resolution."""
    factor = max_side / min(image.size)
    if factor >= 1:
        return image
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def augment(image: Image.Image, contract: Preprocessing, rng: random.Random) -> Pixels:
    """Return a random variation: crop, rotate and mirror in one transform, then vary the light."""
    side = min(image.size) * rng.uniform(MIN_CROP_RATIO, 1.0)
    x = _random_offset(image.width - side, rng) + side / 2
    y = _random_offset(image.height - side, rng) + side / 2
    angle = math.radians(rng.uniform(-15, 15))
    scale, half = side / contract.size, contract.size / 2
    mirrored_scale = -scale if rng.random() < 0.5 else scale
    cosine, sine = math.cos(angle), math.sin(angle)
    # Maps a point of the output to the input image, row by row; the crop is centred at (x, y).
    affine_coefficients = (mirrored_scale * cosine, scale * sine, x - half * (mirrored_scale * cosine + scale * sine),
             -mirrored_scale * sine, scale * cosine, y - half * (scale * cosine - mirrored_scale * sine))  # fmt: skip
    window = image.transform(
        (contract.size, contract.size), Image.Transform.AFFINE, affine_coefficients, Image.Resampling.BILINEAR,
        fillcolor=_corner_colour(image),
    )  # fmt: skip
    return preprocessing.to_pixels(_vary_light(window, rng), contract)


def _vary_light(image: Image.Image, rng: random.Random) -> Image.Image:
    """Vary brightness, contrast, saturation and warmth with one colour matrix, and sometimes blur."""
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
    """Return a crop offset from 0 to ``max_offset``, most likely near the middle."""
    return max_offset * min(max(rng.gauss(0.5, 0.2), 0.0), 1.0)


def _corner_colour(image: Image.Image) -> tuple[int, ...]:
    """Return the background colour: the mean of the corners."""
    last_pixel = (image.width - 1, image.height - 1)
    corners = [image.getpixel(corner) for corner in ((0, 0), (last_pixel[0], 0), (0, last_pixel[1]), last_pixel)]
    return tuple(int(value) for value in np.mean(np.asarray(corners, dtype=float), axis=0))
