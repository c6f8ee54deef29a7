"""Write a synthetic site: reproducible content, file sizes like a bundler's output."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

SIZES = (300, 2_000, 8_000, 30_000)
FOLDERS = 20


def write_site(folder: Path, count: int, changed: int = 0) -> None:
    """Rewrite ``folder`` with ``count`` files, ``changed`` of them with different content and so different names.

    Both numbers include the front page.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(f"<title>{changed}</title>")
    for number in range(1, count):
        seed = f"{number}/{changed}" if number < changed else str(number)
        body = random.Random(seed).randbytes(SIZES[number % len(SIZES)])
        digest = hashlib.sha256(body).hexdigest()
        path = folder / "assets" / f"d{number % FOLDERS}" / f"chunk{number}-a1{digest[:8]}b.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
