"""Under what AWS does to new accounts and new resources, the stack converges, a killed run is healed, and all goes.

Each fault is a setting of ``--faults`` (``orchestrator/emulator/README.md`` names the sources).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.aws import AwsError
from orchestrator.emulator import Emulator, Faults
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.problems import Problems
from orchestrator.vocabulary import DesiredState
from tests import performed_calls
from tests.proofs import real_stack
from tests.proofs.scenarios import DELETABLE, EXPRESS_SERVICE

pytestmark = pytest.mark.timeout(300)

FIRST_DAY = Faults(
    account_limits=("rds-unused",),
    role_assumable_after_seconds=0.2,
    role_error="not-authorized",
    missing_express_code="InvalidParameterException",
    unseen_reads={"role": 2, "bucket": 2, "secret": 2, "service": 2, "object": 2},
    in_use_deletions=1,
)
STACKS = {"app-runner": DELETABLE, "ecs-express": (*EXPRESS_SERVICE, DELETABLE[0], DELETABLE[-1])}
KILLED_AT = {"app-runner": 31, "ecs-express": 12}
"""The write after which a run is killed, in the middle; ``test_crash_anywhere`` tries all writes without faults."""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An empty account by moto: the faults are the same on both backends."""
    with real_stack.emulated_aws() as running:
        yield running


@pytest.mark.parametrize("runtime", STACKS)
def test_a_killed_run_is_healed_and_everything_goes(emulator: Emulator, tmp_path: Path, runtime: str) -> None:
    """A run that is cut off leaves what the next one continues with; the account ends as it began."""
    mortal = real_stack.load_stack(tmp_path / "mortal", *STACKS[runtime])
    before = real_stack.count_resources()
    emulator.faults = FIRST_DAY
    emulator.crash_at(KILLED_AT[runtime], "after")
    _apply_until_killed(mortal)
    assert emulator.is_crashed
    emulator.revive()

    assert real_stack.list_failures(real_stack.apply(mortal)) == []
    for _ in range(2):  # a bucket that nobody has read yet is missed by these reads
        real_stack.make_plan(mortal)
    assert real_stack.describe_changes(real_stack.make_plan(mortal)) == []
    assert real_stack.list_failures(real_stack.apply(mortal, destroying=True)) == []

    after = real_stack.count_resources()
    kept = {"rds:describe_db_snapshots": 1} if runtime == "app-runner" else {}
    assert {key: after[key] - before[key] for key in after if after[key] != before[key]} == kept


def _apply_until_killed(desired: DesiredState) -> None:
    """Apply with clients that give up at once: the emulator drops every connection after the crash."""
    impatient = real_stack.clients(attempts=1)
    with suppress(AwsError, Problems):
        performed_calls.apply(pipeline.plan(desired, clients=impatient), ignore_event, clients=impatient)
