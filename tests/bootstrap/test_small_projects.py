"""A project that declares little can be planned too: a plan searches for every type that it may have left behind.

The other lifecycle tests declare everything, so each type's rules are there; here only one kind is declared.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.planning import pipeline
from tests.bootstrap.lifecycle import ENVIRONMENT
from tests.bootstrap.recording_clients import RecordingClients
from tests.bootstrap.roles import ROLES, Roles
from tests.proofs import manifest_sets, real_stack


@pytest.mark.parametrize("kind", manifest_sets.KIND_NAMES.values())
def test_a_plan_of_one_kind_alone_is_allowed(tmp_path: Path, kind: str) -> None:
    """Every call of a plan, also in a project that declares nothing in a VPC (IAM: each call needs a grant)."""
    with real_stack.emulated_aws():
        smallest = manifest_sets.ManifestSet(next(iter(manifest_sets.make_sets(kind))).documents[:1])
        desired = pipeline.load_desired(smallest.write(tmp_path))
        clients = RecordingClients()
        pipeline.plan(desired, clients=clients)
    requests = list(ENVIRONMENT.iter_requests(clients.calls))

    assert len(requests) > 10
    assert {role: Roles(desired).list_denied(role, requests) for role in ROLES} == {role: [] for role in ROLES}
