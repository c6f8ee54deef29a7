"""Prepare a photo as model input, before scaling: rotate, flatten transparency, crop and resize.

Implements the contract ``ml.training_run.Preprocessing`` with Pillow; ``ml/web/predict.js`` implements it in browsers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ml.training_run import Preprocessing
from orchestrator.problems import Problems

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
MAX_PIXELS = 100_000_000
"""Maximum image size; decoding a larger one could exhaust memory."""
MAX_BLANK_SPREAD = 2
"""Largest difference between two values of a picture that shows nothing."""
RESIZE_FILTERS = {
    "triangle": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
BACKGROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0)}


def register_formats() -> None:
    """Let Pillow read HEIC, the default of iPhones, if ``pillow-heif`` is installed."""
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def is_blank(image: Image.Image) -> bool:
    """Return whether an RGB image shows nothing: all its pixels have the same colour."""
    pixels = np.asarray(image.convert("RGB"), dtype=np.uint8)
    return bool(np.ptp(pixels, axis=(0, 1)).max() <= MAX_BLANK_SPREAD)


def read(path: Path, contract: Preprocessing) -> Pixels:
    """Read a photo as a (size, size, 3) array of bytes, channels in the contract's order.

    Raises Problems if it cannot be read.
    """
    return crop_and_resize(load_upright(path, contract), contract)


def load_upright(path: Path, contract: Preprocessing) -> Image.Image:
    """Load a complete photo as RGB, rotated and flattened as the contract says.

    Raises Problems if it cannot be read.
    """
    register_formats()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about large images and corrupt EXIF, which it ignores
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ValueError(f"{image.width} x {image.height} pixels exceed the limit of {MAX_PIXELS:,}")
                oriented = ImageOps.exif_transpose(image) if contract.orientation == "exif" else image
                return flatten_transparency(oriented, contract.transparent)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Problems.from_message(
            f"cannot read {path} as a photo: {error}",
            hint="download it again, or exclude it: python -m ml.download_photos",
        ) from None


def read_all(paths: Iterable[Path], contract: Preprocessing) -> Pixels:
    """Read several photos as an (n, size, size, 3) array.  Raises Problems if one cannot be read."""
    photos = [read(path, contract) for path in paths]
    return np.stack(photos) if photos else np.empty((0, contract.size, contract.size, 3), dtype=np.uint8)


def crop_and_resize(image: Image.Image, contract: Preprocessing) -> Pixels:
    """Crop and resize a photo from ``load_upright``; return the array that ``read`` returns."""
    if contract.fit == "centre-crop":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    return to_pixels(image.resize((contract.size, contract.size), RESIZE_FILTERS[contract.resize]), contract)


def to_pixels(image: Image.Image, contract: Preprocessing) -> Pixels:
    """Return the bytes of an RGB image, channels in the contract's order."""
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[:, :, ::-1] if contract.channels == "BGR" else pixels


def flatten_transparency(image: Image.Image, background: str = "white") -> Image.Image:
    """Return the image as RGB, with ``background`` (white or black) in place of transparent pixels.

    Sixteen bits become eight as in browsers; Pillow alone would clip them to white.
    """
    if image.mode.startswith("I;16") or image.mode == "I":
        values = np.asarray(image, dtype=np.int64)
        image = Image.fromarray(np.clip((values + 128) // 257, 0, 255).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    canvas = Image.new("RGBA", rgba.size, (*BACKGROUNDS[background], 255))
    return Image.alpha_composite(canvas, rgba).convert("RGB")
