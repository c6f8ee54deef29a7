"""Killed before or after any mutating call, the next run ends in the same live state: no orphan, nothing by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.proofs.scenarios import UPDATES

pytestmark = [pytest.mark.both_backends, pytest.mark.slow, pytest.mark.timeout(900)]

SHARDS = [f"{index}/4" for index in range(4)]
RUNS = [
    *(("create", shard) for shard in SHARDS),
    *(("destroy", shard) for shard in SHARDS),
    *((name, "0/1") for name in UPDATES),
]


@pytest.mark.parametrize("backend", ["moto", "ministack"])
@pytest.mark.parametrize(("scenario", "shard"), RUNS, ids=[f"{name} {shard}" for name, shard in RUNS])
def test_a_killed_run_is_healed_by_the_next(
    scenario: str, shard: str, backend: str, record_property: Callable[[str, object], None]
) -> None:
    """All indices, not a sample."""
    command = [sys.executable, "-m", "tests.proofs.crash", scenario, "--backend", backend, "--shard", shard]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=880)
    cases = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.returncode == 0, done.stderr[-3000:]
    assert cases
    for name, value in {"scenario": scenario, "backend": backend, "crashes": len(cases)}.items():
        record_property(name, value)
    assert [case for case in cases if case["wrong"]] == []
