"""Adoption of what a team has made by hand: it is found under its own name, and nothing is lost without a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.vocabulary import Action, DesiredState, Plan
from tests.planning import existing_resources
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

        assert sorted(sentence.partition(" says")[0] for sentence in vetoes(plan).values()) == [
            "bucket.files", "cdn.web", "containerservice.api", "database.main", "secret.app",
        ]  # fmt: skip
        assert "there is no legacy-postgres to take over" in " ".join(vetoes(plan).values())

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
