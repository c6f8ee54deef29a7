"""Parse S3 listings quickly: botocore takes 12 ms of CPU time for a thousand objects, expat less than 3 ms.

A ``before-parse`` hook of botocore may parse a part of a response.  This one parses the objects, which are nearly all
of a listing; botocore parses the rest, and every listing with fields that are unknown here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

OPENING_TAG, CLOSING_TAG = b"<Contents>", b"</Contents>"
TEXT_FIELDS = ("Key", "ETag", "StorageClass", "ChecksumType")
FieldParser = Callable[[Any], Any]


class ListingParser:
    """Parses the objects of ListObjectsV2; ``parse_timestamp`` parses a time."""

    def __init__(self, parse_timestamp: Callable[[Any], datetime]) -> None:
        self._parsers: dict[str, FieldParser] = {"Size": int, "LastModified": parse_timestamp}
        self._parsers |= {
            "ChecksumAlgorithm": lambda text: [_parse_text(text)],
            **dict.fromkeys(TEXT_FIELDS, _parse_text),
        }

    def parse_response(self, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
        """Move the objects from the body to the parsed response; a hook for botocore's ``before-parse``.

        Leaves invalid XML unchanged: botocore reports the error.
        """
        body: bytes = response_dict["body"]
        start, stop = body.find(OPENING_TAG), body.rfind(CLOSING_TAG) + len(CLOSING_TAG)
        if start < 0 or response_dict["status_code"] >= 300:
            return
        try:
            root = ET.fromstring(b"<objects>%b</objects>" % body[start:stop])  # noqa: S314 - expat, no entities
            objects = [self._parse_object(item) for item in root]
        except (ET.ParseError, KeyError, ValueError, TypeError):
            return
        response_dict["body"] = body[:start] + body[stop:]
        customized_response_dict["Contents"] = objects

    def _parse_object(self, item: ET.Element) -> dict[str, Any]:
        """Return one object as botocore would parse it.  Raises KeyError for an unknown or repeated field."""
        if item.tag != "Contents":
            raise KeyError(item.tag)
        fields = {member.tag: self._parsers[member.tag](member.text) for member in item}
        if len(fields) < len(item):
            raise KeyError(item.tag)
        return fields


def _parse_text(text: str | None) -> str:
    return text or ""
