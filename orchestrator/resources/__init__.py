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
from orchestrator.ownership_tags import Ownership, from_aws_tags, parse_ownership
from orchestrator.steps import Steps
from orchestrator.values import Value
from orchestrator.vocabulary import TAG_ENVIRONMENT, TAG_PROJECT, FieldChange, LiveResource, Scope


class AwsReader(Protocol):
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

    def read(self, aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
        """The live resource called ``name``, or None.

        Reads only what ``spec`` (unresolved; {} when pruning) asks about.
        """

    def create(self, scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
        """Steps that make it; returns its outputs, final where AWS lets us know them beforehand (names, most ARNs)."""

    def update(
        self, scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]
    ) -> Steps:
        """Steps that turn ``live`` into ``spec``, for the ``changed`` top-level fields; returns outputs that change."""

    def delete(self, scope: Scope, name: str, live: LiveResource) -> Steps:
        """Steps that remove it; removing what is gone already is no error."""


@cache
def load(resource_type: str) -> ResourceType:
    """The module of one resource type.

    Raises KeyError when there is none.
    """
    if resource_type not in list_types():
        raise KeyError(resource_type)
    return cast(ResourceType, importlib.import_module(f"{__name__}.{resource_type}"))


@cache
def list_types() -> tuple[str, ...]:
    """Every resource type there is, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def discover(resource_type: str, aws: AwsReader, scope: Scope) -> Iterable[str]:
    """Names of our live resources of a type that the tagging API does not list; none for other types."""
    hook = getattr(load(resource_type), "discover", None)
    return () if hook is None else cast(Iterable[str], hook(aws, scope))


def read_tags(
    aws: AwsReader,
    scope: Scope,
    arn: str,
    desired_tags: Mapping[str, str] | None,
    fetch_tags: Callable[[], dict[str, str]],
) -> dict[str, str]:
    """The tags of one live resource: as the tagging API lists them, where that is what is ``wanted``; else by ``ask``.

    The listing is read anyway, for pruning, and saves a call a resource.  It lags behind by minutes: so it may confirm
    that nothing differs, and whatever seems to differ is asked of the service itself.
    """
    if desired_tags:
        try:
            tagged_resources = list_tagged(aws, scope)
        except AwsError:
            return fetch_tags()
        match_ = next((item for item in tagged_resources if item["ResourceARN"] == arn), None)
        tags = from_aws_tags(match_["Tags"]) if match_ else {}
        if desired_tags.items() <= tags.items():
            return tags
    return fetch_tags()


def read_ownership(aws: AwsReader, scope: Scope, arn: str, fetch_tags: Callable[[], dict[str, str]]) -> Ownership:
    """Whose one live resource is, by its tags; found as ``standing_tags`` finds them."""
    owner_tags = {TAG_PROJECT: scope.project, TAG_ENVIRONMENT: scope.environment}
    return parse_ownership(read_tags(aws, scope, arn, owner_tags, fetch_tags))


def list_tagged(aws: AwsReader, scope: Scope) -> list[Any]:
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
    resource_type: str, scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]
) -> Steps:
    """Delete and make again; then ``clean_up``, where a module has it: what the old one used, the new one does not."""
    module = load(resource_type)
    yield from module.delete(scope, name, live)
    outputs = yield from module.create(scope, name, spec)
    hook = getattr(module, "clean_up", None)
    if hook is not None:
        yield from hook(name, spec, live, changed)
    return outputs


def update_effects(resource_type: str, fields: tuple[FieldChange, ...], live: LiveResource) -> tuple[str, ...]:
    """What users of the resource will notice of an update (an outage, a restart), in sentences."""
    hook = getattr(load(resource_type), "effects", None)
    return () if hook is None else tuple(hook(fields, live))


def deletion_effects(resource_type: str, live: LiveResource) -> tuple[str, ...]:
    """What users of the resource will notice of its end, in sentences."""
    hook = getattr(load(resource_type), "losses", None)
    return () if hook is None else tuple(hook(live))


def replaceable_types(resource_type: str) -> frozenset[str]:
    """Types whose place it may take: they are deleted only once it is there."""
    return getattr(load(resource_type), "TAKES_OVER", frozenset())


def unhealthy_hint(resource_type: str, live: LiveResource) -> str:
    """One sentence about a resource that is not well: what a person should look at."""
    hook = getattr(load(resource_type), "stuck", None)
    return "" if hook is None else str(hook(live))


def non_disruptive_effects(resource_type: str) -> frozenset[str]:
    """The effects of a type that nobody has to agree to: users are not cut off."""
    return getattr(load(resource_type), "GENTLE", frozenset())
