"""Adoption of what a team has made by hand: it is found under its own name, and nothing is lost without a word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from orchestrator.planning import pipeline
from orchestrator.planning.plan import PreparedPlan
from orchestrator.problems import Problems
from orchestrator.vocabulary import Action, DesiredState, Plan
from tests.planning import existing_resources
from tests.planning.every_type import STACK
from tests.planning.test_hand_edits import EDITS, HandEdits
from tests.proofs import real_stack

OWN_NAMES = {
    "s3_bucket.files": existing_resources.BUCKET,
    "secretsmanager_secret.app": existing_resources.SECRET,
    "rds_instance.main": existing_resources.DATABASE,
    "ecr_repository.api": existing_resources.REPOSITORY,
    "apprunner_service.api": existing_resources.SERVICE,
    "cloudfront_distribution.web": "shop-prod-web",  # distributions have no names
}


def load(folder: Path, text: str) -> DesiredState:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.yaml").write_text(text)
    return pipeline.load_desired(folder)


@pytest.fixture(params=real_stack.BACKENDS)
def manifests(request: pytest.FixtureRequest) -> Iterator[str]:
    """Manifests that adopt what exists in an emulated account."""
    with real_stack.emulated_aws(request.param):
        yield existing_resources.make_all()


def vetoes(plan: Plan) -> dict[str, str]:
    """The sentences of all vetoes by address, or by name for those of the plan."""
    found = {f"{change.address} {veto.name}": veto.sentence for change in plan.changes for veto in change.vetoes}
    return found | {f"{veto.name} {number}": veto.sentence for number, veto in enumerate(plan.vetoes)}


@pytest.mark.both_backends
class TestOwnNames:
    def test_what_exists_is_found_under_its_own_name(self, manifests: str, tmp_path: Path) -> None:
        plan = real_stack.make_plan(load(tmp_path, manifests))

        changes = {change.address: change for change in plan.changes}
        assert {address: changes[address].physical for address in OWN_NAMES} == OWN_NAMES
        assert [address for address in OWN_NAMES if changes[address].action is Action.CREATE] == []
        assert [name for name in vetoes(plan) if "NotOurs" in name or "NothingToAdopt" in name] == []

    def test_without_adopt_nothing_of_it_is_touched(self, manifests: str, tmp_path: Path) -> None:
        plan = real_stack.make_plan(load(tmp_path, manifests.replace(", adopt: true", "")))

        assert OWN_NAMES.keys() <= {name.partition(" ")[0] for name in vetoes(plan) if name.endswith(" NotOurs")}


class TestNothingToAdopt:
    def test_every_component_says_so(self, tmp_path: Path) -> None:
        text = existing_resources.MANIFESTS.replace("IMAGE", existing_resources.IMAGE)
        with real_stack.emulated_aws():
            plan = real_stack.make_plan(load(tmp_path, re.sub(r", distributionId: \w+", "", text)))

        assert sorted(sentence.partition(" sets")[0] for sentence in vetoes(plan).values()) == [
            "bucket.files", "cdn.web", "containerservice.api", "database.main", "secret.app",
        ]  # fmt: skip
        assert "legacy-postgres does not exist in AWS" in " ".join(vetoes(plan).values())

    def test_a_distribution_that_does_not_exist(self, tmp_path: Path) -> None:
        text = existing_resources.MANIFESTS.replace("IMAGE", existing_resources.IMAGE)
        with real_stack.emulated_aws(), pytest.raises(Problems) as caught:
            real_stack.make_plan(load(tmp_path, text.replace("DISTRIBUTION", "E2QWRUHAPOMQZL")))

        (problem,) = caught.value.problems
        assert problem.message == "the distribution E2QWRUHAPOMQZL does not exist in account 123456789012"
        assert "distributionId" in str(problem.hint)


def test_an_adopted_service_is_deleted_with_its_manifest(tmp_path: Path) -> None:
    """Its name does not begin with the environment's, so its tags have to tell whose it is."""
    with real_stack.emulated_aws():
        text = existing_resources.make_all()
        project, *documents = text.split("---\n")
        service = next(document for document in documents if "ContainerService" in document)
        desired = load(tmp_path, f"{project}---\n{service}")
        assert real_stack.list_failures(real_stack.apply(desired)) == []

        plan = real_stack.make_plan(load(tmp_path, project))

    deleted = {change.physical for change in plan.changes if change.action is Action.DELETE}
    assert {"legacy-api", "legacy/api", "shop-prod-api"} <= deleted


@pytest.mark.both_backends
@pytest.mark.parametrize("backend", real_stack.BACKENDS)
def test_every_type_is_adopted_with_what_somebody_has_set_on_it(backend: str, tmp_path: Path) -> None:
    """The resources have settings that no manifest knows, and no mark: only marks change, and each loss is named."""
    with real_stack.emulated_aws(backend):
        desired = load(tmp_path, STACK)
        assert real_stack.list_failures(real_stack.apply(desired)) == []
        edits = HandEdits(real_stack.make_plan(desired))
        for edit in EDITS.keys() - {HandEdits.paused_service}:
            edit(edits)
        existing_resources.remove_marks(real_stack.make_plan(desired))

        adopting = load(tmp_path, re.sub(r"metadata: \{name: (\w+)\}", r"metadata: {name: \1, adopt: true}", STACK))
        before = real_stack.plan_with_token(adopting)
        plan = real_stack.make_plan(adopting)

        assert {change.action for change in plan.changes} == {Action.UPDATE, Action.NONE}
        adopted_types = {change.address.partition(".")[0] for change in plan.pending_changes}
        assert adopted_types >= existing_resources.TYPES_WITH_MARKS
        assert {
            field.path[0] for change in plan.pending_changes for field in change.fields if field.path[0] != "tags"
        } == {"description", "actions_enabled"}  # of alarms: their mark is part of the description
        named = vetoes(plan)
        assert set(named) == {f"cloudwatch_alarm.{name} AdoptionLoses" for name in ("main-connections", "api-5xx")}

        assert real_stack.list_failures(real_stack.apply(adopting)) == []
        after = pipeline.plan(adopting, clients=real_stack.clients())
        assert after.plan.pending_changes == ()
        assert list_unnamed_losses(before, after, named) == []


def list_unnamed_losses(before: PreparedPlan, after: PreparedPlan, named: Mapping[str, str]) -> list[str]:
    """The settings that were there before an adoption and are gone, of which the plan had said nothing."""
    changed = {change.address: {field.path[0] for field in change.fields} for change in before.plan.changes}
    missing = []
    for address, live in before.live.items():
        now = after.live[address]
        gone = {setting.field for setting in live.unmanaged} - {setting.field for setting in now.unmanaged}
        gone |= {name for name, value in live.spec.items() if now.spec.get(name) != value} - changed[address]
        gone = {name for name in gone if name not in named.get(f"{address} AdoptionLoses", "")}
        missing += [f"{address}: {name}" for name in sorted(gone)]
    return missing


def test_what_is_lost_is_named_and_needs_consent(tmp_path: Path) -> None:
    with real_stack.emulated_aws():
        desired = load(tmp_path, existing_resources.make_all())
        plan = real_stack.make_plan(desired)

    losses = {name.partition(" ")[0]: text for name, text in vetoes(plan).items() if name.endswith("AdoptionLoses")}
    assert 'removes lifecycle {"Expiration": {"Days": 30}' in losses["s3_bucket.files"]
    assert '"https://old.example"' in losses["s3_bucket_cors.files"]
    assert "arn:aws:iam::210987654321:root" in losses["s3_bucket_policy.files"]
    assert '"countNumber": 500' in losses["ecr_repository.api"]
    assert "removes variables MODE" in losses["apprunner_service.api"]
    assert "removes the current values of the keys Issuer, if they exist" in losses["secretsmanager_value.app"]
    assert "removes security_groups sg-" in losses["rds_instance.main"]
    assert all(veto.token_lifts for change in plan.changes for veto in change.vetoes if veto.name == "AdoptionLoses")


def test_an_adopted_secret_keeps_what_the_manifest_does_not_replace(tmp_path: Path) -> None:
    with real_stack.emulated_aws():
        project, *documents = existing_resources.make_all().split("---\n")
        secret = next(document for document in documents if "kind: Secret" in document)

        assert real_stack.list_failures(real_stack.apply(load(tmp_path, f"{project}---\n{secret}"))) == []

        response = existing_resources.call("secretsmanager", "get_secret_value", SecretId=existing_resources.SECRET)
    document = json.loads(response["SecretString"])
    assert document == {**existing_resources.DOCUMENT, "Jwt__Key": "theirs", "Issuer": "shop"}
