"""Find what another region, environment or project name has left behind, with its price and how to remove it.

A changed component is found by the plan itself, which deletes its resources.  Marks name the project and the
environment, and the tagging API answers for one region: the regions of the account's buckets are searched, and before
an environment has anything, its own region for what other names left.  Only reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import cost, resources
from orchestrator.aws.errors import AwsError
from orchestrator.cost import project_prices
from orchestrator.ownership_tags import from_aws_tags
from orchestrator.planning.snapshot import resource_from_arn
from orchestrator.problems import Position, Problems
from orchestrator.resources import AwsReader
from orchestrator.vocabulary import (
    TAG_COMPONENT,
    TAG_ENVIRONMENT,
    TAG_PROJECT,
    DesiredState,
    DiscoveredResource,
    Resource,
    Scope,
)

MAX_LISTED_NAMES = 8
GITHUB_SUFFIX = ".github"

OpenReader = Callable[[Scope], AwsReader]
"""Returns a reader of the region of a scope."""


class _Marked(Struct, frozen=True):
    """A resource with marks: where it is, and whose it is according to its tags."""

    resource: DiscoveredResource
    region: str
    project: str
    environment: str


def describe(
    aws: AwsReader, desired: DesiredState, open_reader: OpenReader, on: date, *, is_first: bool
) -> Iterator[str]:
    """Yield one note for each region, environment or project that was left behind.

    ``is_first``: the environment has no resources yet, so it may be another one under a new name.
    """
    scope = desired.scope
    try:
        marked = [*_search_other_regions(aws, scope), *(_search_region(aws, scope.region, "") if is_first else ())]
    except AwsError as error:
        yield f"The search for resources of a former region or name failed: {error.iam_actions} ({error.code})."
        return
    groups: dict[tuple[str, str, str], list[_Marked]] = {}
    for item in marked:
        if _is_left_behind(item, desired):
            groups.setdefault((item.project, item.environment, item.region), []).append(item)
    for (project, environment, region), items in sorted(groups.items()):
        former = replace(scope, project=project, environment=environment, region=region, tags={})
        contents = f"{_list_names(items)} ({_describe_price(items, former, open_reader, on)})"
        yield _describe_group(former, scope, contents)


def _search_other_regions(aws: AwsReader, scope: Scope) -> Iterator[_Marked]:
    buckets = aws.all("s3", "list_buckets", "Buckets", MaxBuckets=1000)
    for region in sorted({bucket.get("BucketRegion") or scope.region for bucket in buckets} - {scope.region}):
        yield from _search_region(aws, region, scope.project)


def _search_region(aws: AwsReader, region: str, project: str) -> Iterator[_Marked]:
    """Yield what has marks in a region, of one project or of all."""
    tag_filter = {"Key": TAG_PROJECT, **({"Values": [project]} if project else {})}
    listing = aws.all(
        "resourcegroupstaggingapi",
        "get_resources",
        "ResourceTagMappingList",
        region=region,
        TagFilters=[tag_filter],
        ResourcesPerPage=100,
    )
    for item in listing:
        tags, arn = from_aws_tags(item["Tags"]), item["ResourceARN"]
        discovered = resource_from_arn(arn)
        is_regional = arn.split(":")[3] == region or arn.startswith("arn:aws:s3:::")
        if discovered is not None and is_regional:
            resource = replace(discovered, component=tags.get(TAG_COMPONENT))
            yield _Marked(resource, region, tags.get(TAG_PROJECT, ""), tags.get(TAG_ENVIRONMENT, ""))


def _is_left_behind(item: _Marked, desired: DesiredState) -> bool:
    scope = desired.scope
    buckets = {other.physical for other in desired.resources if other.type == "s3_bucket"}
    if item.resource.type == "s3_bucket" and item.resource.physical in buckets:
        return False  # its name is global, so the plan itself says that it is in another region
    environment = item.environment.removesuffix(GITHUB_SUFFIX)
    if item.project != scope.project:
        return item.region == scope.region and item.resource.component in {
            other.component for other in desired.resources
        }
    if environment == scope.environment:
        return item.region != scope.region
    return bool(desired.environments) and environment not in desired.environments


def _list_names(items: Iterable[_Marked]) -> str:
    names = sorted({f"{item.resource.type} {item.resource.physical}" for item in items})
    more = f" and {len(names) - MAX_LISTED_NAMES} more" if len(names) > MAX_LISTED_NAMES else ""
    return ", ".join(names[:MAX_LISTED_NAMES]) + more


def _describe_price(items: Iterable[_Marked], former: Scope, open_reader: OpenReader, on: date) -> str:
    """Return what the resources cost, or why that is not known: their region may not be readable, or have no prices."""
    try:
        reader = open_reader(former)
        live_resources = [live for item in items if (live := _read(reader, former, item.resource)) is not None]
        estimate = cost.estimate(live_resources, former.region, project_prices.load(), on=on)
    except (AwsError, Problems) as error:
        return f"price unknown: {error}"
    amount = f"about {estimate.expected:.2f} USD a month"
    unpriced = ", ".join(address for address, _ in estimate.unpriced)
    return f"at least {amount.removeprefix('about ')}; no price for {unpriced}" if unpriced else amount


def _read(reader: AwsReader, former: Scope, resource: DiscoveredResource) -> Resource | None:
    live = resources.load(resource.type).read(reader, former, resource.physical, {})
    if live is None:
        return None
    name = resource.physical
    return Resource(resource.type, name, name, live.spec, resource.component or "", Position(""))


def _describe_group(former: Scope, scope: Scope, contents: str) -> str:
    if former.project != scope.project:
        return (
            f"The project {former.project} has components with the same names: {contents}. If you renamed the "
            f"Project, these resources are left behind, because AWS cannot rename them. To keep them, set "
            f"`name: {former.project}` again. To delete them, set it again, then run `orchestrator destroy "
            f"-e {former.environment}`."
        )
    if former.environment != scope.environment:
        return (
            f"Left behind by the environment {former.environment}, which the manifests do not declare: {contents}. To "
            "delete these resources, declare the environment again and run `orchestrator destroy -e "
            f"{former.environment}`."
        )
    return (
        f"Left behind in {former.region}: {contents}. The manifests are for {scope.region} now. To keep these "
        f"resources, set `region: {former.region}` again. To delete them, also run `orchestrator destroy -e "
        f"{former.environment}`, then set the new region."
    )
