"""References: what is one, and what it comes to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.manifest import check, expand, load
from orchestrator.manifest.references import MalformedReference, Reference, parse_text
from orchestrator.values import Ref, TemplateString
from orchestrator.vocabulary import Component

BASE = Path(__file__).parent / "base"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [""]),
        ("plain", ["plain"]),
        ("${bucket.files.name}", [Reference("bucket.files", "name")]),
        ("${project.region}", [Reference("project", "region")]),
        ("a-${project.name}-b", ["a-", Reference("project", "name"), "-b"]),
        ("$${bucket.files.name}", ["${bucket.files.name}"]),
        ("cost: $5 and $$", ["cost: $5 and $$"]),
        ("$${x}${project.name}", ["${x}", Reference("project", "name")]),
        ("${}", [MalformedReference("${}")]),
        ("${bucket.files}", [MalformedReference("${bucket.files}")]),
        ("${project.a.b}", [Reference("project.a", "b")]),
        ("${open", [MalformedReference("${open")]),
    ],
)
def test_parts(text: str, parts: list[object]) -> None:
    """Text is taken apart at references; `$${` stands for itself."""
    assert parse_text(text) == parts


@given(text=st.text("${}.ab ", max_size=30))
@example("${$${")
def test_nothing_is_lost(text: str) -> None:
    """Whatever the text, its parts put together again are the text, escapes apart."""
    together = "".join(part.text if isinstance(part, MalformedReference) else str(part) for part in parse_text(text))

    # An escape loses a dollar outside references and keeps it in malformed ones: dollars before a brace count once.
    assert re.sub(r"\$+\{| ", "{", together).replace("{", "") == re.sub(r"\$+\{| ", "{", text).replace("{", "")


def resolved(tmp_path: Path, environment: dict[str, str]) -> dict[str, Any]:
    """The service's environment, once its references are resolved."""
    for path in BASE.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    lines = "".join(f"    {name}: {value}\n" for name, value in environment.items())
    with (tmp_path / "api.yaml").open("a") as file:
        file.write(f"  environment:\n{lines}")
    stack = expand.build_stack(check.check(load.load(tmp_path), None))
    service: Component = stack.components["containerservice.api"]
    return dict(service.spec["environment"])


def test_what_they_come_to(tmp_path: Path) -> None:
    """Final values where they are known, references to outputs where AWS alone can tell."""
    found = resolved(
        tmp_path,
        {
            "BUCKET": "${bucket.files.name}",
            "REGISTRY": "${project.registry}/x",
            "HOST": "${database.main.host}",
            "URL": '"https://${database.main.host}:${database.main.port}/"',
            "LITERAL": "$${HOME}",
        },
    )
    host = Ref("rds_instance.main", "host")

    assert found["BUCKET"] == "shop-files-prod"
    assert found["REGISTRY"] == "123456789012.dkr.ecr.eu-west-1.amazonaws.com/x"
    assert found["HOST"] == host
    assert found["URL"].parts[:2] == ("https://", host)
    assert found["LITERAL"] == "${HOME}"


def test_components_may_refer_to_each_other(tmp_path: Path) -> None:
    """A bucket names the CDN that names the bucket: no circle, as no value depends on itself."""
    stack = expand.build_stack(check.check(load.load(BASE), None))
    origins = stack.components["bucket.files"].spec["cors"][0]["origins"]

    assert origins == [TemplateString(("https://", Ref("cloudfront_distribution.web", "domain")))]
    assert stack.get_export("project", "environment") == "prod"
