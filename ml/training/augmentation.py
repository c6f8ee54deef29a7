"""Make the views of a photo that training learns from: the photo itself, and simulated phone photos of its product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ml.data import preprocessing
from ml.data.preprocessing import Pixels
from ml.training import phone_simulation
from ml.training_run import Preprocessing

REVISION = 3
"""Increment when the same seed gives other images, so that cached features are recomputed."""
MAX_SIDE = 480
"""Longest side at which a photo is varied: more than twice the network's input is not seen."""


def make_views(path: Path, contract: Preprocessing, seed: str, count: int) -> Pixels:
    """Return a photo and ``count - 1`` simulated phone photos of it as a (count, size, size, 3) array.

    Raises Problems if it cannot be read.
    """
    photo = preprocessing.load_upright(path, contract)
    original = preprocessing.crop_and_resize(photo, contract)
    if count == 1:
        return original[None]
    reduced = photo.copy()
    reduced.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    mask = phone_simulation.cut_out(reduced)
    views = [
        phone_simulation.simulate(reduced, mask, contract.size, np.random.default_rng([*seed.encode(), number]))
        for number in range(1, count)
    ]
    ordered = [view[:, :, ::-1] if contract.channels == "BGR" else view for view in views]
    return np.stack([original, *ordered])
