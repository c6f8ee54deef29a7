"""The quick reading of S3's listings against botocore's own."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

import botocore.session
import pytest
from botocore.parsers import ResponseParserError, RestXMLParser
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.aws.s3_listing import ListingParser

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
MODEL = botocore.session.get_session().get_service_model("s3")
SHAPE = MODEL.operation_model("ListObjectsV2").output_shape
WHOLE = {
    "Key": "assets/app-1a2b.js",
    "LastModified": "2026-11-29T12:32:17.000Z",
    "ETag": '"d41d8cd98f00b204e9800998ecf8427e"',
    "Size": "12",
    "StorageClass": "STANDARD",
    "ChecksumAlgorithm": "CRC64NVME",
    "ChecksumType": "FULL_OBJECT",
}
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))


def parsed(body: str, *, quickly: bool, status: int = 200) -> tuple[dict[str, Any], bytes]:
    """The listing as botocore gives it, and what of it botocore had to parse."""
    answer: dict[str, Any] = {"headers": {}, "status_code": status, "body": body.encode(), "context": {}}
    read: dict[str, Any] = {}
    if quickly:
        ListingParser(parse_timestamp).parse_response(
            response_dict=answer, customized_response_dict=read, operation_model=None
        )
    found: dict[str, Any] = RestXMLParser().parse(answer, SHAPE)
    return {**found, **read}, answer["body"]


def listing(*objects: dict[str, str], more: str = "") -> str:
    items = ["".join(f"<{name}>{escape(text)}</{name}>" for name, text in item.items()) for item in objects]
    contents = "".join(f"<Contents>{item}</Contents>" for item in items)
    return f"{HEAD}<Name>shop</Name><KeyCount>{len(objects)}</KeyCount>{contents}{more}</ListBucketResult>"


@given(st.lists(st.fixed_dictionaries({"Key": TEXT, "Size": st.integers(0).map(str)}, optional={"ETag": TEXT})))
def test_objects_are_what_botocore_reads(objects: list[dict[str, str]]) -> None:
    """Whatever they are called, and none of them is left to botocore."""
    body = listing(*({**WHOLE, **one} for one in objects), more="<IsTruncated>true</IsTruncated>")
    quick, left = parsed(body, quickly=True)

    assert quick == parsed(body, quickly=False)[0]
    assert b"<Contents>" not in left


@pytest.mark.parametrize(
    "body",
    [
        listing({**WHOLE, "Owner": "x"}),
        listing({**WHOLE, "SomethingOfTomorrow": "x"}),
        listing(WHOLE, more="<Delimiter>/</Delimiter><Contents><Key>b</Key></Contents>"),
    ],
    ids=["an owner", "a member that is not known", "something in between"],
)
def test_what_is_not_known_is_left_to_botocore(body: str) -> None:
    """All of the listing."""
    quick, left = parsed(body, quickly=True)

    assert left == body.encode()
    assert quick == parsed(body, quickly=False)[0]


def test_half_an_answer_is_left_to_botocore() -> None:
    """Which says that it is no XML."""
    with pytest.raises(ResponseParserError, match="invalid XML"):
        parsed(listing(WHOLE, WHOLE)[:-200], quickly=True)


def test_an_error_is_left_to_botocore() -> None:
    """Even one that has the words of a listing in it."""
    body = "<Error><Code>AccessDenied</Code><Message>x</Message><Contents><Key>a</Key></Contents></Error>"

    assert parsed(body, quickly=True, status=403) == parsed(body, quickly=False, status=403)
