"""Find settings that the manifests do not know and somebody has set: reported as drift, never changed by apply.

What a listing or description already returns costs no call.  What only a call of its own returns is read if the role
may: without the permission the setting counts as not checked, and the plan goes on.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import jmespath
from msgspec import Struct

from orchestrator.aws.errors import AwsError
from orchestrator.resources import AwsReader
from orchestrator.vocabulary import UnmanagedChange

EMPTY_VALUES: tuple[Any, ...] = (None, "", [], {}, False, 0)


class Watched(Struct, frozen=True):
    """A setting in AWS's response: its JMESPath, its values when nobody has set it, and how to remove what was set.

    Values in EMPTY_VALUES always count as not set; ``expected`` adds others.  ``overwritten``: an update of the
    resource removes it, because AWS replaces the whole resource with what the request has.
    """

    path: str
    remedy: str
    expected: tuple[Any, ...] = ()
    overwritten: bool = False


def find_changes(
    settings: Mapping[str, Watched], response: Any, declared: Container[str] = ()
) -> tuple[UnmanagedChange, ...]:
    """Return the settings in AWS's ``response`` that differ from what they are when nobody has set them.

    Settings that are fields in ``declared`` are compared with the spec instead.
    """
    changes = []
    for name, setting in settings.items():
        if name in declared:
            continue
        value = jmespath.search(setting.path, response)
        if value not in EMPTY_VALUES and value not in setting.expected:
            expected = setting.expected[0] if setting.expected else None
            changes.append(UnmanagedChange(name, expected, value, setting.remedy))
    return tuple(changes)


class Watch:
    """Collects what separate calls find; ``unmanaged`` and ``unwatched`` are the fields of a LiveResource."""

    def __init__(self, aws: AwsReader) -> None:
        self._aws = aws
        self.unmanaged: tuple[UnmanagedChange, ...] = ()
        self.unwatched: tuple[str, ...] = ()

    def add(self, settings: Mapping[str, Watched], response: Any, declared: Container[str] = ()) -> None:
        """Add what ``response``, which was read anyway, says about ``settings`` that are not ``declared``."""
        self.unmanaged += find_changes(settings, response, declared)

    def read(
        self, name: str, setting: Watched, service: str, operation: str, *, missing: tuple[str, ...], **parameters: Any
    ) -> None:
        """Read one setting with a call of its own; ``missing`` are the errors that mean that nobody has set it."""
        try:
            response = self._aws.get(service, operation, missing=missing, **parameters)
        except AwsError as error:
            if error.is_transient:
                raise
            self.unwatched += (f"{name} ({error.iam_actions}: {error.code})",)
            return
        self.unmanaged += find_changes({name: setting}, response or {})

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a LiveResource."""
        return {"unmanaged": self.unmanaged, "unwatched": self.unwatched}
