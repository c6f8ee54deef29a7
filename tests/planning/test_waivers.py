"""Differences that a manifest lets be: what a plan and the drift report make of them."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.planning.plan import build
from orchestrator.render import drift
from orchestrator.render.style import Style
from orchestrator.vocabulary import Action, DesiredState, Plan, Waiver
from tests.planning.test_plan import SCOPE, allow, live_role, role, snapshot

TODAY = "2026-11-24"


def planned(field: str, until: str, **live: Any) -> Plan:
    """The plan for a role with a policy, which AWS has otherwise, with one waiver."""
    waiver = Waiver("service.x", frozenset({"iam_role.api"}), field, until, "ana", "the move runs")
    desired = DesiredState(SCOPE, (role("api", allow("a")),), waivers=(waiver,))
    return build(desired, snapshot({"iam_role.api": live_role("api", **live)}), today=TODAY).plan


def test_what_is_let_be_is_no_change() -> None:
    """It is told in the notes, and it is data for whoever asks."""
    plan = planned("policy", "2026-11-24", policy=allow("b"))

    assert plan.pending_changes == ()
    assert [(one.address, one.past) for one in plan.waived] == [("iam_role.api", False)]
    assert "is ignored until 2026-11-24 (ana: the move runs)" in " ".join(plan.notes)


def test_past_its_day_it_is_drift_again() -> None:
    plan = planned("policy", "2026-11-23", policy=allow("b"))

    assert [change.action for change in plan.pending_changes] == [Action.UPDATE]
    assert "The waiver has expired: it is drift." in " ".join(plan.notes)
    assert drift.build_view(plan).has_drifted
    assert "was ignored until 2026-11-23" in drift.render_text(drift.build_view(plan), Style())


def test_an_entry_without_use_can_go() -> None:
    """Told once its day is past; before, it may be needed yet."""
    assert "Remove the entry" in " ".join(planned("policy", "2026-11-23", policy=allow("a")).notes)
    assert planned("policy", "2026-12-01", policy=allow("a")).notes == ()


def test_an_update_beside_it_leaves_it_alone() -> None:
    """The calls of a change of another field carry what AWS has of the one that is let be."""
    plan = planned("trust", "2026-12-01", policy=allow("b"), trust={"who": "somebody else"})

    (change,) = plan.pending_changes
    assert {field.path[0] for field in change.fields} == {"policy"}
    assert "apprunner" not in str(change.steps)


@pytest.mark.parametrize(("field", "left"), [("policy", 0), ("polic", 1), ("policy.Statement", 0), ("tags", 1)])
def test_a_field_is_named_with_all_below_it(field: str, left: int) -> None:
    assert len(planned(field, "2026-12-01", policy=allow("b")).pending_changes) == left


def test_the_report_counts_it_apart() -> None:
    seen = drift.build_view(planned("policy", "2026-12-01", policy=allow("b")))

    assert not seen.has_drifted
    assert seen.headline == "0 drifted, 0 in sync, 0 not checked, 1 ignored; coverage 100%"
    assert "policy.Statement is ignored until 2026-12-01 (ana: the move runs)" in drift.render_text(seen, Style())
    assert "**ignored** `iam_role.api`" in drift.render_markdown(seen)


def test_the_digest_says_what_will_be_done_and_no_more() -> None:
    """A waiver that ends between review and merge moves the digest, for then another thing would be done."""
    let_be = planned("policy", "2026-12-01", policy=allow("b"))
    past = planned("policy", "2026-11-01", policy=allow("b"))
    same = planned("policy", "2026-12-01", policy=allow("a"))

    assert let_be.digest == same.digest != past.digest
