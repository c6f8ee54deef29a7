"""The demo's chapters: the pipeline that every verb uses, on an emulator that only this process knows.

The one place that sets environment variables: it turns boto3 to the emulator, and away from any account of yours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct

from orchestrator.demo import application, local_state_service, sample
from orchestrator.planning import pipeline
from orchestrator.problems import Exit, Problems
from orchestrator.render import drift, plan_view
from orchestrator.runs import apply, lock, plan_output, reporter
from orchestrator.runs.settings import Settings
from orchestrator.vocabulary import Change, Desired, Plan

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.planning.plan import Planned

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SETTLE_SECONDS = 0.4
"""How long the emulator's slow operations take: long enough to be seen."""


class Meddling(Struct, frozen=True):
    """Something a colleague might do by hand: a call on a resource of one type, in words and as a call."""

    resource_type: str
    words: str
    service: str
    operation: str
    parameters: Callable[[str], dict[str, Any]]


MEDDLINGS = (
    Meddling(
        "s3_bucket",
        "switch off the versioning of bucket {}",
        "s3",
        "put_bucket_versioning",
        lambda name: {"Bucket": name, "VersioningConfiguration": {"Status": "Suspended"}},
    ),
    Meddling(
        "rds_instance",
        "keep the backups of database {} for one day only",
        "rds",
        "modify_db_instance",
        lambda name: {"DBInstanceIdentifier": name, "BackupRetentionPeriod": 1, "ApplyImmediately": True},
    ),
    Meddling(
        "ecr_repository",
        "let tags move in image repository {}",
        "ecr",
        "put_image_tag_mutability",
        lambda name: {"repositoryName": name, "imageTagMutability": "MUTABLE"},
    ),
)


class UnexpectedError(Exception):
    """A chapter did not end as it should; says how."""


def tell(settings: Settings) -> int:
    """All chapters; exit code 0, or 1 with a sentence about the chapter that failed."""
    chapter = _Headings(settings)
    with local_state_service.running(os.environ) as address:
        code = _chapters(settings, chapter, address)
        local_state_service.stay(settings, address if code == Exit.OK else "")
    return code


def _chapters(settings: Settings, chapter: _Headings, address: str) -> int:
    from orchestrator.emulator import start

    try:
        chapter("Validate the manifests, offline")
        desired = pipeline.desired(settings.manifests, settings.environment)
        settings.terminal.say(f"They are valid, and describe {len(desired.resources)} AWS resources.")
        scope = desired.scope
        with start(settle_seconds=SETTLE_SECONDS, account=scope.account, region=scope.region) as emulator:
            point_at(emulator.url, emulator.environment, os.environ)
            settings.terminal.say(f"An empty AWS listens on {emulator.url}; no real one is touched.")
            if address:
                settings.terminal.say(f"The state service shows on {address} what is done, while it happens.")
            _play(settings, chapter, desired)
        _ship(settings, chapter)
    except (UnexpectedError, application.WrongVersionError) as error:
        settings.terminal.tell(f"The demo failed in chapter {chapter.number}, {chapter.title}: {error}")
        return Exit.FAILED
    settings.terminal.say(_farewell(settings))
    return Exit.OK


def _play(settings: Settings, chapter: _Headings, desired: Desired) -> None:
    from orchestrator.aws import Clients

    chapter("Plan: compare them with AWS")
    planned = _plan(settings, desired)
    chapter("Apply: do what the plan says")
    _apply(settings, planned)
    chapter("Plan again: nothing is left to do")
    _expect_nothing(settings, desired)
    meddling = _meddling(planned.plan.changes)
    if meddling is not None:
        words, act = meddling
        chapter(f"By hand: {words}")
        act(Clients(desired.scope.region))
        settings.terminal.say("Done, as somebody in a hurry would do it in the console.")
        chapter("Drift: what in AWS is not as the manifests say")
        _expect_drift(settings, desired)
        chapter("Apply: heal it")
        _apply(settings, _plan(settings, desired))
        chapter("Plan once more: nothing is left to do")
        _expect_nothing(settings, desired)


def _ship(settings: Settings, chapter: _Headings) -> None:
    """The second half, on an AWS of its own; or why this machine has to do without it."""
    from orchestrator.emulator import start

    if why := application.impossible():
        settings.terminal.say(f"\nLeft out: an application that is shipped, breaks and comes back. Here {why}.")
        return
    with start(settle_seconds=SETTLE_SECONDS, account=sample.ACCOUNT, region=sample.REGION, run_services=True) as aws:
        point_at(aws.url, aws.environment, os.environ)
        application.tell(settings, chapter, aws, os.environ)


class _Headings:
    """Numbers the chapters."""

    def __init__(self, settings: Settings) -> None:
        self._terminal = settings.terminal
        self.number = 0
        self.title = ""

    def __call__(self, title: str) -> None:
        self.number += 1
        self.title = title
        line = f"{self.number}. {title}"
        style = self._terminal.style
        rule = style.fit("─" * len(line)) if self._terminal.interactive else "-" * len(line)
        self._terminal.say(f"\n{style.paint(line, 'bold')}\n{style.paint(rule, 'dim')}")


def point_at(url: str, variables: dict[str, str], environ: MutableMapping[str, str]) -> None:
    """Turn every AWS client of this process to ``url``; raise UnexpectedError when that is another machine."""
    if urlsplit(url).hostname not in LOOPBACK:
        raise UnexpectedError(f"{url} is not on this machine")
    for name in [name for name in environ if name.startswith("AWS_")]:
        del environ[name]
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    environ.update(nowhere | variables)


def _plan(settings: Settings, desired: Desired) -> Planned:
    planned = pipeline.plan(desired)
    plan_output.to(settings.terminal, planned)
    if planned.plan.is_vetoed:
        raise UnexpectedError("the plan is vetoed")
    return planned


def _apply(settings: Settings, planned: Planned) -> None:
    from orchestrator.aws import Clients

    alone, how = Clients(planned.scope.region), reporter.How()  # on an AWS of its own
    with lock.taken(settings, planned.scope, "apply", how, alone, None) as turn:
        reporter.choose(turn.record, planned)
        code = apply.carry_out(planned, settings, 16, settings.command("demo"), turn)
    if code == apply.INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise UnexpectedError(f"apply ended with exit code {code}")


def _expect_nothing(settings: Settings, desired: Desired) -> None:
    planned = pipeline.plan(desired)
    plan = planned.plan
    reporter.looked(settings, drift.view(plan), planned)
    settings.terminal.say(f"{plan_view.headline(plan)}.")
    if plan.pending or plan.unread:
        raise UnexpectedError(f"there should be no changes, but: {_names(plan)}")


def _expect_drift(settings: Settings, desired: Desired) -> None:
    planned = pipeline.plan(desired)
    seen = drift.view(planned.plan)
    reporter.looked(settings, seen, planned)
    settings.terminal.say(drift.text(seen, settings.terminal.style, loud=True))
    if not seen.has_drifted:
        raise UnexpectedError("there should be drift, and there is none")


def _names(plan: Plan) -> str:
    return plan_view.sentence(
        ", ".join([*(change.address for change in plan.pending), *(u.address for u in plan.unread)])
    )


def _meddling(changes: Iterable[Change]) -> tuple[str, Callable[[Clients], None]] | None:
    """The first thing that can be done to what was just applied, in words and as a deed."""
    by_type = {change.address.partition(".")[0]: change for change in changes}
    for meddling in MEDDLINGS:
        change = by_type.get(meddling.resource_type)
        if change is not None:
            return meddling.words.format(change.physical), _deed(meddling, change.physical)
    return None


def _deed(meddling: Meddling, physical: str) -> Callable[[Clients], None]:
    from orchestrator.aws import AwsError

    def act(clients: Clients) -> None:
        try:
            clients.call(meddling.service, meddling.operation, meddling.parameters(physical))
        except AwsError as error:
            raise Problems.one(f"the demo could not {meddling.words.format(physical)}: {error}") from None

    return act


def _farewell(settings: Settings) -> str:
    style = settings.terminal.style
    here = [
        ("orchestrator explain bucket.spec.lifecycle", "what a manifest may say"),
        (settings.command("render"), "the manifests with everything filled in"),
        ("orchestrator emulator", "keep such an AWS running; paste what it prints into another terminal, and there:"),
    ]
    there = [
        (settings.command("plan", "--steps"), "each API call, and the permissions they need"),
        (settings.command("apply"), "asks first, and shows a table while it works"),
        (settings.command("drift"), "change something by hand before"),
    ]
    commands = [*here, *((f"  {command}", why) for command, why in there)]
    width = max(len(command) for command, _ in commands)
    lines = [f"  {style.paint(command.ljust(width), 'cyan')}  {why}" for command, why in commands]
    return "\n".join([f"\n{style.paint('What to try next', 'bold')}", *lines])
