"""No rule of S3 or ECR that a manifest can ask for takes what a release that is kept may need.

The rules are what the manifests expand to; what they would do is worked out here by S3's and ECR's own words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.vocabulary import Resource
from tests.components.manifest_stacks import make_document

PROJECT = """\
apiVersion: orchestrator/v1
kind: Project
metadata: { name: shop }
spec: { repository: shop/web, region: eu-west-1, account: "123456789012", releases: {bucket: bucket.releases} }
"""
API = make_document("ContainerService", "api", "{image: {repository: shop-api, build: {context: .}, keep: 2}}")
NEEDED = {
    "releases": ("ledger/prod.json", "sites/shop-web/ab.json", "bodies/ab", "models/shop-files/1.json", "migrations/x"),
    "web": ("index.html", "assets/app-1a2b3c4d.js", "photos.html", ".orchestrator/site/ab", "up.js"),
    "files": ("ml-models/current.json", "ml-models/1/model.onnx"),
}
SPECS: Mapping[str, Mapping[str, Any]] = {
    "releases": {},
    "web": {"spa": {"dir": "dist"}, "prefixes": ["up"]},
    "files": {"prefixes": ["ml-models", "photos"]},
}
PREFIXES = (
    *("", "b", "bodies/", "bodies/a", "sites", "ledger/prod.json", "models/", "logs/", "ml-models", "ml-models/1/"),
    *("photos/", "assets/", "up/", "up", "index.html", ".orchestrator/", "m"),
)
CLASSES = ("STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE", "INTELLIGENT_TIERING")
UNREADABLE = {"GLACIER", "DEEP_ARCHIVE"}

moves = st.builds(lambda days, name: {"afterDays": days, "storageClass": name}, st.just(40), st.sampled_from(CLASSES))
rules = st.fixed_dictionaries(
    {"prefix": st.sampled_from(PREFIXES)},
    optional={
        "expireAfterDays": st.integers(50, 90),
        "expireOldVersionsAfterDays": st.integers(50, 90),
        "transitions": st.lists(moves, min_size=1, max_size=1),
        "oldVersionTransitions": st.lists(moves, min_size=1, max_size=1),
    },
).filter(lambda rule: len(rule) > 1)


def written(folder: Path, name: str, lifecycle: Mapping[str, Any]) -> None:
    """A project whose bucket ``name`` has these rules."""
    buckets = [
        make_document(
            "Bucket",
            one,
            json.dumps({"name": f"shop-{one}", **spec} | ({"lifecycle": lifecycle} if one == name else {})),
        )
        for one, spec in SPECS.items()
    ]
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "stack.yaml").write_text("---\n".join([PROJECT, API, *buckets]))


def expanded(folder: Path) -> tuple[Resource, ...] | Problems:
    """The resources, or why there are none."""
    try:
        return pipeline.load_desired(folder, "prod", include_artefacts=False).resources
    except Problems as refused:
        return refused


def taken(bucket: Resource, keys: Iterable[str]) -> set[str]:
    """Of current versions of these objects, those that some rule removes, or puts where they cannot be read."""
    found: set[str] = set()
    for rule in bucket.spec["lifecycle"]:
        archives = any(move["StorageClass"] in UNREADABLE for move in rule.get("Transitions", ()))
        if "Days" in rule.get("Expiration", {}) or archives:
            found |= {key for key in keys if key.startswith(rule["Filter"]["Prefix"])}
    return found


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(tuple(SPECS)),
    general=st.fixed_dictionaries({}, optional={"expireOldVersionsAfterDays": st.integers(1, 9)}),
    chosen=st.lists(rules, max_size=2, unique_by=lambda rule: rule["prefix"]),
)
@example(name="releases", general={}, chosen=[{"prefix": "bod", "expireAfterDays": 50}])
@example(name="web", general={}, chosen=[{"prefix": "", "expireAfterDays": 50}])
def test_what_a_release_needs_is_never_expired(
    name: str, general: dict[str, Any], chosen: list[dict[str, Any]]
) -> None:
    """Whatever the rules are: they are refused beforehand, or they leave it alone; and all else is allowed."""
    with TemporaryDirectory() as folder:
        written(Path(folder), name, {**general, "rules": chosen})
        found = expanded(Path(folder))
    if isinstance(found, Problems):
        assert chosen
        assert all("that a release might need" in problem.message for problem in found.problems), found
        return
    resources = {one.address: one for one in found}
    for bucket, keys in NEEDED.items():
        assert taken(resources[f"s3_bucket.{bucket}"], keys) == set()
    # Every image of a release has a tag, its SBOM has none.
    assert resources["ecr_repository.api"].spec["lifecycle"] is None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            "{spa: {dir: dist}, lifecycle: {rules: [{prefix: assets/, expireAfterDays: 30}]}}",
            "remove files of the site",
        ),
        ("{prefixes: [ml-models], lifecycle: {rules: [{expireAfterDays: 30}]}}", "remove models"),
        (
            "{prefixes: [ml-models], lifecycle: {rules: [{transitions: [{afterDays: 9, storageClass: GLACIER}]}]}}",
            "archive models",
        ),
    ],
)
def test_a_rule_that_would_take_it_is_refused(tmp_path: Path, spec: str, said: str) -> None:
    (tmp_path / "stack.yaml").write_text(
        "---\n".join([PROJECT, make_document("Bucket", "releases", "{}"), make_document("Bucket", "web", spec)])
    )
    with pytest.raises(Problems, match=f"this rule would {said} that a release might need"):
        pipeline.load_desired(tmp_path, "prod", include_artefacts=False)


def test_other_rules_are_fine(tmp_path: Path) -> None:
    """What no release ships may go when it likes."""
    for prefix in ("photos/", "logs/"):
        written(tmp_path, "files", {"rules": [{"prefix": prefix, "expireAfterDays": 30}]})
        assert isinstance(expanded(tmp_path), tuple)
