"""List the live resources that another tool can import, and those that it cannot, with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from orchestrator.planning.snapshot import Snapshot
from orchestrator.values import Value, to_plain
from orchestrator.vocabulary import DesiredState, LiveResource, Resource, Scope

PARENT_TYPES = {"s3_bucket_cors": "s3_bucket", "s3_bucket_policy": "s3_bucket"}
"""Types without a mark of their own, by the type whose resource of the same name carries it."""
REASONS = {
    "ec2_vpc": "an existing network that the environment uses but does not own",
    "ecr_image": "an image, not infrastructure: your pipeline pushes images",
    "iam_policy": "the permissions boundary of the workflow roles; delete it with those roles",
    "iam_oidc_provider": "there is one per account, and other repositories may use it",
    "migration": "a record of a migration that ran",
    "s3_model": "files of a model: your pipeline uploads them",
    "s3_site": "files of a site: your pipeline uploads them",
    "secretsmanager_value": "its values would be in Terraform's state; they stay in Secrets Manager",
}
"""Types that are not exported, and why."""

UNDECLARED_REASON = (
    "has the ownership mark, but no manifest declares it: declare it, or delete it with `orchestrator apply`; then "
    "eject again"
)


class OwnedResource(Struct, frozen=True):
    """One live resource of an environment.  ``label`` is unique, and a name in Terraform and CloudFormation alike.

    ``tags`` are the live ones, and the desired ones of a type that does not read its own.  ``network_id`` is the VPC of
    the environment, or "".
    """

    type: str
    label: str
    physical: str
    scope: Scope
    live: LiveResource
    tags: Mapping[str, str] = field(default_factory=dict)
    network_id: str = ""

    @property
    def spec(self) -> Mapping[str, Any]:
        """The live spec as plain JSON."""
        plain: Mapping[str, Any] = to_plain(self.live.spec)
        return plain

    def output(self, name: str) -> str:
        """Return an output of the live resource.  Raises KeyError if AWS has not told it."""
        value: Value = self.live.outputs[name]
        return str(value)


class SkippedResource(Struct, frozen=True, order=True):
    """One resource that is not exported."""

    address: str
    reason: str


class Inventory(Struct, frozen=True):
    """What an environment owns in AWS."""

    scope: Scope
    resources: tuple[OwnedResource, ...]
    skipped: tuple[SkippedResource, ...]


def list_log_groups(resource: OwnedResource) -> Iterator[tuple[str, int]]:
    """Yield the name and retention in days of each log group that was created for a service."""
    days = resource.spec.get("log_retention_days")
    if resource.type == "apprunner_service" and days:
        for kind in ("application", "service"):
            yield f"/aws/apprunner/{resource.physical}/{resource.output('id')}/{kind}", days
    if resource.type == "ecs_express_service" and days:
        yield resource.spec["log_group"], days


def list_owned(snapshot: Snapshot, desired: DesiredState) -> Inventory:
    """Return what the environment owns, in the order of the manifests."""
    entries = [(item, snapshot.live[item.address]) for item in desired.resources if item.address in snapshot.live]
    owned_names = {(item.type, item.physical) for item, live in entries if live.owner == desired.scope.owner}
    network_id = next((str(live.outputs["id"]) for item, live in entries if item.type == "ec2_vpc"), "")
    resources: list[OwnedResource] = []
    skipped = [
        SkippedResource(address, f"could not be read: {item.reason}") for address, item in snapshot.unread.items()
    ]
    skipped += [SkippedResource(address, UNDECLARED_REASON) for address in snapshot.orphans]
    for item, live in entries:
        if reason := REASONS.get(item.type) or _find_reason(item, live, owned_names):
            skipped.append(SkippedResource(item.address, reason))
        elif item.type != "s3_bucket_cors" or live.spec["rules"]:  # a bucket without rules has no CORS configuration
            label = re.sub(r"[^a-z0-9_]", "_", item.name.lower())
            tags = {**to_plain(item.spec.get("tags", {})), **to_plain(live.spec.get("tags", {}))}
            resources.append(OwnedResource(item.type, label, item.physical, desired.scope, live, tags, network_id))
    return Inventory(desired.scope, tuple(resources), tuple(sorted(skipped)))


def _find_reason(resource: Resource, live: LiveResource, owned_names: set[tuple[str, str]]) -> str:
    """Return why a resource is not this environment's to hand over, or ""."""
    if live.private.get("unmanaged"):
        return "existed before the environment, which uses it but does not own it"
    if parent := PARENT_TYPES.get(resource.type):
        return "" if (parent, resource.physical) in owned_names else "its bucket does not belong to this environment"
    if (resource.type, resource.physical) in owned_names:
        return ""
    return f"belongs to {live.owner}" if live.owner else "does not have this environment's ownership mark"
