"""A photo as the model's input, before scaling: upright, on white, cropped, resized.

The contract says how (``ml.training_run.Preprocessing``); here Pillow keeps it, in a browser ``ml/web/predict.js``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ml.training_run import Preprocessing
from orchestrator.problems import Problems

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
MAX_PIXELS = 100_000_000
"""Larger pictures are no photos of a product, and would fill the memory."""
RESIZE_FILTERS = {
    "triangle": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
BACKGROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0)}


def read(path: Path, contract: Preprocessing) -> Pixels:
    """One photo as (size, size, 3) bytes, 0 to 255, channels in the contract's order.

    Raises Problems: it cannot be read.
    """
    return crop_and_resize(load_upright(path, contract), contract)


def load_upright(path: Path, contract: Preprocessing) -> Image.Image:
    """A whole photo as RGB, turned as the contract says, on its ground.

    Raises Problems: it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures and of broken EXIF, which is read past
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ValueError(f"{image.width} x {image.height} pixels are too many")
                oriented = ImageOps.exif_transpose(image) if contract.orientation == "exif" else image
                return flatten_transparency(oriented, contract.transparent)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Problems.from_message(
            f"{path} cannot be read as a photo: {error}",
            hint="python -m ml.download_photos fetches it again, or leaves it out",
        ) from None


def read_all(paths: Iterable[Path], contract: Preprocessing) -> Pixels:
    """Several photos as (n, size, size, 3).  Raises Problems."""
    photos = [read(path, contract) for path in paths]
    return np.stack(photos) if photos else np.empty((0, contract.size, contract.size, 3), dtype=np.uint8)


def crop_and_resize(image: Image.Image, contract: Preprocessing) -> Pixels:
    """A photo as ``upright`` gives it, cropped and resized: see ``read``."""
    if contract.fit == "centre-crop":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return to_pixels(image.resize((contract.size, contract.size), RESIZE_FILTERS[contract.resize]), contract)


def to_pixels(image: Image.Image, contract: Preprocessing) -> Pixels:
    """The bytes of an RGB picture, channels in the contract's order."""
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[:, :, ::-1] if contract.channels == "BGR" else pixels


def flatten_transparency(image: Image.Image, background: str = "white") -> Image.Image:
    """The picture as RGB, with ``ground`` (white or black) where it is transparent."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    canvas = Image.new("RGBA", rgba.size, (*BACKGROUNDS[background], 255))
    return Image.alpha_composite(canvas, rgba).convert("RGB")
