"""What real builds of seven frameworks leave, and what became of their names later: recorded in bundler_outputs.json.

The judge is history: a path whose content changed under the same name must never be kept for a year.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.artefacts.sites import media_types
from orchestrator.artefacts.sites.http_headers import IMMUTABLE_CACHE_CONTROL, cache_control, is_page

OUTPUTS: dict[str, dict[str, int]] = {
    name: paths
    for name, paths in json.loads((Path(__file__).parent / "bundler_outputs.json").read_text()).items()
    if name != "source"
}
DOCUMENTED = ("sveltekit", "nuxt", "next")
"""Frameworks that document a folder whose files never change."""


@pytest.mark.parametrize("framework", OUTPUTS)
def test_no_name_that_stays_is_kept_for_a_year(framework: str) -> None:
    changed = [path for path, contents in OUTPUTS[framework].items() if contents > 1]
    assert bool(changed) is (framework not in {"next", "sveltekit"})
    assert {path: cache_control(path) for path in changed} == dict.fromkeys(changed, "no-cache")


@pytest.mark.parametrize("framework", OUTPUTS)
def test_only_documented_folders_are_kept_without_a_manifest_of_the_bundler(framework: str) -> None:
    """A name that looks like one with a hash is no evidence (``test_bundler_manifests.py`` has the manifests)."""
    hashed = [path for path, contents in OUTPUTS[framework].items() if contents == 1]
    kept = [path for path in hashed if cache_control(path) == IMMUTABLE_CACHE_CONTROL]
    assert kept == (hashed if framework in DOCUMENTED else [])


@pytest.mark.parametrize("framework", OUTPUTS)
def test_every_file_has_its_type(framework: str) -> None:
    assert [path for path in OUTPUTS[framework] if media_types.find(path) is None] == []


def test_only_pages_are_removed_by_their_name() -> None:
    """What a page loads later stays, whatever its name: no guess decides what is deleted."""
    paths = {path for output in OUTPUTS.values() for path in output}
    assert {path for path in paths if is_page(path)} == {"index.html", "200.html", "404.html"}
