"""Simulate the photo that a customer's phone takes of a product, from a studio photo.

The product is cut out of a studio photo where its background is smooth, tilted, turned and put on another background,
in other light, with a phone's blur, noise and compression.  Photos on a busy background are varied as a whole.
These are simulations: they train and calibrate; ``validate_model --test`` measures on real photos.
"""

from __future__ import annotations

import io
import math
from functools import cache

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from ml.answers import Array
from ml.training.simulated_backgrounds import make_background

MASK_SIDE = 112
"""Longest side at which the product is told from the background, in pixels."""
MAX_BACKGROUND_SPREAD = 14.0
"""Deviation from a smooth background, in grey levels of 255, above which a photo is not cut out."""
MASK_SHARES = (0.005, 0.75)
"""Smallest and largest share of a photo that can be a product."""
BACKGROUND_COUNT = 96
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def cut_out(photo: Image.Image) -> Image.Image | None:
    """Return the product's mask (mode L, the photo's size), or None if the background is not smooth.

    The background is a quadratic surface fitted to the border; what deviates from it clearly is the product.
    """
    small = photo.copy()
    small.thumbnail((MASK_SIDE, MASK_SIDE))
    deviation, spread = _background_deviation(np.asarray(small, dtype=np.float64))
    if spread > MAX_BACKGROUND_SPREAD:
        return None
    certain = deviation > max(34.0, 8 * spread)
    likely = ndimage.binary_closing(deviation > max(20.0, 5 * spread))
    mask = _fill_small_holes(ndimage.binary_propagation(certain, mask=likely | certain))
    if not MASK_SHARES[0] < mask.mean() < MASK_SHARES[1]:
        return None
    full = Image.fromarray((mask * 255).astype(np.uint8)).resize(photo.size, Image.Resampling.BILINEAR)
    return full.filter(ImageFilter.GaussianBlur(max(photo.size) / 450))


def _fill_small_holes(mask: Array) -> Array:
    """Return the mask without its holes of under one hundredth of it: reflections, not the inside of a ring."""
    holes, count = ndimage.label(~mask)
    areas = ndimage.sum_labels(~mask, holes, range(1, count + 1)) if count else np.zeros(0)
    small = [number for number, area in enumerate(areas, 1) if area < 0.01 * mask.sum()]
    return np.asarray(mask | np.isin(holes, small))


def _background_deviation(pixels: Array) -> tuple[Array, float]:
    """Return each pixel's distance to the smooth background, and the spread of the border around it."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    basis = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1).reshape(-1, 6)
    border = np.ones((height, width), dtype=bool)
    margin = max(3, round(0.06 * min(height, width)))
    border[margin:-margin, margin:-margin] = False
    selected, colours = border.ravel(), pixels.reshape(-1, 3)
    for _ in range(3):
        coefficients = np.linalg.lstsq(basis[selected], colours[selected], rcond=None)[0]
        distances = np.sqrt(np.square(colours - basis @ coefficients).sum(axis=1))
        spread = 1.5 * float(np.median(distances[selected])) + 1.5
        selected = border.ravel() & (distances < 3 * spread)
        if selected.sum() < 0.4 * border.sum():
            return distances.reshape(height, width), math.inf
    return distances.reshape(height, width), spread


def simulate(photo: Image.Image, mask: Image.Image | None, size: int, rng: np.random.Generator) -> Array:
    """Return a simulated phone photo of a product as (size, size, 3) bytes."""
    coefficients, factor = _random_viewpoint(photo.size, mask, size, rng)
    if factor < 1:  # shrink first, so that no details alias
        reduced = (max(8, round(photo.width * factor)), max(8, round(photo.height * factor)))
        mask = mask and mask.resize(reduced, Image.Resampling.BILINEAR)
        photo = photo.resize(reduced, Image.Resampling.BILINEAR, reducing_gap=2.0)
    pixels = _project(photo, coefficients, size, _border_colour(photo))
    pixels = _change_light(pixels, rng, 0.6)
    if mask is not None:
        alpha = _project(mask, coefficients, size, 0) / 255
        pixels = _lay_on(_random_background(size, rng), pixels, alpha, rng)
    return _take_photo(_change_light(pixels, rng, 0.8), rng)


def _random_viewpoint(
    photo_size: tuple[int, int], mask: Image.Image | None, size: int, rng: np.random.Generator
) -> tuple[Array, float]:
    """Return a random perspective from output to (reduced) input pixels, and the factor to reduce the photo by."""
    left, top, right, bottom = _find_box(photo_size, mask)
    half = max(right - left, bottom - top) / 2
    share = rng.uniform(0.3, 0.9) if mask is not None else rng.uniform(0.75, 1.3)
    scale = share * size / (2 * half)
    turn, axis = rng.normal(0, 0.35), rng.uniform(0, math.pi)
    squeeze = math.exp(rng.normal(0, 0.18))
    shape = _rotation(axis).T @ np.diag([squeeze, 1 / squeeze]) @ _rotation(axis)
    shape = scale * _rotation(turn) @ np.array([[1, rng.normal(0, 0.12)], [0, 1]]) @ shape
    if rng.random() < 0.5:
        shape = shape @ np.diag([-1, 1])
    room = max(0.0, 0.4 * (1 - share) * size)
    corners: Array = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    targets = corners @ shape.T + size / 2 + rng.uniform(-room, room, 2) + rng.normal(0, 0.05 * share * size, (4, 2))
    factor = min(1.0, 1.6 * scale)
    centre = np.array([left + right, top + bottom]) / 2
    sources = (corners + centre) * factor
    return _perspective(targets, sources), factor


def _find_box(size: tuple[int, int], mask: Image.Image | None) -> tuple[float, float, float, float]:
    """Return the product's box, or the largest centred square."""
    box = mask.point([0] * 100 + [255] * 156).getbbox() if mask is not None else None
    if box is not None:
        return box
    side = min(size)
    left, top = (size[0] - side) / 2, (size[1] - side) / 2
    return left, top, left + side, top + side


def _rotation(angle: float) -> Array:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _perspective(sources: Array, targets: Array) -> Array:
    """Return the eight coefficients, as Pillow takes them, of the perspective that maps four points to four others."""
    rows, values = [], []
    for (x, y), (u, v) in zip(sources, targets, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.asarray(np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0])


def _project(image: Image.Image, coefficients: Array, size: int, fill: int | tuple[int, ...]) -> Array:
    projected = image.transform(
        (size, size), Image.Transform.PERSPECTIVE, coefficients.tolist(), Image.Resampling.BILINEAR, fillcolor=fill
    )
    return np.asarray(projected, dtype=np.float32)


def _border_colour(photo: Image.Image) -> tuple[int, ...]:
    """Return the mean colour of the corners, for what lies outside of the photo."""
    corners = np.asarray(photo.resize((8, 8)), dtype=np.float32)[[0, 0, -1, -1], [0, -1, 0, -1]]
    return tuple(int(value) for value in corners.mean(axis=0))


@cache
def _backgrounds() -> tuple[Image.Image, ...]:
    return tuple(Image.fromarray(make_background(np.random.default_rng(seed))) for seed in range(BACKGROUND_COUNT))


def _random_background(size: int, rng: np.random.Generator) -> Array:
    background = _backgrounds()[rng.integers(BACKGROUND_COUNT)]
    side = int(background.width * rng.uniform(0.6, 1.0))
    left, top = (int(value) for value in rng.integers(0, background.width - side + 1, 2))
    window = background.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    if rng.random() < 0.5:
        window = window.transpose(Image.Transpose(int(rng.integers(0, 7))))
    pixels = np.asarray(window, dtype=np.float32)
    return pixels[..., rng.permutation(3)] if rng.random() < 0.3 else pixels


def _lay_on(background: Array, product: Array, alpha: Array, rng: np.random.Generator) -> Array:
    """Return the product on the background, usually with a soft shadow."""
    if rng.random() < 0.7:
        soft = Image.fromarray((alpha * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(rng.uniform(2, 8)))
        shadow = np.roll(np.asarray(soft, dtype=np.float32) / 255, rng.integers(-10, 11, 2), axis=(0, 1))
        background = background * (1 - shadow[..., None] * rng.uniform(0.1, 0.6))
    return np.asarray(product * alpha[..., None] + background * (1 - alpha[..., None]), dtype=np.float32)


def _change_light(pixels: Array, rng: np.random.Generator, strength: float) -> Array:
    """Vary saturation, contrast, brightness and colour cast."""
    brightness, saturation, contrast = np.asarray(np.exp(rng.normal(0, 0.2 * strength, 3)), dtype=np.float32)
    cast = np.asarray(np.exp(rng.normal(0, 0.09 * strength, 3)), dtype=np.float32)
    grey = (pixels @ LUMA)[..., None]
    varied = grey + (pixels - grey) * saturation
    mean = np.float32(grey.mean())
    return np.asarray(np.clip(((varied - mean) * contrast + mean) * (brightness * cast), 0, 255))


def _take_photo(pixels: Array, rng: np.random.Generator) -> Array:
    """Blur, add noise and compress, as phones do."""
    if rng.random() < 0.5:
        pixels = pixels + np.asarray(rng.normal(0, rng.uniform(1, 9), pixels.shape), dtype=np.float32)
    photo: Image.Image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.6:
        photo = photo.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.3)))
    if rng.random() < 0.6:
        stream = io.BytesIO()
        photo.save(stream, "JPEG", quality=int(rng.integers(30, 85)))
        photo = Image.open(stream)
    return np.asarray(photo.convert("RGB"), dtype=np.uint8)
