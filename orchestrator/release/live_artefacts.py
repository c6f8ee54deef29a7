"""Keep images, sites, models and migrations as they are live, for a command that records no release.

Only ``deploy`` and ``rollback`` change them: the ledger would not know of any other change.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from orchestrator.components.containerservice.checks import RELEASE_VARIABLE
from orchestrator.planning.plan import PreparedPlan
from orchestrator.problems import Problems
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import Action, Change, DesiredState, LiveResource, Resource

ARTEFACT_LABELS = {"ecr_image": "image", "s3_site": "site", "s3_model": "model", "migration": "migration"}
SERVICE_TYPES = frozenset({"apprunner_service", "ecs_express_service"})


def list_changes(planned: PreparedPlan) -> tuple[str, ...]:
    """Return the artefacts that a plan would change, such as ``the image of containerservice.api``."""
    labels = ((_artefact_label(change), change.component) for change in planned.plan.pending_changes)
    return tuple(dict.fromkeys(f"the {label} of {component}" for label, component in labels if label))


def keep(desired: DesiredState, planned: PreparedPlan) -> DesiredState:
    """Return ``desired`` with every artefact that ``planned`` would change as it is live.

    Raises Problems if a service is not deployed yet: it has no image to keep.
    """
    changes = {change.address: change for change in planned.plan.pending_changes if _artefact_label(change)}
    left_out = {address for address in changes if address.partition(".")[0] in ARTEFACT_LABELS}
    return replace(desired, resources=tuple(_keep_resources(desired, planned.live, changes, left_out)))


def _keep_resources(
    desired: DesiredState, live: Mapping[str, LiveResource], changes: Mapping[str, Change], left_out: set[str]
) -> Iterator[Resource]:
    has_other_site = any(address.startswith("s3_site.") for address in left_out)  # a function lists its pages
    for resource in desired.resources:
        if resource.address in left_out:
            continue
        kept = replace(resource, depends_on=resource.depends_on - left_out)
        if resource.type == "cloudfront_function" and has_other_site and "data" in resource.spec:
            kept = replace(kept, spec={**kept.spec, "data": _hide(kept.spec["data"])})
        yield _keep_image(kept, live.get(resource.address)) if resource.address in changes else kept


def _hide(data: Value) -> WriteOnly:
    return data if isinstance(data, WriteOnly) else WriteOnly(data)


def _keep_image(resource: Resource, live: LiveResource | None) -> Resource:
    if live is None:
        raise Problems.from_message(
            f"{resource.component} is not deployed yet: only a deploy can release its first image",
            where=resource.where,
            hint="run: orchestrator deploy",
        )
    return replace(resource, spec={**resource.spec, "image": live.spec["image"], **_live_release(resource, live)})


def _live_release(resource: Resource, live: LiveResource) -> Mapping[str, Value]:
    """Return the environment with the live release variable: it names the image that runs."""
    environment = {key: value for key, value in resource.spec["environment"].items() if key != RELEASE_VARIABLE}
    live_environment = live.spec["environment"]
    if RELEASE_VARIABLE in live_environment:
        environment[RELEASE_VARIABLE] = live_environment[RELEASE_VARIABLE]
    return {"environment": environment}


def _artefact_label(change: Change) -> str | None:
    resource_type = change.address.partition(".")[0]
    if resource_type in SERVICE_TYPES and change.action is not Action.DELETE:
        return "image" if any(field.path[0] == "image" for field in change.fields) else None
    return ARTEFACT_LABELS.get(resource_type)
