"""Tags as AWS takes them: letters of any script, digits, spaces and _ . : / = + - @.

Source: AWS General Reference, "Tag naming limits and requirements".
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.components import manifest_stacks
from tests.components.manifest_stacks import make_document

KINDS = {
    "Bucket": "name: shop-files",
    "Budget": "limit: 10\nalerts: [50]\nemail: [ops@shop.example]",
    "Cdn": "origin: bucket.files",
}
FILES = make_document("Bucket", "files", "name: shop-web")


def documents(kind: str, key: str, value: str) -> list[str]:
    name = "files" if kind == "Bucket" else "x"
    document = make_document(kind, name, f'{KINDS[kind]}\ntags: {{ "{key}": "{value}" }}')
    return [document, FILES] if kind == "Cdn" else [document]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["Joyería", "宝石", "Σίδερο 7", "a_b.c:d/e=f+g-h@i"])
def test_letters_of_any_script_are_taken(tmp_path: Path, kind: str, text: str) -> None:
    assert manifest_stacks.load_resources(tmp_path, *documents(kind, text, text))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("key", "value"), [("team", "a*b"), ("te(am", "x"), ("aws:team", "x"), ("team", "x" * 257)])
def test_what_aws_refuses_is_refused(tmp_path: Path, kind: str, key: str, value: str) -> None:
    assert manifest_stacks.list_problems(tmp_path, *documents(kind, key, value))
