"""Every listing is read to its end: by botocore's paginator, or by the token where botocore's model has it.

What is on the second page and not read would be absent, and a plan would create it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import DataNotFoundError
from botocore.model import StructureShape
from botocore.session import Session

import orchestrator
from orchestrator.aws.clients import find_next_page

SESSION = Session()
LISTING = re.compile(r"""\.(?:all|pages)\(\s*"([a-z0-9-]+)",\s*"([a-z0-9_]+)""")
TOKEN = re.compile("token|marker", re.IGNORECASE)


def list_listings() -> list[tuple[str, str]]:
    """The operations of which the product reads all pages."""
    files = Path(orchestrator.__file__).parent.rglob("*.py")
    return sorted({match for path in files for match in LISTING.findall(path.read_text(encoding="utf-8"))})


def has_paginator(service: str, name: str) -> bool:
    try:
        return name in SESSION.get_paginator_model(service)._paginator_config
    except DataNotFoundError:
        return False


def iter_last_pages(shape: StructureShape) -> Iterator[dict[str, Any]]:
    """The response without its token, and with each token that its model has, as a page before the last has it."""
    for name, member in shape.members.items():
        if TOKEN.search(name):
            yield {name: "next"}
        elif member.type_name == "structure":
            yield from ({name: {"Items": [], token: "next"}} for token in member.members if re.match("Next", token))


@pytest.mark.parametrize(("service", "operation"), list_listings(), ids=":".join)
def test_a_listing_is_read_to_its_end(service: str, operation: str) -> None:
    model = SESSION.get_service_model(service)
    name = next(name for name in model.operation_names if xform_name(name) == operation)
    shapes = model.operation_model(name)
    tokens = [] if has_paginator(service, name) else list(iter_last_pages(shapes.output_shape))
    following = [find_next_page(page) for page in tokens]

    assert [sorted(parameters) for parameters in following if set(parameters) - shapes.input_shape.members.keys()] == []
    assert all(list(parameters.values()) == ["next"] for parameters in following)


def test_the_last_page_has_none_after_it() -> None:
    page = {"FunctionList": {"MaxItems": 100, "Items": []}, "ResponseMetadata": {"HTTPStatusCode": 200}}

    assert find_next_page(page) == {}
    assert len(list_listings()) > 40
