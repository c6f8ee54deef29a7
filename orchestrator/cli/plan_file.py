"""Write plans to files and read them back."""

from __future__ import annotations

from pathlib import Path

from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.vocabulary import Plan

PLAN_VERSION = 1


def write(path: Path, plan: Plan) -> None:
    """Write ``plan`` to ``path`` as JSON.  Raises Problems if the file cannot be written."""
    try:
        path.write_bytes(canonical_json.dump(plan) + b"\n")
    except OSError as error:
        raise Problems.from_message(f"cannot write the plan to {path}: {error.strerror}") from None


def read(path: Path) -> Plan:
    """Return the plan in ``path``.  Raises Problems if the file is unreadable or holds no plan of this version."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Problems.from_message(f"cannot read the plan from {path}: {error.strerror}") from None
    plan = canonical_json.load(data, Plan, str(path))
    if plan.version != PLAN_VERSION:
        raise Problems.from_message(
            f"{path} has plan version {plan.version}; this orchestrator reads version {PLAN_VERSION}", hint="plan again"
        )
    return plan
