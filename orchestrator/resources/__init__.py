"""AWS resource types, one module each.

Modules are found by listing this package; there is no central list. A module may use: its own service's API, ``steps``,
``values``, ``ownership_tags``, ``vocabulary``. It must not import another resource module, call AWS except through the
AwsReader passed to ``read`` and ``discover``, or keep state.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from msgspec import Struct, convert

from orchestrator.ownership_tags import Ownership, from_aws_tags, parse_ownership
from orchestrator.steps import Steps
from orchestrator.values import Value
from orchestrator.vocabulary import TAG_ENVIRONMENT, TAG_PROJECT, FieldChange, LiveResource, Scope


class AwsReader(Protocol):
    """The AWS reads that ``read`` and ``discover`` may make. ``orchestrator.aws.reader.Reader`` raises AwsError."""

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

    def find_object(self, **parameters: Any) -> Any: ...

    def has_object(self, **parameters: Any) -> bool: ...


class ResourceType(Protocol):
    """The interface of a module of this package (the module itself is the object).

    ``IMMUTABLE``  top-level spec fields whose change replaces the resource
    ``STATEFUL``   whether deleting it loses data: deletion and replacement then need two confirmations
    ``USES``       resource types it may refer to: it is deleted before them
    ``ARN``        pattern with group ``name`` that matches ARNs of the tagging API; None: found by ``discover``

    Optional: ``discover``, ``effects``, ``refusals``, ``missing_values``, ``losses``, ``adoption_losses``, ``notes``,
    ``stuck``, ``clean_up``, ``users``, ``is_deferred``, ``GENTLE``, ``TAKES_OVER``, ``WATCHED``; see the functions of
    this package.
    """

    IMMUTABLE: frozenset[str]
    STATEFUL: bool
    USES: frozenset[str]
    ARN: re.Pattern[str] | None

    def normalise(self, spec: Mapping[str, Value]) -> Mapping[str, Value]:
        """Return the spec as AWS would return it: defaults filled, unordered values sorted. It may contain Unknowns."""

    def read(self, aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
        """Return the live resource called ``name``, or None if it does not exist.

        Reads only the fields that ``spec`` (unresolved; {} when pruning) contains.
        """

    def create(self, scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
        """Yield the steps that create it; return its outputs, final if known in advance (names, most ARNs)."""

    def update(
        self, scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]
    ) -> Steps:
        """Yield the steps that apply the ``changed`` top-level fields of ``spec`` to ``live``; return new outputs."""

    def delete(self, scope: Scope, name: str, live: LiveResource) -> Steps:
        """Yield the steps that delete it; deleting a missing resource is not an error."""


class AwsProperties(Struct, frozen=True, forbid_unknown_fields=True):
    """Which properties of a resource type AWS lets one set, and which of them plans and drift reports see.

    A property is a path in a write request (``Rules[].Status``), or a write operation that sets one thing. A test
    compares the files of ``aws_properties`` with botocore's service models.

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
    others: str = ""

    @property
    def unchecked(self) -> Mapping[str, str]:
        """Reason by property that nothing reads."""
        return {name: reason for reason, names in self.not_looked_at.items() for name in names}

    @property
    def checked_count(self) -> int:
        """The number of properties that plans and drift reports see."""
        return len(self.owned) + len(self.watched)


@cache
def load(resource_type: str) -> ResourceType:
    """Return the module of a resource type.

    Raises KeyError if there is none.
    """
    if resource_type not in list_types():
        raise KeyError(resource_type)
    return cast(ResourceType, importlib.import_module(f"{__name__}.{resource_type}"))


@cache
def list_types() -> tuple[str, ...]:
    """Return every resource type, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


@cache
def load_properties(resource_type: str) -> AwsProperties | None:
    """Return the properties of a type, or None if it is content (an image, files) and has no settings."""
    import yaml

    path = Path(__file__).with_name("aws_properties") / f"{resource_type}.yaml"
    if not path.exists():
        return None
    document: Any = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return convert(document, AwsProperties)


def discover(resource_type: str, aws: AwsReader, scope: Scope) -> Iterable[str]:
    """Return the names of the environment's resources of a type that the tagging API does not list, else nothing."""
    hook = getattr(load(resource_type), "discover", None)
    return () if hook is None else cast(Iterable[str], hook(aws, scope))


def read_tags(
    aws: AwsReader,
    scope: Scope,
    arn: str,
    desired_tags: Mapping[str, str] | None,
    fetch_tags: Callable[[], dict[str, str]],
) -> dict[str, str]:
    """Return the tags of a live resource: the tagging API's if they include ``desired_tags``, else ``fetch_tags()``.

    The listing is read for pruning anyway, so using it saves one call per resource. It lags by minutes: it may confirm
    that tags match, but an apparent difference is checked with the service itself.
    """
    if desired_tags:
        from orchestrator.aws.errors import AwsError  # imports botocore, which `validate` does without

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
    """Return the owner of a live resource from its tags, read as ``read_tags`` reads them."""
    owner_tags = {TAG_PROJECT: scope.project, TAG_ENVIRONMENT: scope.environment}
    return parse_ownership(read_tags(aws, scope, arn, owner_tags, fetch_tags))


def list_tagged(aws: AwsReader, scope: Scope, region: str | None = None) -> list[Any]:
    """Return the resources that the tagging API lists for this environment in its region, or in ``region``.

    API: GetResources. Raises AwsError.
    """
    filters = [{"Key": TAG_PROJECT, "Values": [scope.project]}, {"Key": TAG_ENVIRONMENT, "Values": [scope.environment]}]
    return aws.all(
        "resourcegroupstaggingapi",
        "get_resources",
        "ResourceTagMappingList",
        region=None if region == scope.region else region,  # one call for both if they are the same
        TagFilters=filters,
        ResourcesPerPage=100,
    )


def replace(
    resource_type: str, scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]
) -> Steps:
    """Yield the steps that delete and recreate a resource, then ``clean_up`` for what only the old one used."""
    module = load(resource_type)
    yield from module.delete(scope, name, live)
    outputs = yield from module.create(scope, name, spec)
    hook = getattr(module, "clean_up", None)
    if hook is not None:
        yield from hook(name, spec, live, changed)
    return outputs


def update_effects(resource_type: str, fields: tuple[FieldChange, ...], live: LiveResource) -> tuple[str, ...]:
    """Return the effects of an update or a replacement on users (an outage, a restart), one sentence each.

    A replacement makes no updates, so only the fields that cause it have effects.
    """
    module = load(resource_type)
    hook = getattr(module, "effects", None)
    replacing = tuple(field for field in fields if field.path[0] in module.IMMUTABLE)
    return () if hook is None else tuple(hook(replacing or fields, live))


def refusals(resource_type: str, fields: tuple[FieldChange, ...], live: LiveResource) -> tuple[str, ...]:
    """Return why AWS would refuse an update, one sentence each with what to do instead."""
    hook = getattr(load(resource_type), "refusals", None)
    return () if hook is None else tuple(hook(fields, live))


def missing_values(resource_type: str, spec: Mapping[str, Value], live: LiveResource | None) -> tuple[str, ...]:
    """Return the names of values that only a person can provide and nobody has provided."""
    hook = getattr(load(resource_type), "missing_values", None)
    return () if hook is None else tuple(hook(spec, live))


def overwritten_settings(resource_type: str, fields: tuple[FieldChange, ...], live: LiveResource) -> frozenset[str]:
    """Return the settings of others that an update removes, because AWS replaces them with what the request has."""
    module = load(resource_type)
    untouching: frozenset[str] = getattr(module, "FIELDS_WITHOUT_DEPLOYMENT", frozenset())
    watched: Mapping[str, Any] = getattr(module, "WATCHED", {})
    if {field.path[0] for field in fields} <= untouching:
        return frozenset()
    names = (setting.field for setting in live.unmanaged)
    return frozenset(name for name in names if getattr(watched.get(name), "overwritten", False))


def adoption_losses(resource_type: str, spec: Mapping[str, Value], live: LiveResource) -> tuple[str, ...]:
    """Return what adopting a resource replaces that no field shows, one phrase for each thing."""
    hook = getattr(load(resource_type), "adoption_losses", None)
    return () if hook is None else tuple(hook(spec, live))


def notes(resource_type: str, spec: Mapping[str, Value], live: LiveResource, today: str) -> tuple[str, ...]:
    """Return what a plan says about a live resource whatever it changes; ``today`` is YYYY-MM-DD, or ""."""
    hook = getattr(load(resource_type), "notes", None)
    return () if hook is None else tuple(hook(spec, live, today))


def deletion_effects(resource_type: str, live: LiveResource) -> tuple[str, ...]:
    """Return the effects of a deletion on users, one sentence each."""
    hook = getattr(load(resource_type), "losses", None)
    return () if hook is None else tuple(hook(live))


def users(resource_type: str, live: LiveResource) -> tuple[tuple[str, str], ...]:
    """Return type and name of what AWS says uses a resource that no manifest declares: AWS refuses to delete it."""
    hook = getattr(load(resource_type), "users", None)
    return () if hook is None else tuple(hook(live))


def is_deferred(resource_type: str, spec: Mapping[str, Value], live: LiveResource) -> bool:
    """Return whether AWS makes a change later, so that the resource goes on using what it uses now."""
    hook = getattr(load(resource_type), "is_deferred", None)
    return hook is not None and bool(hook(spec, live))


def replaceable_types(resource_type: str) -> frozenset[str]:
    """Return the types that a resource of this type may replace: they are deleted only once it exists."""
    return getattr(load(resource_type), "TAKES_OVER", frozenset())


def unhealthy_hint(resource_type: str, live: LiveResource) -> str:
    """Return one sentence on what to check in an unhealthy resource, or ""."""
    hook = getattr(load(resource_type), "stuck", None)
    return "" if hook is None else str(hook(live))


def non_disruptive_effects(resource_type: str) -> frozenset[str]:
    """Return the effects of a type that need no approval, because they do not disrupt users."""
    return getattr(load(resource_type), "GENTLE", frozenset())
