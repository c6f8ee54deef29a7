"""Reads every desired resource, and finds what bears our mark but is desired no more.  Only reads, in parallel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from msgspec import Struct, field

from orchestrator import resources
from orchestrator.aws.errors import AwsError
from orchestrator.problems import Problems
from orchestrator.resources import Aws
from orchestrator.vocabulary import Desired, Found, Live, Resource, Scope, Unread

T = TypeVar("T")
WORKERS = (16, 64)
"""Threads at least and at most, between them one for four resources: more open more connections than they save time."""
HOPELESS = {
    "NoCredentials": "set a profile (AWS_PROFILE), log in, or export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "Unreachable": "check the network, and AWS_ENDPOINT_URL if it is set",
    "ExpiredToken": "the session has expired: log in again",
    "ExpiredTokenException": "the session has expired: log in again",
    "InvalidClientTokenId": "AWS does not know these credentials",
    "UnrecognizedClientException": "AWS does not know these credentials",
    "SignatureDoesNotMatch": "the secret key does not fit the access key",
}
"""Errors that make every other read pointless, and what to do about them."""


class Snapshot(Struct, frozen=True):
    """All live resources of one environment, read at once.

    ``live`` by address; ``strays`` are ours but not desired, by an address made of type and physical name.
    """

    account: str
    live: Mapping[str, Live] = field(default_factory=dict)
    unread: Mapping[str, Unread] = field(default_factory=dict)
    strays: Mapping[str, tuple[Found, Live]] = field(default_factory=dict)


def take(aws: Aws, desired: Desired, *, workers: int | None = None) -> Snapshot:
    """Read what ``desired`` names and what else is ours, with as many threads as WORKERS says, or ``workers``.

    Raises Problems when AWS cannot be asked at all (no credentials, no network); a single read that is denied or
    fails becomes an Unread instead.
    """
    scope = desired.scope
    least, most = WORKERS
    hands = workers or min(max(least, len(desired.resources) // 4), most)
    with ThreadPoolExecutor(hands, thread_name_prefix="read") as pool:
        account = pool.submit(aws.get, "sts", "get_caller_identity")
        found = _discover(pool, aws, scope)  # before the reads: some of these are long, and more reads may follow
        reads = {item.address: pool.submit(_read, aws, scope, item) for item in desired.resources}
        identity = _answer(account)
        live, unread = _collect(reads)
        searches, unfound = _collect(found)
        strays = {
            f"{item.type}.{item.physical}": item
            for item in _undesired(desired.resources, [item for search in searches.values() for item in search])
        }
        stray_reads = {address: pool.submit(_read_stray, aws, scope, item) for address, item in strays.items()}
        stray_live, stray_unread = _collect(stray_reads)
    return Snapshot(
        account=identity["Account"],
        live={address: thing for address, thing in live.items() if thing is not None},
        unread={**unread, **unfound, **stray_unread},
        strays={
            address: (strays[address], thing)
            for address, thing in stray_live.items()
            if thing is not None and thing.owner == scope.owner
        },
    )


def _read(aws: Aws, scope: Scope, resource: Resource) -> Live | None:
    return resources.load(resource.type).read(aws, scope, resource.physical, resource.spec)


def _read_stray(aws: Aws, scope: Scope, found: Found) -> Live | None:
    return resources.load(found.type).read(aws, scope, found.physical, {})


def _discover(pool: ThreadPoolExecutor, aws: Aws, scope: Scope) -> dict[str, Future[list[Found]]]:
    """The tagging API knows most of this region; each type that it does not know, global ones too, searches itself."""
    searches: dict[str, Future[list[Found]]] = {f"tagged.{scope.region}": pool.submit(_tagged, aws, scope)}
    for name in resources.types():
        if resources.load(name).ARN is None and hasattr(resources.load(name), "discover"):
            searches[f"{name}.*"] = pool.submit(_listed, aws, scope, name)
    return searches


def _tagged(aws: Aws, scope: Scope) -> list[Found]:
    items = resources.tagged(aws, scope)
    return [found for item in items if (found := recognise(item["ResourceARN"])) is not None]


def _listed(aws: Aws, scope: Scope, resource_type: str) -> list[Found]:
    return [Found(resource_type, name) for name in resources.discover(resource_type, aws, scope)]


def recognise(arn: str) -> Found | None:
    """Which of our resource types an ARN belongs to, and its physical name; None for types we do not manage."""
    for resource_type in resources.types():
        pattern = resources.load(resource_type).ARN
        if pattern is not None and (match := pattern.fullmatch(arn)):
            return Found(resource_type, match["name"])
    return None


def _undesired(desired: Iterable[Resource], found: Iterable[Found]) -> list[Found]:
    wanted = {(resource.type, resource.physical) for resource in desired}
    return [item for item in dict.fromkeys(found) if (item.type, item.physical) not in wanted]


def _collect(futures: Mapping[str, Future[T]]) -> tuple[dict[str, T], dict[str, Unread]]:
    answers: dict[str, T] = {}
    unread: dict[str, Unread] = {}
    for address, future in futures.items():
        try:
            answers[address] = future.result()
        except AwsError as error:
            if error.code in HOPELESS:
                raise hopeless(error) from None
            unread[address] = Unread(address, f"{error.code}: {error.message}", error.action)
    return answers, unread


def _answer(future: Future[T]) -> T:
    try:
        return future.result()
    except AwsError as error:
        raise hopeless(error) from None


def hopeless(error: AwsError) -> Problems:
    """AWS could not be asked at all, and so nothing was done: what happened and what to do."""
    hint = f"{HOPELESS.get(error.code, 'run it again')}; nothing was changed"
    return Problems.one(f"cannot ask AWS: {error}", hint=hint)
