"""Draw backgrounds that stand for what lies under and behind a product in a customer's photo.

Cloth and stone (fine noise), wood (bent stripes), scenes (noise as natural images have it) and soft or hard shapes.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from ml.answers import Array

SIDE = 256
"""Width and height of a background, in pixels."""


def make_background(rng: np.random.Generator, side: int = SIDE) -> Array:
    """Return a random background as (side, side, 3) bytes."""
    colour = rng.uniform(20, 250) + rng.normal(0, rng.choice([8, 30]), 3)
    pixels = np.broadcast_to(colour, (side, side, 3)).copy()
    kind = rng.random()
    if kind < 0.45:
        pixels += _noise(rng, side, rng.uniform(0, 0.7))[..., None] * rng.uniform(2, 18)
        pixels += _noise(rng, side, 2.0)[..., None] * rng.uniform(0, 15) * rng.uniform(0.7, 1.3, 3)
    elif kind < 0.6:
        pixels += _stripes(rng, side)[..., None] * rng.uniform(5, 35) * rng.uniform(0.6, 1.2, 3)
        pixels += _noise(rng, side, 1.0)[..., None] * 8
    elif kind < 0.85:
        pixels += _noise(rng, side, rng.uniform(0.9, 1.5))[..., None] * rng.uniform(10, 50)
        pixels += np.stack([_noise(rng, side, rng.uniform(1, 1.8)) for _ in range(3)], axis=-1) * rng.uniform(5, 40)
    else:
        pixels = _shapes(rng, pixels)
    if rng.random() < 0.4:
        spread = rng.uniform(0.5, 5)
        pixels = ndimage.gaussian_filter(pixels, (spread, spread, 0))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, side: int, exponent: float) -> Array:
    """Return noise with a spectrum of 1 / frequency ** ``exponent``, mean 0, deviation 1."""
    frequencies = np.fft.fftfreq(side)
    radius = np.sqrt(np.square(frequencies[:, None]) + np.square(frequencies[None]))
    radius[0, 0] = 1 / side
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((side, side))) * radius**-exponent).real
    field -= field.mean()
    return np.asarray(field / (field.std() + 1e-9))


def _stripes(rng: np.random.Generator, side: int) -> Array:
    y, x = np.mgrid[0:side, 0:side] / side
    angle = rng.uniform(0, math.pi)
    phase = (x * math.cos(angle) + y * math.sin(angle)) * rng.uniform(4, 30)
    return np.asarray(np.sin(2 * math.pi * (phase + _noise(rng, side, 1.7) * rng.uniform(0.1, 0.8))))


def _shapes(rng: np.random.Generator, pixels: Array) -> Array:
    """Paint ellipses in any colour, with hard or soft edges."""
    side = len(pixels)
    y, x = np.mgrid[0:side, 0:side] / side
    for _ in range(int(rng.integers(6, 30))):
        dx, dy = x - rng.random(), y - rng.random()
        (width, height), angle = rng.uniform(0.02, 0.35, 2), rng.uniform(0, math.pi)
        across, along = dx * math.cos(angle) + dy * math.sin(angle), dy * math.cos(angle) - dx * math.sin(angle)
        distance = np.square(across / width) + np.square(along / height)
        alpha = 1 / (1 + np.exp(np.clip((distance - 1) * rng.uniform(1, 12), -30, 30)))[..., None]
        pixels = pixels * (1 - alpha) + alpha * rng.uniform(0, 255, 3)
    return pixels
