"""All checks of one set-up, beside each other, within one time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from orchestrator.aws import Clients
from orchestrator.doctor import (
    CHECKS,
    Case,
    Finding,
    aws_checks,
    github_checks,
    local_checks,
    missing,
    state_service_checks,
    unchecked,
)
from orchestrator.doctor.deadline import Clock
from orchestrator.manifest.check import Manifest
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.vocabulary import Desired

Begun = dict[str, "Future[list[Finding]]"]

SECONDS = 30.0
"""All of it takes no longer, however dead the network is."""


def examine(case: Case, seconds: float = SECONDS) -> list[Finding]:
    """What is there, what is missing and what could not be looked at, in the order of CHECKS."""
    clock = Clock(seconds)
    case, found = local_checks.manifests(case)
    begun: Begun = {
        "git": clock.begin(lambda: list(local_checks.git(case))),
        "workflows": clock.begin(lambda: list(local_checks.workflows(case))),
        "state": clock.begin(lambda: list(state_service_checks.look(case.environ))),
    }
    if case.manifest is not None:
        begun |= _distant(case, case.manifest, clock)
    for name in CHECKS:
        if name in begun:
            found += _end(clock, name, begun[name])
        elif name != "manifests":
            found.append(unchecked(name, "the manifests are not valid", "correct them first"))
    order = list(CHECKS)
    return sorted(found, key=lambda each: order.index(each.check))


def _distant(case: Case, manifest: Manifest, clock: Clock) -> Begun:
    """What needs a valid manifest: the builder, GitHub, and AWS, which is asked for more only when it lets us in."""
    clients = case.clients(manifest.scope.region)
    aws = clock.begin(lambda: list(aws_checks.identity(manifest, clients)))
    asked = clock.begin(lambda: github_checks.ask(case, manifest))
    desired = clock.begin(lambda: pipeline.desired(case.folder, case.environment, shipping=False))
    fix = case.again("bootstrap", "github")

    def once_in(check: str, look: Callable[[], Iterable[Finding]]) -> Future[list[Finding]]:
        def run() -> list[Finding]:
            if any(each.state != "ok" for each in clock.result(aws)):
                return [unchecked(check, "AWS did not let us in")]
            try:
                return list(look())
            except Problems as error:
                return missing(check, error)

        return clock.begin(run)

    return {
        "aws": aws,
        "github": clock.begin(lambda: clock.result(asked).findings),
        "builder": clock.begin(lambda: list(local_checks.builder(case))),
        "releases": once_in("releases", lambda: aws_checks.releases(manifest, clients)),
        "permissions": once_in("permissions", lambda: _reading(clock.result(desired), clients, fix)),
        "roles": once_in(
            "roles", lambda: aws_checks.roles(clock.result(desired), clients, clock.result(asked).repository, fix)
        ),
    }


def _reading(desired: Desired, clients: Clients, fix: str) -> list[Finding]:
    return [*aws_checks.permissions(desired, clients, fix), *aws_checks.closed(desired, clients)]


def _end(clock: Clock, name: str, begun: Future[list[Finding]]) -> list[Finding]:
    try:
        return clock.result(begun)
    except TimeoutError:
        why = f"no answer within {clock.seconds:.0f} s"
        return [unchecked(name, why, "check the network, or give it more time with --timeout")]
