"""A folder as a site."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from orchestrator import canonical_json
from orchestrator.artefacts import Site
from orchestrator.artefacts.sites.folder import scan
from orchestrator.problems import Problems


def site(folder: Path, **files: str) -> Path:
    """A folder of files; ``__`` stands for a slash, ``_`` for a dot."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_site_is_its_bytes_and_headers(tmp_path: Path) -> None:
    found = scan(site(tmp_path, index_html="hello", assets__app_js="x"))

    page = found.files["index.html"]
    assert page.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert page.md5 == hashlib.md5(b"hello", usedforsecurity=False).hexdigest()
    assert (page.size, page.entry) == (5, True)
    assert list(found.files) == ["assets/app.js", "index.html"]


def test_times_and_places_mean_nothing(tmp_path: Path) -> None:
    one = scan(site(tmp_path / "one", index_html="hello"))
    os.utime(site(tmp_path / "two", index_html="hello") / "index.html", (1, 1))

    assert scan(tmp_path / "two").digest == one.digest


def test_one_other_byte_is_another_site(tmp_path: Path) -> None:
    before = scan(site(tmp_path, index_html="hello", app_js="1"))

    assert scan(site(tmp_path, app_js="2")).digest != before.digest


def test_an_index_comes_back_as_it_was(tmp_path: Path) -> None:
    found = scan(site(tmp_path, index_html="hello"))

    assert canonical_json.load(canonical_json.dump(found), Site) == found


def test_all_that_cannot_be_served_is_said_at_once(tmp_path: Path) -> None:
    site(tmp_path / "outside", secret_txt="s")
    folder = site(tmp_path / "dist", _orchestrator__x="1")
    (folder / "link.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (folder / "linked").symlink_to(tmp_path / "outside")
    (folder / "a\nb.txt").write_text("x")
    os.mkfifo(folder / "pipe")

    with pytest.raises(Problems) as caught:
        scan(folder)

    said = str(caught.value)
    for part in (
        "outside the folder",
        "link to a folder",
        "control characters",
        "not a regular file",
        "is reserved for",
    ):
        assert part in said


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_a_site_that_was_not_built_is_no_site(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(Problems, match="build the site first"):
        scan(tmp_path / name)
