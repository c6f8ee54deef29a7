"""What is in one file: size, checksum, perceptual hash, or why it teaches nothing; and who looks like whom."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ml.atomic_files import sha256
from ml.data.dataset import Photo, Remark
from ml.data.preprocessing import MOST_PIXELS, on_ground
from orchestrator.storage.content import HEAD, sniff

SMALLEST = 64
"""Pixels of the shorter side below which a picture is too small to learn from."""
ALIKE = 4
"""Of the 64 bits of two perceptual hashes, how many may differ between pictures that look the same."""
SKETCH = (512, 512)
NAMES = {
    "image/jpeg": ("JPEG", {".jpg", ".jpeg", ".jpe", ".jfif"}), "image/png": ("PNG", {".png"}),
    "image/webp": ("WebP", {".webp"}), "image/gif": ("GIF", {".gif"}), "image/bmp": ("BMP", {".bmp"}),
    "image/tiff": ("TIFF", {".tif", ".tiff"}), "image/avif": ("AVIF", {".avif"}),
    "image/heic": ("HEIC", {".heic", ".heif"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen in a file; ``trouble``: why it teaches nothing, ``note``: what else there is to say."""

    sha256: str
    bytes: int
    width: int = 0
    height: int = 0
    phash: str = ""
    trouble: str = ""
    note: str = ""


def look(path: Path) -> Looked:
    """Look at a file.  Raises OSError when it is not there."""
    size, sums = path.stat().st_size, sha256(path)
    with path.open("rb") as stream:
        kind = sniff(stream.read(HEAD))
    if not size:
        return Looked(sums, size, trouble="is empty")
    if kind not in NAMES:
        return Looked(sums, size, trouble="is no picture")
    try:
        width, height, phash = _seen(path)
    except UnidentifiedImageError:
        return Looked(sums, size, trouble=f"is {NAMES[kind][0]}, which cannot be read here: save it as JPEG")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        return Looked(sums, size, trouble=f"is broken: {str(error).splitlines()[0][:120] if str(error) else 'cut off'}")
    name, endings = NAMES[kind]
    wrong = path.suffix.lower() not in endings
    return Looked(sums, size, width, height, phash, note=f"is {name}, whatever its name says" if wrong else "")


def _seen(path: Path) -> tuple[int, int, str]:
    """Width, height and perceptual hash of a picture that can be read to its end."""
    import imagehash

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise ValueError(f"{width} x {height} pixels are too many")
            image.draft("RGB", SKETCH)
            image.load()
            upright = on_ground(ImageOps.exif_transpose(image))
    return width, height, str(imagehash.phash(upright))


def doubled(photos: Iterable[Photo]) -> dict[str, str]:
    """Files that are the same byte for byte: why each of them is left out, by path.

    Of one product the first stays; a file that is two products' is neither's, as it would teach to confuse them.
    """
    same: dict[str, list[Photo]] = defaultdict(list)
    for photo in sorted(photos, key=lambda one: one.path):
        same[photo.sha256].append(photo)
    told: dict[str, str] = {}
    for ones in same.values():
        products = sorted({one.product for one in ones})
        if len(products) > 1:
            told |= {one.path: f"is the same file for {' and '.join(products)}" for one in ones}
        else:
            told |= {one.path: f"is the same file as {ones[0].path}" for one in ones[1:]}
    return told


def lookalikes(photos: Sequence[Photo], most: int = ALIKE) -> Iterator[Remark]:
    """Photos that look like an earlier one, nearest first named; they stay, training keeps them on one side."""
    hashes = np.array([int(photo.phash, 16) for photo in photos], dtype=np.uint64)
    for index in range(1, len(photos)):
        apart = np.bitwise_count(hashes[:index] ^ hashes[index])
        nearest = int(apart.argmin())
        if apart[nearest] <= most:
            one, other = photos[index], photos[nearest]
            whose = "" if one.product == other.product else f", which is {other.product}"
            yield Remark(one.path, f"looks like {other.path}{whose}", one.product, one.key, one.etag)


def counted(remarks: Iterable[Remark]) -> Mapping[str, int]:
    """How many remarks begin alike, the most frequent first: "is broken" 3."""
    kinds: dict[str, int] = defaultdict(int)
    for remark in remarks:
        words = remark.reason.split(":")[0].split(",")[0].split()
        kinds[" ".join(words[: 4 if words[:2] != ["looks", "like"] else 2])] += 1
    return dict(sorted(kinds.items(), key=lambda item: -item[1]))
