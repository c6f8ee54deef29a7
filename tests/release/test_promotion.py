"""Promotion: what one environment has proved goes to another by the same digests, and only that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.release import Ledger, Release, Vector, promotion_choice
from orchestrator.release.promotion import NothingToPromoteError, PromotionRequest
from orchestrator.release.promotion_choice import PromotionRules
from tests.bootstrap.iam_requests import Environment
from tests.bootstrap.recording_clients import RecordingClients
from tests.bootstrap.roles import Roles
from tests.proofs.real_stack import clients, emulated_aws
from tests.release.promoted_project import PromotedProject

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
REGISTRY_CALLS = (
    ("ecr", "BatchGetImage", {"repositoryName": "shop-staging-api"}),
    ("ecr", "GetDownloadUrlForLayer", {"repositoryName": "shop-staging-api"}),
    ("ecr", "PutImage", {"repositoryName": "shop-prod-api"}),
)
"""What IAM is asked when an image is pulled, mounted and pushed (ECR user guide, "Blob mounting in Amazon ECR")."""
API, WEB = "containerservice.api", "bucket.web"
BY_HAND = PromotionRequest("staging")


def _artefact_calls(recorded: RecordingClients) -> list[tuple[str, str, Mapping[str, object]]]:
    """The calls that have to do with images, sites, models and releases."""
    found = [call for call in recorded.calls if call[0] in {"ecr", "s3"}]
    assert any("staging" in str(call) for call in found)
    return found


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[PromotedProject]:
    with emulated_aws():
        yield PromotedProject(tmp_path)


def test_the_same_digests_arrive_and_nothing_is_built(shop: PromotedProject) -> None:
    with pytest.raises(NothingToPromoteError, match="nothing to deploy yet: staging has no release yet"):
        shop.load("prod")
    shop.deploy("staging")
    shop.upload_model("staging", "v1")
    shop.commit("two")
    shop.deploy("staging")
    proved = shop.ledger("staging").releases[-1]
    shop.commit("three, which staging has not seen")

    planning, deploying = RecordingClients(), RecordingClients()
    shop.clients = planning
    planned = pipeline.plan(shop.load("prod").desired, clients=planning)
    shop.clients = deploying
    result = shop.deploy("prod")
    shop.clients = clients()

    roles = Roles(pipeline.load_desired(shop.folder, "prod", include_artefacts=False))
    prod = Environment("shop", "prod")
    assert roles.list_denied("plan", prod.iter_requests(_artefact_calls(planning))) == []
    assert roles.list_denied("deploy", prod.iter_requests([*_artefact_calls(deploying), *REGISTRY_CALLS])) == []
    steps = [step for change in planned.plan.changes for step in change.steps]
    assert not [step for step in steps if "build" in step.note]
    assert planned.plan.notes[0].startswith("Promotes release 2 of staging (proved 0m ago): image of")
    assert (result.status, result.release and result.release.promoted_from) == ("released", "staging/2")
    released = shop.ledger("prod").releases[-1]
    assert (released.vector.images, released.vector.sites) == (proved.vector.images, proved.vector.sites)
    assert released.commit == proved.commit
    assert shop.read_image("prod") == proved.vector.images[API].digest
    assert shop.read_page("prod") == shop.read_page("staging")
    assert shop.read_model("prod") == "v1"
    assert shop.list_images("prod").items() <= shop.list_images("staging").items()
    assert len(shop.list_images("prod")) == 2, "the image and its SBOM"

    shop.upload_model("prod", "v9")
    assert any("model v9 was uploaded to this environment" in note for note in shop.load("prod", BY_HAND).desired.notes)
    assert shop.load("prod", BY_HAND).artefacts.models == {}


def test_a_deploy_follows_the_manifests_and_keeps_what_nobody_proved(shop: PromotedProject) -> None:
    """A merge before staging has proved it: the manifests follow, the builds stay; a failed deploy proves nothing."""
    shop.deploy("staging")
    shop.deploy("prod")
    shop.commit("two")
    shop.deploy("staging", passes=False)

    candidate = shop.load("prod")
    assert candidate.promotion is not None
    [note] = candidate.promotion.notes
    assert note == (
        "Nothing was promoted from staging: release 3 of staging is a rollback to release 1; "
        "release 2 of staging failed or did not finish."
    )
    assert pipeline.plan(candidate.desired, clients=shop.clients).plan.pending_changes == ()
    with pytest.raises(Problems, match="release 2 of staging failed or did not finish"):
        shop.load("prod", PromotionRequest("staging", 2))

    shop.commit("two", schema=2)  # the schema is the target's: no build is put on one that it does not run on
    with pytest.raises(NothingToPromoteError, match=r"containerservice\.api supports database schema 1 to 1"):
        shop.load("prod")


def test_a_rollback_holds_what_deploys_would_promote(tmp_path: Path) -> None:
    with emulated_aws():
        hold_and_release(PromotedProject(tmp_path, has_service=False))


def hold_and_release(shop: PromotedProject) -> None:
    shop.values["promotion"] = "{from: staging, after: {proved: false}}"  # without a service nothing is probed
    shop.commit("one")
    shop.deploy("staging")
    shop.deploy("prod")
    shop.commit("two")
    shop.deploy("staging")
    shop.deploy("prod")
    shop.roll_back("prod")
    shop.commit("three")
    shop.deploy("staging")

    held = shop.load("prod")
    assert held.promotion is not None
    assert held.promotion.is_held
    assert "release 2 was rolled back (wrong prices), so promotions are paused" in held.promotion.notes[0]
    assert "orchestrator promote --from staging --to prod" in held.promotion.notes[0]
    assert pipeline.plan(held.desired, clients=shop.clients).plan.pending_changes == ()

    promoted = shop.deploy("prod", BY_HAND)
    assert (promoted.status, shop.read_page("prod")) == ("released", shop.read_page("staging"))
    assert shop.ledger("prod").pins == ()


@pytest.mark.parametrize(
    ("promotion", "complaint", "column"),
    [
        ("{from: stagign}", "unknown environment `stagign`", 26),
        ("{from: prod}", "prod cannot be promoted to itself", 26),
        ("{from: staging, after: {soak: 2 hours}}", "must be a number with m, h or d", 49),
    ],
)
def test_a_wrong_source_is_found_offline(tmp_path: Path, promotion: str, complaint: str, column: int) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "environments").mkdir()
    (folder / "shop.yaml").write_text(
        "apiVersion: orchestrator/v1\nkind: Project\nmetadata: {name: shop}\n"
        'spec: {repository: a/b, region: eu-west-1, account: "123456789012"}\n'
    )
    (folder / "environments" / "staging.yaml").write_text("")
    (folder / "environments" / "prod.yaml").write_text(
        f"apiVersion: orchestrator/v1\nkind: Project\nmetadata: {{name: shop}}\nspec: {{promotion: {promotion}}}\n"
    )

    with pytest.raises(Problems) as caught:
        pipeline.validate(folder, "prod")

    assert complaint in caught.value.problems[0].message
    assert str(caught.value.problems[0].where).endswith(f"environments/prod.yaml:4:{column}")


def history(*entries: str) -> Ledger:
    """Releases from words like ``healthy@3h`` (3 hours before NOW), ``rollback:2@1h`` and ``failed@10m``."""
    releases = []
    for number, entry in enumerate(entries, start=1):
        what, _, age = entry.partition("@")
        result, _, of = what.partition(":")
        at = (NOW - promotion_choice.parse_duration(age)).isoformat()
        target = int(of) if result == "rollback" else None
        content = f"v{target or number}"
        vector = Vector(content, sites={WEB: content})
        kind = "healthy" if result == "rollback" else result
        releases.append(Release(number, at, "ana", content, vector, kind, of=target, verified_at=at))  # type: ignore[arg-type]
    return Ledger(tuple(releases))


@pytest.mark.parametrize(
    ("entries", "soak", "chosen", "reason"),
    [
        (("healthy@3h",), "2h", 1, ""),
        (("healthy@3h", "healthy@10m"), "2h", 1, ""),  # the older one had its two hours
        (("healthy@60m", "healthy@10m"), "2h", None, "has been healthy for 10m, but 2h is required"),
        (("healthy@5h", "healthy@3h", "rollback:1@1h"), "1h", 1, ""),  # what was rolled back never goes
        (("healthy@5h", "healthy@3h", "rollback:1@1h", "healthy@20m"), "30m", 1, ""),
        (("healthy@5h", "failed@3h", "rollback:1@3h"), "4h", 1, ""),  # a failure that went back ends nothing
        (("unproved@3h",), "0m", None, "no probe has passed"),
        (("started@3h",), "0m", None, "failed or did not finish"),
        ((), "0m", None, "staging has no release yet"),
    ],
)
def test_which_release_may_go(entries: tuple[str, ...], soak: str, chosen: int | None, reason: str) -> None:
    rules = PromotionRules("staging", soak=promotion_choice.parse_duration(soak))
    choice = promotion_choice.choose_newest(history(*entries), rules, NOW)

    assert (choice.release.number if choice.release else None) == chosen
    assert reason in "; ".join(choice.reasons)


@pytest.mark.parametrize(
    ("minutes", "text"), [(0, "0m"), (59, "59m"), (60, "1h"), (61, "1h 1m"), (1440, "1d"), (1500, "1d 1h"), (-5, "0m")]
)
def test_durations_read_well(minutes: int, text: str) -> None:
    assert promotion_choice.format_duration(timedelta(minutes=minutes)) == text
