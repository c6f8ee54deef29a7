"""What CloudFront's things have in common: ids, ETags that must match, lists by marker, quantities.  Pure."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def now() -> datetime:
    """The time as CloudFront stamps it."""
    return datetime.now(UTC).replace(microsecond=0)


def entity_id() -> str:
    """An id or ETag: E and 13 letters and digits."""
    return "E" + "".join(secrets.choice(_LETTERS) for _ in range(13))


@dataclass
class Entity:
    """A thing with a configuration and an ETag that changes with every update."""

    id: str
    config: Params
    etag: str = field(default_factory=entity_id)
    modified: datetime = field(default_factory=now)
    past: set[str] = field(default_factory=set)

    def match(self, given: str | None) -> None:
        """Check an IfMatch: PreconditionFailed when stale, InvalidIfMatchVersion when missing or never issued."""
        if given == self.etag:
            return
        if given in self.past:
            raise AwsError("PreconditionFailed", "The request failed because it didn't meet the preconditions.", 412)
        message = "The If-Match version is missing or not valid for the resource."
        raise AwsError("InvalidIfMatchVersion", message, 400)

    def replace(self, config: Params) -> None:
        """Take a new configuration and a new ETag."""
        self.past.add(self.etag)
        self.config, self.etag, self.modified = config, entity_id(), now()


def listing(items: Sequence[Any], params: Params) -> Params:
    """The members every CloudFront list has, for one page of items."""
    start = int(params.get("Marker") or 0)
    size = int(params.get("MaxItems") or 100)
    shown = list(items[start : start + size])
    more = start + size < len(items)
    page: Params = {
        "Marker": params.get("Marker") or "",
        "MaxItems": size,
        "IsTruncated": more,
        "Quantity": len(shown),
    }
    if more:
        page["NextMarker"] = str(start + size)
    if shown:
        page["Items"] = shown
    return page


def check_quantities(value: Any, path: str = "") -> None:
    """Raise InconsistentQuantities where a Quantity is not the number of Items beside it."""
    if isinstance(value, list):
        for item in value:
            check_quantities(item, path)
    elif isinstance(value, dict):
        items = value.get("Items") or []
        if "Quantity" in value and value["Quantity"] != len(items):
            message = f"The value of Quantity and the size of Items don't match{f' in {path}' if path else ''}."
            raise AwsError("InconsistentQuantities", message, 400)
        for name, inner in value.items():
            check_quantities(inner, name)


def without_empty_items(value: Any) -> Any:
    """The same value with every empty Items left out, as CloudFront answers."""
    if isinstance(value, list):
        return [without_empty_items(item) for item in value]
    if isinstance(value, dict):
        return {
            name: without_empty_items(inner)
            for name, inner in value.items()
            if not (name == "Items" and not inner and "Quantity" in value)
        }
    return value
