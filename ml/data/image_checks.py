"""Check image files: size, checksum, perceptual hash, unusable files, duplicates and lookalikes."""

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
from ml.data.preprocessing import MAX_PIXELS, flatten_transparency, is_blank, register_formats
from orchestrator.storage.content_types import HEAD_BYTES, sniff

MIN_SIDE_PIXELS = 64
"""Minimum length of the shorter side of a photo, in pixels."""
MAX_HASH_DISTANCE = 4
"""Maximum Hamming distance, out of 64 bits, between the perceptual hashes of photos that look the same."""
DRAFT_SIZE = (512, 512)
IMAGE_FORMATS = {
    "image/jpeg": ("JPEG", {".jpg", ".jpeg", ".jpe", ".jfif"}), "image/png": ("PNG", {".png"}),
    "image/webp": ("WebP", {".webp"}), "image/gif": ("GIF", {".gif"}), "image/bmp": ("BMP", {".bmp"}),
    "image/tiff": ("TIFF", {".tif", ".tiff"}), "image/avif": ("AVIF", {".avif"}),
    "image/heic": ("HEIC", {".heic", ".heif"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """The result of checking a file; ``trouble``: why it is unusable, ``note``: a warning about a usable file."""

    sha256: str
    bytes: int
    width: int = 0
    height: int = 0
    phash: str = ""
    trouble: str = ""
    note: str = ""


def check_image(path: Path) -> ImageCheck:
    """Check a file.  Raises OSError if it does not exist."""
    size, checksum = path.stat().st_size, sha256(path)
    with path.open("rb") as stream:
        content_type = sniff(stream.read(HEAD_BYTES))
    if not size:
        return ImageCheck(checksum, size, trouble="is empty")
    if content_type not in IMAGE_FORMATS:
        return ImageCheck(checksum, size, trouble="is not an image")
    try:
        width, height, phash, note = _decode(path)
    except UnidentifiedImageError:
        return ImageCheck(
            checksum, size, trouble=f"has the unsupported format {IMAGE_FORMATS[content_type][0]}: save it as JPEG"
        )
    except _UnusableError as error:
        return ImageCheck(checksum, size, error.width, error.height, trouble=str(error))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        return ImageCheck(
            checksum, size, trouble=f"is corrupt: {str(error).splitlines()[0][:120] if str(error) else 'truncated'}"
        )
    format_name, suffixes = IMAGE_FORMATS[content_type]
    has_wrong_suffix = path.suffix.lower() not in suffixes
    return ImageCheck(
        checksum,
        size,
        width,
        height,
        phash,
        note=f"is a {format_name} despite its file extension" if has_wrong_suffix else note,
    )


class _UnusableError(Exception):
    """The file is a whole picture that cannot be used; the message completes a sentence that starts with its path."""

    def __init__(self, message: str, width: int, height: int) -> None:
        super().__init__(message)
        self.width, self.height = width, height


def _decode(path: Path) -> tuple[int, int, str, str]:
    """Decode an image completely; return its width, height, perceptual hash and what to note.

    Raises _UnusableError if it is too large or blank.
    """
    import imagehash

    register_formats()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _UnusableError(f"is too large: {width} x {height} pixels, limit {MAX_PIXELS:,}", width, height)
            note = (
                "has 16 bits per channel, which are reduced to 8 as in browsers" if image.mode.startswith("I") else ""
            )
            image.draft("RGB", DRAFT_SIZE)
            image.load()
            upright = flatten_transparency(ImageOps.exif_transpose(image))
            if is_blank(upright):
                raise _UnusableError("is blank: it has only one colour", width, height)
    return width, height, str(imagehash.phash(upright)), note


def find_duplicates(photos: Iterable[Photo]) -> dict[str, str]:
    """Find byte-identical files; return the reason for rejecting each, by path.

    Within one product the first file is kept.  A file that appears under two products is rejected for both, because it
    would train the model to confuse them.
    """
    by_checksum: dict[str, list[Photo]] = defaultdict(list)
    for photo in sorted(photos, key=lambda item: item.path):
        by_checksum[photo.sha256].append(photo)
    reasons: dict[str, str] = {}
    for duplicates in by_checksum.values():
        products = sorted({item.product for item in duplicates})
        if len(products) > 1:
            reasons |= {item.path: f"appears under several products: {' and '.join(products)}" for item in duplicates}
        else:
            reasons |= {item.path: f"is identical to {duplicates[0].path}" for item in duplicates[1:]}
    return reasons


def find_lookalikes(photos: Sequence[Photo], max_distance: int = MAX_HASH_DISTANCE) -> Iterator[FileIssue]:
    """Find photos that look like an earlier one; they are kept, and the split puts them in the same set."""
    hashes = np.array([int(photo.phash, 16) for photo in photos], dtype=np.uint64)
    for index in range(1, len(photos)):
        distances = np.bitwise_count(hashes[:index] ^ hashes[index])
        nearest = int(distances.argmin())
        if distances[nearest] <= max_distance:
            candidate, earlier = photos[index], photos[nearest]
            owner_text = "" if candidate.product == earlier.product else f" (product {earlier.product})"
            yield FileIssue(
                candidate.path,
                f"looks like {earlier.path}{owner_text}",
                candidate.product,
                candidate.key,
                candidate.etag,
            )


def count_reasons(issues: Iterable[FileIssue]) -> Mapping[str, int]:
    """Count issues by the first words of their reason, the most frequent first: ``{"is corrupt": 3}``."""
    counts: dict[str, int] = defaultdict(int)
    for issue in issues:
        words = issue.reason.split(":")[0].split(",")[0].split()
        counts[" ".join(words[: 4 if words[:2] != ["looks", "like"] else 2])] += 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
