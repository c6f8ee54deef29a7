"""One module an AWS resource type.  Modules are found by listing this package; there is no central list.

A module may know: its own service's API, ``steps``, ``values``, ``tags``, ``model``.  It may not: know another
resource module, call AWS except through the Reader given to ``read`` and ``discover``, or keep anything.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Protocol, cast

from orchestrator.aws.errors import AwsError
from orchestrator.ownership_tags import Marks, mapping, marks
from orchestrator.steps import Steps
from orchestrator.values import Value
from orchestrator.vocabulary import TAG_ENVIRONMENT, TAG_PROJECT, FieldChange, Live, Scope


class Aws(Protocol):
    """What ``read`` and ``discover`` may do: see ``orchestrator.aws.reader.Reader``, which raises AwsError."""

    def get(
        self,
        service: str,
        operation: str,
        /,
        *,
        region: str | None = None,
        missing: tuple[str, ...] = (),
        **parameters: Any,
    ) -> Any: ...

    def all(
        self,
        service: str,
        operation: str,
        member: str,
        /,
        *,
        region: str | None = None,
        missing: tuple[str, ...] = (),
        **parameters: Any,
    ) -> list[Any]: ...


class ResourceType(Protocol):
    """What a module of this package offers (the module itself is the object).

    ``IMMUTABLE``  top-level spec fields whose change replaces the resource
    ``STATEFUL``   whether its loss loses data: never deleted or replaced without two keys
    ``USES``       resource types it may refer to: it is deleted before them
    ``ARN``        pattern with group ``name``, by which the tagging API's answer is recognised; None: see ``discover``

    It may have ``discover``, ``effects``, ``losses``, ``stuck``, ``clean_up``, ``GENTLE``, ``TAKES_OVER``: see below.
    """

    IMMUTABLE: frozenset[str]
    STATEFUL: bool
    USES: frozenset[str]
    ARN: re.Pattern[str] | None

    def normalise(self, spec: Mapping[str, Value]) -> Mapping[str, Value]:
        """The spec as AWS would give it back: defaults filled, orders that mean nothing settled.  May meet Unknowns."""

    def read(self, aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
        """The live resource called ``name``, or None.

        Reads only what ``spec`` (unresolved; {} when pruning) asks about.
        """

    def create(self, scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
        """Steps that make it; returns its outputs, final where AWS lets us know them beforehand (names, most ARNs)."""

    def update(self, scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
        """Steps that turn ``live`` into ``spec``, for the ``changed`` top-level fields; returns outputs that change."""

    def delete(self, scope: Scope, name: str, live: Live) -> Steps:
        """Steps that remove it; removing what is gone already is no error."""


@cache
def load(resource_type: str) -> ResourceType:
    """The module of one resource type.

    Raises KeyError when there is none.
    """
    if resource_type not in types():
        raise KeyError(resource_type)
    return cast(ResourceType, importlib.import_module(f"{__name__}.{resource_type}"))


@cache
def types() -> tuple[str, ...]:
    """Every resource type there is, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def discover(resource_type: str, aws: Aws, scope: Scope) -> Iterable[str]:
    """Names of our live resources of a type that the tagging API does not list; none for other types."""
    finder = getattr(load(resource_type), "discover", None)
    return () if finder is None else cast(Iterable[str], finder(aws, scope))


def standing_tags(
    aws: Aws, scope: Scope, arn: str, wanted: Mapping[str, str] | None, ask: Callable[[], dict[str, str]]
) -> dict[str, str]:
    """The tags of one live resource: as the tagging API lists them, where that is what is ``wanted``; else by ``ask``.

    The listing is read anyway, for pruning, and saves a call a resource.  It lags behind by minutes: so it may confirm
    that nothing differs, and whatever seems to differ is asked of the service itself.
    """
    if wanted:
        try:
            listed = tagged(aws, scope)
        except AwsError:
            return ask()
        found = next((item for item in listed if item["ResourceARN"] == arn), None)
        tags = mapping(found["Tags"]) if found else {}
        if wanted.items() <= tags.items():
            return tags
    return ask()


def standing_marks(aws: Aws, scope: Scope, arn: str, ask: Callable[[], dict[str, str]]) -> Marks:
    """Whose one live resource is, by its tags; found as ``standing_tags`` finds them."""
    ours = {TAG_PROJECT: scope.project, TAG_ENVIRONMENT: scope.environment}
    return marks(standing_tags(aws, scope, arn, ours, ask))


def tagged(aws: Aws, scope: Scope) -> list[Any]:
    """What the tagging API lists as this environment's in its region.  API: GetResources.

    Raises AwsError.
    """
    filters = [{"Key": TAG_PROJECT, "Values": [scope.project]}, {"Key": TAG_ENVIRONMENT, "Values": [scope.environment]}]
    return aws.all(
        "resourcegroupstaggingapi",
        "get_resources",
        "ResourceTagMappingList",
        TagFilters=filters,
        ResourcesPerPage=100,
    )


def replace(
    resource_type: str, scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]
) -> Steps:
    """Delete and make again; then ``clean_up``, where a module has it: what the old one used, the new one does not."""
    module = load(resource_type)
    yield from module.delete(scope, name, live)
    outputs = yield from module.create(scope, name, spec)
    cleaner = getattr(module, "clean_up", None)
    if cleaner is not None:
        yield from cleaner(name, spec, live, changed)
    return outputs


def effects(resource_type: str, fields: tuple[FieldChange, ...], live: Live) -> tuple[str, ...]:
    """What users of the resource will notice of an update (an outage, a restart), in sentences."""
    teller = getattr(load(resource_type), "effects", None)
    return () if teller is None else tuple(teller(fields, live))


def losses(resource_type: str, live: Live) -> tuple[str, ...]:
    """What users of the resource will notice of its end, in sentences."""
    teller = getattr(load(resource_type), "losses", None)
    return () if teller is None else tuple(teller(live))


def takes_over(resource_type: str) -> frozenset[str]:
    """Types whose place it may take: they are deleted only once it is there."""
    return getattr(load(resource_type), "TAKES_OVER", frozenset())


def stuck(resource_type: str, live: Live) -> str:
    """One sentence about a resource that is not well: what a person should look at."""
    teller = getattr(load(resource_type), "stuck", None)
    return "" if teller is None else str(teller(live))


def gentle(resource_type: str) -> frozenset[str]:
    """The effects of a type that nobody has to agree to: users are not cut off."""
    return getattr(load(resource_type), "GENTLE", frozenset())
