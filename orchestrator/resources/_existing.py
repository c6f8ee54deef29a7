"""Check a resource that AWS says exists already: it is this environment's own, as planned, or the change fails.

A plan that creates a resource has not seen one.  "Already exists" then means that the response to an earlier attempt
was lost, that reads lag behind, or that somebody else was faster; only reading the resource tells which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import LiveResource, Scope

PLAN_AGAIN_HINT = "it was created after the plan: plan again"


class ReadResource(Protocol):
    """The ``read`` of a resource module."""

    def __call__(
        self, aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value], /
    ) -> LiveResource | None: ...


def confirm_existing(
    read: ReadResource,
    scope: Scope,
    name: str,
    spec: Mapping[str, Value],
    *,
    compared: bool = False,
    to_response: Callable[[LiveResource], Any] = lambda live: {},
) -> Callable[[AwsReader, str], Any]:
    """Return the ``read_existing`` of a creating call: read the resource and check that it belongs to ``scope``.

    ``compared``: also check that it is as ``spec`` says, for a resource that the creating call alone defines.
    ``to_response`` makes the response to continue with.
    """

    def read_existing(aws: AwsReader, message: str) -> Any:
        live = read(aws, scope, name, spec)
        if live is None:
            return None
        check_owner(scope, name, live)
        if compared:
            check_unchanged(name, spec, live)
        return to_response(live)

    return read_existing


def check_owner(scope: Scope, name: str, live: LiveResource) -> None:
    """Raise Problems unless ``live`` belongs to ``scope``."""
    if live.owner != scope.owner:
        ownership = f"belongs to {live.owner}" if live.owner else "is not managed by orchestrator"
        raise Problems.from_message(f"{name} already exists and {ownership}", hint=PLAN_AGAIN_HINT)


def check_unchanged(name: str, spec: Mapping[str, Value], live: LiveResource) -> None:
    """Raise Problems if ``live`` differs from ``spec``."""
    fields = sorted(set(_iter_differing_fields(spec, live.spec)))
    if fields:
        message = f"{name} already exists, but differs from the plan in {', '.join(fields)}"
        raise Problems.from_message(message, hint=PLAN_AGAIN_HINT)


def _iter_differing_fields(desired: Mapping[str, Value], live: Mapping[str, Value]) -> Iterator[str]:
    return (field for field, value in desired.items() if _differs(value, live.get(field)))


def _differs(desired: Value, live: Value) -> bool:
    if isinstance(desired, WriteOnly):
        return False
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        return any(_differs(value, live.get(key)) for key, value in desired.items())
    return bool(desired != live)
