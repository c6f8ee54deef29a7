"""What must not happen does not happen, and says why; on a live stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.emulator import Emulator
from orchestrator.problems import ExitCode, Problems
from orchestrator.vocabulary import DesiredState, Plan
from tests.proofs import real_stack
from tests.proofs.real_stack import Edit, replace_text
from tests.proofs.scenarios import DELETABLE

pytestmark = [pytest.mark.both_backends, pytest.mark.usefixtures("strangers")]


def remove(*files: str) -> Edit:
    """Take manifests away."""

    def edit(folder: Path) -> None:
        for file in files:
            (folder / file).unlink()

    return edit


def without_database(folder: Path) -> None:
    """The stack as if it never had a database."""
    remove("database.yaml", "environments/prod.yaml")(folder)
    replace_text("secret.yaml", ("    ConnectionStrings:DefaultConnection: ${database.main.connectionString}\n", ""))(
        folder
    )
    replace_text("api.yaml", ("    - database.main\n", ""))(folder)


def vetoes(result: Plan) -> dict[str, str]:
    """Every veto by name."""
    found = [*result.vetoes, *(veto for change in result.changes for veto in change.vetoes)]
    return {veto.name: veto.sentence for veto in found}


def refused(desired: DesiredState) -> None:
    """Applying does nothing and exits with 3."""
    from orchestrator.planning import pipeline
    from orchestrator.planning.events import ignore_event

    with pytest.raises(Problems) as problems:
        pipeline.apply(pipeline.plan(desired), ignore_event)
    assert problems.value.exit_code is ExitCode.VETOED


def test_a_database_does_not_go_with_its_manifest(emulator: Emulator, applied: DesiredState, tmp_path: Path) -> None:
    """Removing the file is not the word to lose the data."""
    rest = real_stack.load_stack(tmp_path / "rest", without_database)

    assert "joiabagur-prod-main" in vetoes(real_stack.make_plan(rest))["Stateful"]
    assert "Stateful" in vetoes(real_stack.plan_with_token(rest).plan), "a token alone is one key"
    refused(rest)
    assert real_stack.count_resources()["rds:describe_db_instances"] == 1


def test_no_manifests_at_all_delete_nothing(emulator: Emulator, applied: DesiredState, tmp_path: Path) -> None:
    """An empty set is an accident, for the stateful and the stateless alike."""
    files = [path.name for path in real_stack.MANIFESTS.glob("*.yaml") if path.name != "project.yaml"]
    nothing = real_stack.load_stack(
        tmp_path / "nothing",
        remove(*files, "environments/prod.yaml"),
        replace_text(
            "project.yaml",
            ("  alerts:\n    email: [ops@joiabagur.example]\n", ""),
            ("  releases:\n    bucket: bucket.releases\n    keep: 10\n", ""),
        ),
    )

    assert "EmptyManifests" in vetoes(real_stack.make_plan(nothing))
    refused(nothing)


def test_a_replacement_of_the_database_is_refused(emulator: Emulator, applied: DesiredState, tmp_path: Path) -> None:
    """A user name cannot change in place, and the data is not given up for it."""
    renamed = real_stack.load_stack(
        tmp_path / "renamed", replace_text("database.yaml", ("username: joiabagur", "username: other"))
    )

    assert "delete and recreate joiabagur-prod-main" in vetoes(real_stack.make_plan(renamed))["Stateful"]
    refused(renamed)


def test_a_bucket_of_the_same_name_without_our_mark_is_not_touched(emulator: Emulator, stack: DesiredState) -> None:
    """What somebody else made stays as it is."""
    clients = real_stack.clients()
    place = {"LocationConstraint": real_stack.REGION}
    body = {"TagSet": [{"Key": "made-by", "Value": "hand"}]}
    clients.call("s3", "create_bucket", {"Bucket": "joiabagur-files-prod", "CreateBucketConfiguration": place})
    clients.call("s3", "put_bucket_tagging", {"Bucket": "joiabagur-files-prod", "Tagging": body})

    assert "joiabagur-files-prod already exists" in vetoes(real_stack.make_plan(stack))["NotOurs"]
    refused(stack)


def test_the_wrong_account_is_refused(emulator: Emulator, tmp_path: Path) -> None:
    """Credentials of one account, manifests of another."""
    other = real_stack.load_stack(
        tmp_path / "other", replace_text("project.yaml", ('"123456789012"', '"210987654321"'))
    )

    assert "123456789012" in vetoes(real_stack.make_plan(other))["WrongAccount"]
    refused(other)


def test_the_wrong_region_is_refused(emulator: Emulator, stack: DesiredState, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile for another region expects something else to happen."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    assert "us-east-1" in vetoes(real_stack.make_plan(stack))["WrongRegion"]
    refused(stack)


def test_two_keys_let_a_deletion_through(emulator: Emulator, tmp_path: Path) -> None:
    """The manifest's word, applied beforehand, and the token of this very plan; a token of another plan does not do."""
    mortal = real_stack.load_stack(tmp_path / "mortal", *DELETABLE)
    assert real_stack.list_failures(real_stack.apply(mortal)) == []
    rest = real_stack.load_stack(tmp_path / "rest", without_database)
    result = real_stack.make_plan(rest)

    assert vetoes(result)["Stateful"]
    assert real_stack.make_plan(rest, allow=real_stack.make_plan(mortal, destroying=True).token).is_vetoed
    assert not real_stack.make_plan(rest, allow=result.token).is_vetoed
    assert real_stack.list_failures(real_stack.apply(rest)) == []
    assert real_stack.count_resources()["rds:describe_db_instances"] == 0
    assert real_stack.count_resources()["rds:describe_db_snapshots"] == 1
