"""Differences that a manifest lets be: what a plan and the drift report make of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.planning import pipeline
from orchestrator.planning.apply import apply
from orchestrator.planning.events import ignore_event
from orchestrator.planning.plan import build
from orchestrator.render import drift
from orchestrator.render.style import Style
from orchestrator.steps import ApiCall, Step
from orchestrator.vocabulary import Action, DesiredState, Plan, UnmanagedChange, Waiver
from tests import performed_calls
from tests.planning.test_plan import SCOPE, allow, live_role, role, snapshot
from tests.proofs.real_stack import clients, emulated_aws

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
    assert "The waiver has expired, so the difference is drift." in " ".join(plan.notes)
    assert drift.build_view(plan).has_drifted
    assert "was ignored until 2026-11-23" in drift.render_text(drift.build_view(plan), Style())


def test_an_entry_without_use_can_go() -> None:
    """Told once its day is past; before, it may be needed yet."""
    assert "Remove the entry" in " ".join(planned("policy", "2026-11-23", policy=allow("a")).notes)
    assert planned("policy", "2026-12-01", policy=allow("a")).notes == ()


@pytest.mark.parametrize(
    ("field", "until", "shown", "noted"),
    [
        ("inline_policies", "2026-12-01", [], [("inline_policies",)]),
        ("inline_policies", "2026-11-23", ["inline_policies"], [("inline_policies",)]),
        ("policy", "2026-12-01", ["inline_policies"], []),
    ],
)
def test_a_setting_that_somebody_added_is_let_be_too(
    field: str, until: str, shown: list[str], noted: list[tuple[str, ...]]
) -> None:
    """What no manifest states, and apply leaves alone, counts as drift until a waiver of its own ignores it."""
    waiver = Waiver("service.x", frozenset({"iam_role.api"}), field, until, "ana", "the move runs")
    desired = DesiredState(SCOPE, (role("api", allow("a")),), waivers=(waiver,))
    added = UnmanagedChange("inline_policies", [], ["by-hand"], "Remove it.")
    live = replace(live_role("api", policy=allow("a")), unmanaged=(added,))

    plan = build(desired, snapshot({"iam_role.api": live}), today=TODAY).plan

    assert [item.field for change in plan.changes for item in change.unmanaged] == shown
    assert [(item.address, item.field.path) for item in plan.waived] == [("iam_role.api", path) for path in noted]


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
    assert seen.headline == "0 drifted, 0 in sync, 0 not checked, 1 ignored; coverage 92.3%"
    assert "policy.Statement is ignored until 2026-12-01 (ana: the move runs)" in drift.render_text(seen, Style())
    assert "**ignored** `iam_role.api`" in drift.render_markdown(seen)


def test_the_digest_says_what_will_be_done_and_no_more() -> None:
    """A waiver that ends between review and merge moves the digest, for then another thing would be done."""
    let_be = planned("policy", "2026-12-01", policy=allow("b"))
    past = planned("policy", "2026-11-01", policy=allow("b"))
    same = planned("policy", "2026-12-01", policy=allow("a"))

    assert let_be.digest == same.digest != past.digest


ROLES = ("api", "worker", "cron")
DRIFTED = {f"iam_role.{name}": live_role(name, policy=allow("b"), trust={"who": "hand"}) for name in ROLES}


def waiver(addresses: set[str], field: str, until: str = "2026-12-01", component: str = "service.x") -> Waiver:
    return Waiver(component, frozenset(addresses), field, until, "ana", "the move runs")


def plan_roles(*waivers: Waiver) -> Plan:
    """The plan for three roles that all differ in their policy and in their trust."""
    desired = DesiredState(SCOPE, tuple(role(name, allow("a")) for name in ROLES), waivers=waivers)
    return build(desired, snapshot(DRIFTED), today=TODAY).plan


def list_differences(plan: Plan) -> set[tuple[str, str]]:
    return {(change.address, field.path[0]) for change in plan.pending_changes for field in change.fields}


def test_a_waiver_covers_its_own_addresses_and_no_other() -> None:
    """Three resources differ alike; each waiver hides one field of one or two of them."""
    everything = {(f"iam_role.{name}", field) for name in ROLES for field in ("policy", "trust")}
    first = waiver({"iam_role.api", "iam_role.worker"}, "policy")
    second = waiver({"iam_role.cron"}, "trust", component="service.y")

    assert list_differences(plan_roles()) == everything
    assert everything - list_differences(plan_roles(first)) == {
        ("iam_role.api", "policy"),
        ("iam_role.worker", "policy"),
    }
    assert everything - list_differences(plan_roles(first, second)) == {
        ("iam_role.api", "policy"),
        ("iam_role.worker", "policy"),
        ("iam_role.cron", "trust"),
    }


def test_an_unused_waiver_is_found_beside_one_of_the_same_field_that_is_used() -> None:
    """An expired waiver of a resource that does not differ can go, whatever another's waiver is used for."""
    expired = waiver({"iam_role.equal"}, "policy", "2026-11-01", "service.y")
    notes = plan_roles(waiver({"iam_role.api"}, "policy"), expired).notes

    (note,) = [note for note in notes if "Remove the entry" in note]
    assert note.startswith("service.y: the waiver for `policy` expired on 2026-11-01, and the field does not differ.")


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_waivers_the_later_date_counts(order: int) -> None:
    """In whichever order they are written."""
    waivers = [waiver({"iam_role.api"}, "policy", "2026-11-23"), waiver({"iam_role.api"}, "policy", "2026-11-24")]

    assert ("iam_role.api", "policy") not in list_differences(plan_roles(*waivers[::order]))


def test_the_apply_lets_be_what_the_plan_lets_be() -> None:
    """The calls of the apply are those of the plan: none writes the field that the waiver ignores."""
    desired = DesiredState(SCOPE, (role("api", allow("a")),), waivers=(waiver({"iam_role.api"}, "trust"),))
    prepared = build(desired, snapshot({"iam_role.api": DRIFTED["iam_role.api"]}), today=TODAY)
    performed: list[str] = []

    def perform(step: Step) -> dict[str, Any]:
        assert isinstance(step, ApiCall)
        performed.append(step.operation)
        return {}

    apply(prepared, perform, ignore_event)

    assert performed == ["put_role_policy"]


@pytest.mark.parametrize(("days", "pending"), [(-1, ["s3_bucket.files"]), (0, []), (1, [])])
@pytest.mark.real_parts
def test_a_waiver_of_a_manifest_ends_with_its_day(days: int, pending: list[str], tmp_path: Path) -> None:
    """Through the pipeline that every command uses, on both sides of midnight (UTC)."""
    with emulated_aws():
        (tmp_path / "shop.yaml").write_text(MANIFEST.format(extra=""))
        aws = clients()
        performed_calls.apply(
            pipeline.plan(pipeline.load_desired(tmp_path, "prod"), clients=aws), ignore_event, clients=aws
        )
        aws.call(
            "s3", "put_bucket_versioning", {"Bucket": "shop-files", "VersioningConfiguration": {"Status": "Suspended"}}
        )
        until = (datetime.now(UTC) + timedelta(days)).date().isoformat()
        entry = f'{{field: versioning, until: "{until}", owner: ana, reason: a test}}'
        (tmp_path / "shop.yaml").write_text(MANIFEST.format(extra=f", drift: {{ignore: [{entry}]}}"))

        plan = pipeline.plan(pipeline.load_desired(tmp_path, "prod"), clients=aws).plan

    assert [change.address for change in plan.pending_changes] == pending
    assert [item.past for item in plan.waived] == [days < 0]


MANIFEST = """
apiVersion: orchestrator/v1
kind: Project
metadata: {{name: shop}}
spec: {{repository: shop/shop, region: eu-west-1, account: "123456789012"}}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {{name: files{extra}}}
spec: {{name: shop-files, versioning: true, deletionPolicy: delete}}
"""


@pytest.mark.real_parts
def test_destroy_names_no_waivers(tmp_path: Path) -> None:
    """All goes; a note about what is ignored until a date would be about nothing."""
    with emulated_aws():
        entry = '{field: versioning, until: "2020-01-01", owner: ana, reason: a test}'
        (tmp_path / "shop.yaml").write_text(MANIFEST.format(extra=f", drift: {{ignore: [{entry}]}}"))
        desired = pipeline.load_desired(tmp_path, "prod")
        assert "Remove the entry" in " ".join(pipeline.plan(desired, clients=clients()).plan.notes)

        assert pipeline.plan(desired, clients=clients(), destroying=True).plan.notes == ()
