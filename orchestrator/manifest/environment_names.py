"""Find names in AWS that several environments of a project share.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.problems import Problem
from orchestrator.vocabulary import DesiredState, Resource, Scope

SHARED_TYPES = frozenset({"ec2_vpc"})
"""Types that are only read, and that environments may share."""


def find_collisions(states: Iterable[DesiredState]) -> Iterator[Problem]:
    """Yield the resources whose name is the same in two environments of one account and region.

    The second environment could not create them: they belong to the first.
    """
    owners: dict[tuple[str, str, str, str], Scope] = {}
    reported: set[tuple[str, str]] = set()
    for state in states:
        scope = state.scope
        for resource in state.resources:
            if resource.type in SHARED_TYPES or not resource.physical:
                continue
            owner = owners.setdefault((scope.account, scope.region, resource.type, resource.physical), scope)
            if owner.environment != scope.environment and (resource.component, resource.physical) not in reported:
                reported.add((resource.component, resource.physical))
                yield _collision_problem(resource, owner, scope)


def _collision_problem(resource: Resource, owner: Scope, scope: Scope) -> Problem:
    message = (
        f"{resource.component} has the same name in AWS in {owner.environment} and {scope.environment}: "
        f"{resource.physical}"
    )
    return Problem(message, resource.where, "add ${project.environment} to the name")
