"""``restore secret``: values of an earlier version come back, unseen, and nothing that others decide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.emulator import start
from tests.proofs.real_stack import aws_environment
from tests.recovery.project import MANIFESTS, Project

DATA = """\
    Issuer: Shop
    Jwt:Key: {generate: {length: 40}}
    Stripe:Key: {external: true}
"""


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    """A project with a database's password, and a generated, a plain and an external value."""
    with start(settle_seconds=0) as emulator, aws_environment(emulator):
        made = Project(emulator, tmp_path, capsys)
        (made.folder / "shop.yaml").write_text(MANIFESTS + DATA)
        set_key(made, "sk_first")
        made.succeed("apply", "--auto-approve")
        yield made


def set_key(project: Project, value: str) -> None:
    file = project.folder.parent / "value.txt"
    file.write_text(value)
    project.succeed("secret", "set", "app", "Stripe:Key", "--file", str(file))


def document(project: Project) -> dict[str, str]:
    text = project.clients.call("secretsmanager", "get_secret_value", {"SecretId": "shop-app"})["SecretString"]
    loaded: dict[str, str] = json.loads(text)
    return loaded


def overwrite(project: Project, **values: str) -> None:
    """Change values by hand, as in the console."""
    text = json.dumps({**document(project), **values})
    project.clients.call("secretsmanager", "put_secret_value", {"SecretId": "shop-app", "SecretString": text})


def test_lost_values_come_back_and_the_database_stays_reachable(project: Project) -> None:
    """A key that was overwritten, one set by hand that vanished; not the manifest's, nor the database's password."""
    overwrite(project, Note="by hand")
    before = document(project)
    database_key = next(key for key in before if key.startswith("Database:") and key.endswith("Password"))
    later = {**before, database_key: "new-password", "Issuer": "Other", "Stripe:Key": "x", "Stripe__Key": "x"}
    del later["Note"]
    request = {"SecretId": "shop-app", "SecretString": json.dumps(later)}
    project.clients.call("secretsmanager", "put_secret_value", request)

    listed = project.succeed("restore", "secret", "app")
    shown = project.succeed("restore", "secret", "app", "--version", "previous", "--plan")
    assert listed.count(" UTC") == 5
    assert "in use" in listed
    assert [line for line in shown.splitlines() if line.startswith("  ~")] == ["  ~ Note", "  ~ Stripe:Key"]
    assert document(project) == later
    told = project.succeed("restore", "secret", "app", "--version", "previous", "--auto-approve")

    expected = {"Note": "by hand", "Stripe:Key": "sk_first", "Stripe__Key": "sk_first"}
    assert document(project) == {**later, **expected}
    again = project.succeed("restore", "secret", "app", "--version", "previous", "--auto-approve")
    assert document(project) == {**later, **expected}, "a run that was killed and repeated does not swap them back"
    replaced = again.split("--version ")[1].strip()
    assert "  ~ Stripe:Key" in project.succeed("restore", "secret", "app", "--version", replaced, "--plan")
    assert not any(value in listed + shown + told for value in ("by hand", "sk_first", "new-password"))
    project.succeed("apply", "--auto-approve")
    assert "No changes" in project.succeed("plan")
    assert {key: document(project)[key] for key in (*expected, "Issuer")} == {**expected, "Issuer": "Shop"}


def test_one_key_of_a_version(project: Project) -> None:
    """Others stay; a version, or a key, that does not exist is refused before anything is written."""
    first = document(project)
    set_key(project, "sk_second")
    overwrite(project, **{"Jwt:Key": "broken", "Jwt__Key": "broken"})
    command = ("restore", "secret", "app", "--auto-approve", "--version")

    for arguments, refusal in (
        (("nothing",), "no version begins with `nothing`"),
        (("previous", "--key", "Gone"), "has no Gone to restore"),
        (("previous", "--key", "Issuer"), "has no Issuer to restore"),
    ):
        exit_code, told = project.run(*command, *arguments)
        assert (exit_code, refusal in told) == (1, True), told
    project.succeed(*command, "previous", "--key", "Jwt:Key")

    assert document(project)["Jwt:Key"] == first["Jwt:Key"]
    assert document(project)["Stripe:Key"] == "sk_second"


def test_a_secret_that_waits_for_its_deletion_comes_back(project: Project) -> None:
    """DeleteSecret keeps it for its recovery window; a plan of the restore changes nothing."""
    before = document(project)
    project.clients.call("secretsmanager", "delete_secret", {"SecretId": "shop-app", "RecoveryWindowInDays": 7})

    assert "scheduled for deletion" in project.succeed("restore", "secret", "app", "--plan")
    assert project.run("restore", "secret", "app")[0] == 1
    project.succeed("restore", "secret", "app", "--auto-approve")

    assert document(project) == before
    assert "No changes" in project.succeed("plan")
