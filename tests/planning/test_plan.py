"""From desired and snapshot to a plan.  Roles and repositories serve as resources; no AWS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator import canonical_json, resources
from orchestrator.planning.plan import build
from orchestrator.planning.snapshot import Snapshot
from orchestrator.problems import Position
from orchestrator.values import Ref, TemplateString
from orchestrator.vocabulary import Action, DesiredState, DiscoveredResource, LiveResource, Resource, Scope, Unread

SCOPE = Scope("shop", "prod", "123456789012", "eu-west-1")
HERE = Position("service.yaml", 3, 1)
OURS = {"orchestrator:project": "shop", "orchestrator:environment": "prod", "orchestrator:component": "service.x"}


def role(name: str, policy: Any = None, **extra: Any) -> Resource:
    """A desired role."""
    spec = {"path": SCOPE.iam_path, "trust": {"who": "apprunner"}, "policy": policy, "attached": [], "tags": OURS}
    return Resource("iam_role", name, f"shop-prod-{name}", spec, "service.x", HERE, **extra)


def allow(resource: Any) -> dict[str, Any]:
    """A policy document about one resource."""
    return {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource}]}


def live_role(name: str, *, owner: str | None = "shop/prod", **changed: Any) -> LiveResource:
    """The same role as AWS has it."""
    spec = resources.load("iam_role").normalise({**role(name).spec, **changed})
    outputs = {"arn": f"arn:aws:iam::123456789012:role{SCOPE.iam_path}shop-prod-{name}", "name": f"shop-prod-{name}"}
    return LiveResource(spec, outputs, owner=owner, component="service.x")


def snapshot(live: Mapping[str, LiveResource] | None = None, **more: Any) -> Snapshot:
    """What was read, in the right account."""
    return Snapshot("123456789012", live or {}, **more)


def test_what_is_missing_is_created_and_what_is_equal_is_left() -> None:
    """One change a resource, with place, steps and dependencies."""
    desired = DesiredState(SCOPE, (role("a"), role("b", depends_on=frozenset({"iam_role.a"}))))

    plan = build(desired, snapshot({"iam_role.b": live_role("b")})).plan

    assert [(change.address, change.action) for change in plan.changes] == [
        ("iam_role.a", Action.CREATE),
        ("iam_role.b", Action.NONE),
    ]
    assert plan.changes[0].steps[0].action == "iam:CreateRole"
    assert plan.changes[0].where == HERE
    assert plan.changes[1].depends_on == ("iam_role.a",)
    assert [change.address for change in plan.pending_changes] == ["iam_role.a"]


def test_names_known_beforehand_are_shown_final() -> None:
    """A reference to a role that is yet to be made shows its ARN: we know how AWS will write it."""
    plan = build(DesiredState(SCOPE, (role("a"), role("b", allow(Ref("iam_role.a", "arn"))))), snapshot()).plan

    shown = next(field.after for field in plan.changes[1].fields if field.path == ("policy",))
    assert "arn:aws:iam::123456789012:role/orchestrator/shop/prod/shop-prod-a" in str(shown)


def test_what_only_aws_can_tell_is_shown_as_the_reference() -> None:
    """Nothing reads '(known after apply)': the plan says where the value will come from."""
    policy = allow(TemplateString(("arn:", Ref("iam_role.a", "id"))))

    plan = build(DesiredState(SCOPE, (role("a"), role("b", policy))), snapshot()).plan

    shown = next(field.after for field in plan.changes[1].fields if field.path == ("policy",))
    assert "'arn:${iam_role.a.id}'" in str(shown)


def test_a_reference_to_a_live_resource_is_resolved_from_what_aws_says() -> None:
    """With everything there, the plan is empty."""
    policy = {"Resource": Ref("iam_role.a", "arn")}
    live = {
        "iam_role.a": live_role("a"),
        "iam_role.b": live_role("b", policy={"Resource": live_role("a").outputs["arn"]}),
    }

    assert build(DesiredState(SCOPE, (role("a"), role("b", policy))), snapshot(live)).plan.pending_changes == ()


def test_a_change_of_an_immutable_field_replaces() -> None:
    """The steps delete and make it again."""
    plan = build(DesiredState(SCOPE, (role("a"),)), snapshot({"iam_role.a": live_role("a", path="/")})).plan

    assert plan.changes[0].action is Action.REPLACE
    actions = [step.action for step in plan.changes[0].steps]
    assert actions.index("iam:DeleteRole") < actions.index("iam:CreateRole")


def test_what_is_ours_but_no_longer_desired_is_deleted_after_what_used_it() -> None:
    """A service lets go of its role before the role goes."""
    strays = {
        "iam_role.old": (DiscoveredResource("iam_role", "old"), live_role("old")),
        "apprunner_service.old": (
            DiscoveredResource("apprunner_service", "old"),
            LiveResource({}, {"arn": "arn:x"}, {"arn": "arn:x", "status": "RUNNING"}, owner="shop/prod"),
        ),
    }

    plan = build(DesiredState(SCOPE, (role("a"),)), snapshot({"iam_role.a": live_role("a")}, orphans=strays)).plan

    deletions = {change.address: change for change in plan.changes if change.action is Action.DELETE}
    assert set(deletions) == set(strays)
    assert "apprunner_service.old" in deletions["iam_role.old"].depends_on
    assert [deletions[address].component for address in strays] == ["service.x", ""]


def test_what_refers_to_something_unread_is_not_guessed_at() -> None:
    """Denied reads spread as 'not read', never as an invented change."""
    desired = DesiredState(SCOPE, (role("a"), role("b", allow(Ref("iam_role.a", "id")))))
    unread = {"iam_role.a": Unread("iam_role.a", "AccessDenied: no", "iam:GetRole")}

    plan = build(desired, snapshot({"iam_role.b": live_role("b")}, unread=unread)).plan

    assert plan.changes == ()
    assert [item.address for item in plan.unread] == ["iam_role.a", "iam_role.b"]
    assert [veto.name for veto in plan.vetoes] == ["NotRead"]


def test_an_error_of_aws_brings_no_secret_into_the_plan() -> None:
    """A plan is uploaded as an artefact and recorded: what AWS repeats of a request is redacted before."""
    reason = "InvalidParameter: password=CANARYPW123; Server=db, token ghp_0123456789abcdefghijABCDEFGHIJ012345"
    unread = {"iam_role.a": Unread("iam_role.a", reason, "iam:GetRole")}

    plan = build(DesiredState(SCOPE, (role("a"),)), snapshot({}, unread=unread)).plan
    data = canonical_json.dump(plan)

    assert b"InvalidParameter" in data
    assert b"CANARY" not in data
    assert b"ghp_" not in data


def test_targets_bring_what_they_need() -> None:
    """``--target`` keeps an address or a component, with its dependencies, and leaves the rest."""
    desired = DesiredState(SCOPE, (role("a"), role("b", depends_on=frozenset({"iam_role.a"})), role("c")))

    plan = build(desired, snapshot(), targets=frozenset({"iam_role.b"})).plan

    assert [change.address for change in plan.changes] == ["iam_role.a", "iam_role.b"]


def test_the_digest_is_about_what_will_be_done_and_nothing_else() -> None:
    """Same deeds, same digest; notes and untouched resources do not count, a field does."""
    one = build(DesiredState(SCOPE, (role("a"),)), snapshot()).plan
    same = build(
        DesiredState(SCOPE, (role("a"), role("b")), ("a note",)), snapshot({"iam_role.b": live_role("b")})
    ).plan
    other = build(DesiredState(SCOPE, (role("a", allow("*")),)), snapshot()).plan

    assert one.digest == same.digest
    assert one.digest != other.digest


GUARDS: dict[str, tuple[DesiredState, Snapshot, dict[str, Any], list[str]]] = {
    "a thing with our name and no mark": (
        DesiredState(SCOPE, (role("a", allow("*")),)),
        snapshot({"iam_role.a": live_role("a", owner=None)}),
        {},
        ["NotOurs: shop-prod-a already exists and is not managed by orchestrator."],
    ),
    "a thing of another environment": (
        DesiredState(SCOPE, (role("a", allow("*")),)),
        snapshot({"iam_role.a": live_role("a", owner="shop/test")}),
        {},
        ["NotOurs: shop-prod-a already exists and belongs to shop/test."],
    ),
    "a thing that the manifest adopts": (
        DesiredState(SCOPE, (role("a", allow("*"), adopt=True),)),
        snapshot({"iam_role.a": live_role("a", owner=None)}),
        {},
        [],
    ),
    "nobody adopts what belongs to another": (
        DesiredState(SCOPE, (role("a", allow("*"), adopt=True),)),
        snapshot({"iam_role.a": live_role("a", owner="shop/test")}),
        {},
        ["NotOurs: "],
    ),
    "nothing to adopt": (
        DesiredState(SCOPE, (role("a", allow("*"), adopt=True),)),
        snapshot(),
        {},
        ["NothingToAdopt: service.x sets `adopt: true`, but shop-prod-a does not exist in AWS."],
    ),
    "a replacement": (
        DesiredState(SCOPE, (role("a"),)),
        snapshot({"iam_role.a": live_role("a", path="/")}),
        {},
        ["Replacement: changing path deletes and recreates shop-prod-a."],
    ),
    "an empty manifest set": (
        DesiredState(SCOPE, ()),
        snapshot(orphans={"iam_role.old": (DiscoveredResource("iam_role", "old"), live_role("old"))}),
        {},
        ["EmptyManifests: the manifests define no resources: 1 resource of shop/prod would be deleted."],
    ),
    "destroying is meant": (
        DesiredState(SCOPE, ()),
        snapshot(orphans={"iam_role.old": (DiscoveredResource("iam_role", "old"), live_role("old"))}),
        {"destroying": True},
        [],
    ),
    "many deletions": (
        DesiredState(SCOPE, (role("a"),)),
        snapshot(
            {"iam_role.a": live_role("a")},
            orphans={f"iam_role.{n}": (DiscoveredResource("iam_role", f"{n}"), live_role(f"{n}")) for n in range(4)},
        ),
        {},
        ["MassRemoval: 4 of 5 resources would be deleted (80%)."],
    ),
    "the wrong account": (
        DesiredState(SCOPE, (role("a"),)),
        Snapshot("999999999999"),
        {},
        ["WrongAccount: the credentials belong to account 999999999999, but the manifests are for 123456789012."],
    ),
    "the wrong region": (
        DesiredState(SCOPE, (role("a"),)),
        snapshot(),
        {"configured_region": "us-east-1"},
        ["WrongRegion: AWS_REGION or the profile sets region us-east-1, but the manifests are for eu-west-1."],
    ),
    "a thing in another region": (
        DesiredState(SCOPE, (role("a", allow("x")),)),
        snapshot({"iam_role.a": replace(live_role("a", policy=allow("y")), private={"region": "us-east-1"})}),
        {},
        ["WrongRegion: shop-prod-a exists in us-east-1, but the manifests are for eu-west-1."],
    ),
    "a stateful thing without the manifest's word": (
        DesiredState(SCOPE, (role("a"),)),
        snapshot(
            {"iam_role.a": live_role("a")},
            orphans={
                "s3_bucket.old": (
                    DiscoveredResource("s3_bucket", "old"),
                    LiveResource({}, owner="shop/prod", component="bucket.old"),
                )
            },
        ),
        {},
        ["Stateful: this would delete old and all its data. To keep it, restore its manifest. To delete it, restore "],
    ),
    "a protected thing with the manifest's word": (
        DesiredState(SCOPE, (role("a"),)),
        snapshot(
            {"iam_role.a": live_role("a")},
            orphans={
                "s3_bucket.old": (
                    DiscoveredResource("s3_bucket", "old"),
                    LiveResource(
                        {"deletion_protection": True}, owner="shop/prod", component="bucket.old", deletable=True
                    ),
                )
            },
        ),
        {},
        ["Stateful: this will delete", "Protected: old has deletion protection enabled."],
    ),
    "a stateful thing with the manifest's word": (
        DesiredState(SCOPE, (role("a"),)),
        snapshot(
            {"iam_role.a": live_role("a")},
            orphans={
                "s3_bucket.old": (
                    DiscoveredResource("s3_bucket", "old"),
                    LiveResource({}, owner="shop/prod", deletable=True),
                )
            },
        ),
        {},
        ["Stateful: this will delete old and all its data."],
    ),
}


@pytest.mark.parametrize(("desired", "seen", "options", "expected"), GUARDS.values(), ids=GUARDS.keys())
def test_guards(desired: DesiredState, seen: Snapshot, options: dict[str, Any], expected: list[str]) -> None:
    """Each danger is vetoed with a sentence; what is no danger is not."""
    plan = build(desired, seen, **options).plan
    vetoes = [*plan.vetoes, *(veto for change in plan.changes for veto in change.vetoes)]
    sentences = [f"{veto.name}: {veto.sentence}" for veto in vetoes]

    assert len(sentences) == len(expected)
    assert all(sentence.startswith(start) for sentence, start in zip(sentences, expected, strict=True))


@pytest.mark.parametrize("case", ["a stateful thing with the manifest's word", "many deletions", "a replacement"])
def test_the_token_of_this_plan_lets_it_through_and_no_other_does(case: str) -> None:
    """Two keys: the manifest's word and a token that fits one plan."""
    desired, seen, _, _ = GUARDS[case]
    token = build(desired, seen).plan.token
    other = build(DesiredState(SCOPE, (role("unrelated"),)), snapshot()).plan.token

    assert build(desired, seen).plan.is_vetoed
    assert build(desired, seen, allow=other).plan.is_vetoed
    assert not build(desired, seen, allow=token).plan.is_vetoed
    assert build(desired, seen, allow=token).plan.digest == build(desired, seen).plan.digest


@pytest.mark.parametrize(
    "case",
    [
        "a stateful thing without the manifest's word",
        "a protected thing with the manifest's word",
        "the wrong account",
    ],
)
def test_no_token_lifts_what_needs_the_manifests_word(case: str) -> None:
    """A token alone deletes no data and crosses no account."""
    desired, seen, _, _ = GUARDS[case]

    assert build(desired, seen, allow=build(desired, seen).plan.token).plan.is_vetoed


@pytest.mark.parametrize("destroying", [False, True])
def test_what_a_rollback_retained_goes_only_when_all_goes(destroying: bool) -> None:
    """An undeclared database of a release that was rolled back stays, until somebody destroys the environment."""
    strays = {f"iam_role.{name}": (DiscoveredResource("iam_role", name), live_role(name)) for name in ("kept", "other")}
    desired = DesiredState(SCOPE, () if destroying else (role("a"),), retained=frozenset({"iam_role.kept"}))

    planned = build(desired, snapshot({"iam_role.a": live_role("a")}, orphans=strays), destroying=destroying)

    deleted = {change.address for change in planned.plan.changes if change.action is Action.DELETE}
    assert deleted == ({"iam_role.kept", "iam_role.other"} if destroying else {"iam_role.other"})
    assert planned.retained == (() if destroying else ("iam_role.kept",))
