"""Load which properties of a resource type AWS lets one set, and which of them plans and drift reports see.

One YAML file per type in ``aws_properties/``.  A property is a path in a write request (``Rules[].Status``), or a write
operation that sets one thing.  A test compares the files with botocore's service models.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct, convert, field

FOLDER = Path(__file__).with_name("aws_properties")


class AwsProperties(Struct, frozen=True, forbid_unknown_fields=True):
    """The properties of one resource type.

    ``owned``          property: the field of the spec that is compared with it
    ``watched``        property: the name under which a change of it is reported; apply leaves it
    ``not_looked_at``  reason: properties that nothing reads
    ``not_settings``   reason: request members and operations that set nothing on the resource
    ``requests``       the operations whose members are the properties
    ``identified_by``  members that name the resource in a request: other operations that have one are properties too
    ``others``         pattern of operations that name it, but set something on another thing
    """

    service: str
    identified_by: list[str]
    requests: list[str]
    owned: Mapping[str, str]
    watched: Mapping[str, str]
    not_looked_at: Mapping[str, list[str]]
    not_settings: Mapping[str, list[str]]
    others: str = field(default="")

    @property
    def unseen(self) -> Mapping[str, str]:
        """Reason by property that nothing reads."""
        return {name: reason for reason, names in self.not_looked_at.items() for name in names}

    @property
    def seen_count(self) -> int:
        """The number of properties that plans and drift reports see."""
        return len(self.owned) + len(self.watched)


@cache
def load(resource_type: str) -> AwsProperties | None:
    """Return the properties of a type, or None if it is content (an image, files) and has no settings."""
    import yaml

    path = FOLDER / f"{resource_type}.yaml"
    if not path.exists():
        return None
    document: Any = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return convert(document, AwsProperties)
