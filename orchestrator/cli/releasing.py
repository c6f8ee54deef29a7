"""Deploying and going back in front of somebody: the lease, progress, and the report at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.cli import running
from orchestrator.cli.options import Settings
from orchestrator.cli.terminal import Terminal
from orchestrator.problems import Exit
from orchestrator.render import endings, report

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.manifest.check import Manifest
    from orchestrator.plan import Planned
    from orchestrator.release.deploy import Deployment, Ended, OnFailure
    from orchestrator.release.rollback import Return
    from orchestrator.release.store import Store

CODES = {"released": Exit.OK, "unchanged": Exit.OK, "failed": Exit.FAILED, "returned": Exit.ROLLED_BACK}


def clients(manifest: Manifest) -> Clients:
    """The clients of the project's region."""
    from orchestrator.aws import Clients

    return Clients(manifest.scope.region)


def build_sites(manifest: Manifest, terminal: Terminal) -> None:
    """Run the build command of every site that has one.

    Raises Problems.
    """
    from orchestrator.artefacts.sites import build
    from orchestrator.manifest import expand

    for component in expand.stack_of(manifest).components.values():
        if (component.spec.get("spa") or {}).get("build"):
            terminal.say(f"Building the site of {component.handle} ...")
            build.build(component)


def heading(way: Return) -> str:
    """What a rollback is about, in a line."""
    target = way.target
    parts = "all of it" if way.whole else f"{', '.join(sorted(way.parts))} of it"
    return f"Back to release {target.number} of {target.at} ({parts}), from release {way.standing.number}."


@contextmanager
def lease(store: Store, settings: Settings, reason: str) -> Iterator[None]:
    """Be the only one who writes.  Where there is no release bucket yet, nobody else can be writing.

    Raises Problems while somebody else is.
    """
    from orchestrator.release import lease as leasing
    from orchestrator.release import record

    owner = record.origin(settings.manifests).by
    if not store.exists():
        yield
        return
    with leasing.hold(store, owner, reason):
        yield


def carry_out(
    settings: Settings,
    planned: Planned,
    work: Callable[[Deployment, OnFailure], Ended],
    *,
    store: Store,
    clients: Clients,
    parallelism: int,
    again: str,
) -> int:
    """Do ``work``, show how it goes and how it ended; the exit code."""
    from orchestrator.apply import InterruptedApplyError
    from orchestrator.release import record
    from orchestrator.release.deploy import Deployment

    began = time.monotonic()
    with running.display(planned, settings) as shown:
        run = Deployment(store, record.origin(settings.manifests), clients, shown, parallelism=parallelism)
        try:
            ended = work(run, lambda cause: None)
        except InterruptedApplyError as stop:
            return _interrupted(stop.outcomes, settings, time.monotonic() - began, again)
    seen = endings.view(ended, time.monotonic() - began, again=again, look=settings.command("releases"))
    settings.terminal.say("\n" + endings.text(seen, settings.terminal.style))
    return CODES[ended.end]


def _interrupted(outcomes: tuple[object, ...], settings: Settings, seconds: float, again: str) -> int:
    seen = report.view(outcomes, seconds, again, settings.command("plan"))  # type: ignore[arg-type]
    settings.terminal.say("\n" + report.text(seen, settings.terminal.style))
    return running.INTERRUPTED
