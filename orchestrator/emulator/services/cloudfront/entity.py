"""Share what CloudFront's resources have in common: IDs, ETags, marker pagination, quantities. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params

_ID_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def current_time() -> datetime:
    """Return the current time with CloudFront's precision."""
    return datetime.now(UTC).replace(microsecond=0)


def generate_id() -> str:
    """Return an ID or ETag: E and 13 letters and digits."""
    return "E" + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(13))


@dataclass
class Entity:
    """A resource with a configuration and an ETag that changes with every update."""

    id: str
    config: Params
    etag: str = field(default_factory=generate_id)
    modified_at: datetime = field(default_factory=current_time)
    previous_etags: set[str] = field(default_factory=set)

    def check_etag(self, if_match: str | None) -> None:
        """Raise AwsError PreconditionFailed for a stale IfMatch, InvalidIfMatchVersion for a missing or unknown one."""
        if if_match == self.etag:
            return
        if if_match in self.previous_etags:
            raise AwsError("PreconditionFailed", "The request failed because it didn't meet the preconditions.", 412)
        message = "The If-Match version is missing or not valid for the resource."
        raise AwsError("InvalidIfMatchVersion", message, 400)

    def replace_config(self, config: Params) -> None:
        """Set a new configuration and a new ETag."""
        self.previous_etags.add(self.etag)
        self.config, self.etag, self.modified_at = config, generate_id(), current_time()


def paginate_by_marker(items: Sequence[Any], params: Params) -> Params:
    """Return the members of every CloudFront list, for one page of items."""
    start = int(params.get("Marker") or 0)
    size = int(params.get("MaxItems") or 100)
    page_items = list(items[start : start + size])
    has_more = start + size < len(items)
    page: Params = {
        "Marker": params.get("Marker") or "",
        "MaxItems": size,
        "IsTruncated": has_more,
        "Quantity": len(page_items),
    }
    if has_more:
        page["NextMarker"] = str(start + size)
    if page_items:
        page["Items"] = page_items
    return page


def check_quantities(value: Any, path: str = "") -> None:
    """Raise AwsError InconsistentQuantities if a Quantity differs from the number of Items beside it."""
    if isinstance(value, list):
        for item in value:
            check_quantities(item, path)
    elif isinstance(value, dict):
        items = value.get("Items") or []
        if "Quantity" in value and value["Quantity"] != len(items):
            message = f"The value of Quantity and the size of Items don't match{f' in {path}' if path else ''}."
            raise AwsError("InconsistentQuantities", message, 400)
        for name, nested in value.items():
            check_quantities(nested, name)


def remove_empty_items(value: Any) -> Any:
    """Return the value without empty Items members, as CloudFront returns it."""
    if isinstance(value, list):
        return [remove_empty_items(item) for item in value]
    if isinstance(value, dict):
        return {
            name: remove_empty_items(nested)
            for name, nested in value.items()
            if not (name == "Items" and not nested and "Quantity" in value)
        }
    return value
