"""Read all desired resources, and find owned resources that are no longer desired.  Only reads, in parallel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from msgspec import Struct, field

from orchestrator import interruption, resources
from orchestrator.aws.errors import AwsError
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.vocabulary import DesiredState, DiscoveredResource, LiveResource, Resource, Scope, Unread

T = TypeVar("T")
WORKER_LIMITS = (16, 64)
"""Minimum and maximum threads, in between one per four resources: more cost more in connections than they save."""
FATAL_ERROR_HINTS = {
    "NoCredentials": "set a profile (AWS_PROFILE), log in, or export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "Unreachable": "check the network, and AWS_ENDPOINT_URL if it is set",
    "MissingDependency": "install the package that the profile needs",
    "UnexpectedResponse": "check the network, HTTPS_PROXY and AWS_ENDPOINT_URL",
    "InvalidConfiguration": "check ~/.aws/config and the AWS_ variables of the environment",
    "ExpiredToken": "log in again: the session has expired",
    "ExpiredTokenException": "log in again: the session has expired",
    "RequestExpired": "log in again: the session has expired",
    "InvalidClientTokenId": "check the access key: AWS does not recognise it",
    "UnrecognizedClientException": "check the access key: AWS does not recognise it",
    "SignatureDoesNotMatch": "check the secret key: it does not match the access key",
    "InvalidSignatureException": "check the secret key: it does not match the access key",
    "RequestTimeTooSkewed": "correct the clock of this machine",
}
"""Errors that would fail every other read too, and what to do about them."""


class Snapshot(Struct, frozen=True):
    """All live resources of one environment, read together.

    ``live`` is by address; ``orphans`` are owned but not desired, by an address of type and physical name.
    """

    account: str
    live: Mapping[str, LiveResource] = field(default_factory=dict)
    unread: Mapping[str, Unread] = field(default_factory=dict)
    orphans: Mapping[str, tuple[DiscoveredResource, LiveResource]] = field(default_factory=dict)


def take(aws: AwsReader, desired: DesiredState, *, workers: int | None = None) -> Snapshot:
    """Read all desired resources and orphans, with ``workers`` threads or as many as WORKER_LIMITS allows.

    Raises Problems if AWS cannot be queried at all (no credentials, no network); a single read that is denied or
    fails becomes an Unread instead.
    """
    scope = desired.scope
    min_workers, max_workers = WORKER_LIMITS
    worker_count = workers or min(max(min_workers, len(desired.resources) // 4), max_workers)
    with interruption.reading_pool(worker_count, "read") as pool:
        identity_future = pool.submit(aws.get, "sts", "get_caller_identity")
        search_futures = _start_searches(
            pool, aws, scope
        )  # first, because some searches are slow and lead to more reads
        read_futures = {item.address: pool.submit(_read_resource, aws, scope, item) for item in desired.resources}
        identity = _get_result(identity_future)
        live, unread = _collect_results(read_futures)
        searches, unread_searches = _collect_results(search_futures)
        orphans = {
            f"{item.type}.{item.physical}": item
            for item in _find_orphans(desired.resources, [item for search in searches.values() for item in search])
        }
        orphan_futures = {address: pool.submit(_read_orphan, aws, scope, item) for address, item in orphans.items()}
        orphan_live, orphan_unread = _collect_results(orphan_futures)
    desired_live = _assign_once(desired.resources, live)
    held_identities = {
        _identity_of(resource.type, desired_live.get(resource.address)) for resource in desired.resources
    }
    return Snapshot(
        account=identity["Account"],
        live=desired_live,
        unread={**unread, **unread_searches, **orphan_unread},
        orphans={
            address: (orphans[address], live_resource)
            for address, live_resource in orphan_live.items()
            if live_resource is not None
            and live_resource.owner == scope.owner
            and _identity_of(orphans[address].type, live_resource) not in held_identities - {None}
        },
    )


def _assign_once(desired: Iterable[Resource], live: Mapping[str, LiveResource | None]) -> dict[str, LiveResource]:
    """Return the live resources by address, each at one address: at that of its component if several found it.

    A type that finds a resource by more than its name may find one that another address holds.
    """
    assigned: dict[str, LiveResource] = {}
    holders: dict[tuple[str, str], Resource] = {}
    for resource in desired:
        live_resource = live.get(resource.address)
        if live_resource is None:
            continue
        identity = _identity_of(resource.type, live_resource)
        holder = holders.get(identity) if identity else None
        if holder is not None and holder.physical != resource.physical:
            if live_resource.component != resource.component:
                continue
            del assigned[holder.address]
        if identity:
            holders[identity] = resource
        assigned[resource.address] = live_resource
    return assigned


def _identity_of(resource_type: str, live: LiveResource | None) -> tuple[str, str] | None:
    """Return what identifies a live resource in AWS, whichever name found it, or None if nothing does."""
    identifier = live and (live.outputs.get("arn") or live.outputs.get("id"))
    return (resource_type, identifier) if isinstance(identifier, str) else None


def _read_resource(aws: AwsReader, scope: Scope, resource: Resource) -> LiveResource | None:
    return resources.load(resource.type).read(aws, scope, resource.physical, resource.spec)


def _read_orphan(aws: AwsReader, scope: Scope, discovered: DiscoveredResource) -> LiveResource | None:
    return resources.load(discovered.type).read(aws, scope, discovered.physical, {})


def _start_searches(
    pool: ThreadPoolExecutor, aws: AwsReader, scope: Scope
) -> dict[str, Future[list[DiscoveredResource]]]:
    """Search with the tagging API, and separately for each type that it does not cover, such as global ones."""
    searches: dict[str, Future[list[DiscoveredResource]]] = {
        f"tagged.{scope.region}": pool.submit(_find_tagged, aws, scope)
    }
    for name in resources.list_types():
        if resources.load(name).ARN is None and hasattr(resources.load(name), "discover"):
            searches[f"{name}.*"] = pool.submit(_find_by_type, aws, scope, name)
    return searches


def _find_tagged(aws: AwsReader, scope: Scope) -> list[DiscoveredResource]:
    items = resources.list_tagged(aws, scope)
    return [discovered for item in items if (discovered := resource_from_arn(item["ResourceARN"])) is not None]


def _find_by_type(aws: AwsReader, scope: Scope, resource_type: str) -> list[DiscoveredResource]:
    return [DiscoveredResource(resource_type, name) for name in resources.discover(resource_type, aws, scope)]


def resource_from_arn(arn: str) -> DiscoveredResource | None:
    """Return the resource type and physical name of an ARN, or None for a type that we do not manage."""
    for resource_type in resources.list_types():
        pattern = resources.load(resource_type).ARN
        if pattern is not None and (match := pattern.fullmatch(arn)):
            return DiscoveredResource(resource_type, match["name"])
    return None


def _find_orphans(desired: Iterable[Resource], discovered: Iterable[DiscoveredResource]) -> list[DiscoveredResource]:
    desired_keys = {(resource.type, resource.physical) for resource in desired}
    return [item for item in dict.fromkeys(discovered) if (item.type, item.physical) not in desired_keys]


def _collect_results(futures: Mapping[str, Future[T]]) -> tuple[dict[str, T], dict[str, Unread]]:
    results: dict[str, T] = {}
    unread: dict[str, Unread] = {}
    for address, future in futures.items():
        try:
            results[address] = future.result()
        except AwsError as error:
            if error.code in FATAL_ERROR_HINTS:
                raise connection_problem(error) from None
            reason = f"{error.code}: {error.message}"
            reason += f" {error.advice}" if error.advice else ""
            unread[address] = Unread(address, reason, error.iam_actions)
    return results, unread


def _get_result(future: Future[T]) -> T:
    try:
        return future.result()
    except AwsError as error:
        raise connection_problem(error) from None


def connection_problem(error: AwsError) -> Problems:
    """Return the Problems for an error that prevents every call to AWS."""
    advice = error.advice.rstrip(".") or FATAL_ERROR_HINTS.get(error.code, "run the command again")
    hint = f"{advice}; nothing was changed"
    return Problems.from_message(f"cannot query AWS: {error}", hint=hint)
