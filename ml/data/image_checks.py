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
from ml.data.dataset import FileIssue, Photo
from ml.data.preprocessing import MAX_PIXELS, flatten_transparency
from orchestrator.storage.content_types import HEAD_BYTES, sniff

MIN_SIDE_PIXELS = 64
"""Pixels of the shorter side below which a picture is too small to learn from."""
MAX_HASH_DISTANCE = 4
"""Of the 64 bits of two perceptual hashes, how many may differ between pictures that look the same."""
DRAFT_SIZE = (512, 512)
IMAGE_FORMATS = {
    "image/jpeg": ("JPEG", {".jpg", ".jpeg", ".jpe", ".jfif"}), "image/png": ("PNG", {".png"}),
    "image/webp": ("WebP", {".webp"}), "image/gif": ("GIF", {".gif"}), "image/bmp": ("BMP", {".bmp"}),
    "image/tiff": ("TIFF", {".tif", ".tiff"}), "image/avif": ("AVIF", {".avif"}),
    "image/heic": ("HEIC", {".heic", ".heif"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """What was seen in a file; ``trouble``: why it teaches nothing, ``note``: what else there is to say."""

    sha256: str
    bytes: int
    width: int = 0
    height: int = 0
    phash: str = ""
    trouble: str = ""
    note: str = ""


def check_image(path: Path) -> ImageCheck:
    """Look at a file.  Raises OSError when it is not there."""
    size, checksum = path.stat().st_size, sha256(path)
    with path.open("rb") as stream:
        content_type = sniff(stream.read(HEAD_BYTES))
    if not size:
        return ImageCheck(checksum, size, trouble="is empty")
    if content_type not in IMAGE_FORMATS:
        return ImageCheck(checksum, size, trouble="is no picture")
    try:
        width, height, phash = _decode(path)
    except UnidentifiedImageError:
        return ImageCheck(
            checksum, size, trouble=f"is {IMAGE_FORMATS[content_type][0]}, which cannot be read here: save it as JPEG"
        )
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        return ImageCheck(
            checksum, size, trouble=f"is broken: {str(error).splitlines()[0][:120] if str(error) else 'cut off'}"
        )
    format_name, suffixes = IMAGE_FORMATS[content_type]
    has_wrong_suffix = path.suffix.lower() not in suffixes
    return ImageCheck(
        checksum,
        size,
        width,
        height,
        phash,
        note=f"is {format_name}, whatever its name says" if has_wrong_suffix else "",
    )


def _decode(path: Path) -> tuple[int, int, str]:
    """Width, height and perceptual hash of a picture that can be read to its end."""
    import imagehash

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width} x {height} pixels are too many")
            image.draft("RGB", DRAFT_SIZE)
            image.load()
            upright = flatten_transparency(ImageOps.exif_transpose(image))
    return width, height, str(imagehash.phash(upright))


def find_duplicates(photos: Iterable[Photo]) -> dict[str, str]:
    """Files that are the same byte for byte: why each of them is left out, by path.

    Of one product the first stays; a file that is two products' is neither's, as it would teach to confuse them.
    """
    by_checksum: dict[str, list[Photo]] = defaultdict(list)
    for photo in sorted(photos, key=lambda item: item.path):
        by_checksum[photo.sha256].append(photo)
    reasons: dict[str, str] = {}
    for duplicates in by_checksum.values():
        products = sorted({item.product for item in duplicates})
        if len(products) > 1:
            reasons |= {item.path: f"is the same file for {' and '.join(products)}" for item in duplicates}
        else:
            reasons |= {item.path: f"is the same file as {duplicates[0].path}" for item in duplicates[1:]}
    return reasons


def find_lookalikes(photos: Sequence[Photo], max_distance: int = MAX_HASH_DISTANCE) -> Iterator[FileIssue]:
    """Photos that look like an earlier one, nearest first named; they stay, training keeps them on one side."""
    hashes = np.array([int(photo.phash, 16) for photo in photos], dtype=np.uint64)
    for index in range(1, len(photos)):
        distances = np.bitwise_count(hashes[:index] ^ hashes[index])
        nearest = int(distances.argmin())
        if distances[nearest] <= max_distance:
            candidate, earlier = photos[index], photos[nearest]
            owner_text = "" if candidate.product == earlier.product else f", which is {earlier.product}"
            yield FileIssue(
                candidate.path,
                f"looks like {earlier.path}{owner_text}",
                candidate.product,
                candidate.key,
                candidate.etag,
            )


def count_reasons(issues: Iterable[FileIssue]) -> Mapping[str, int]:
    """How many remarks begin alike, the most frequent first: "is broken" 3."""
    counts: dict[str, int] = defaultdict(int)
    for issue in issues:
        words = issue.reason.split(":")[0].split(",")[0].split()
        counts[" ".join(words[: 4 if words[:2] != ["looks", "like"] else 2])] += 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
