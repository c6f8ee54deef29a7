"""Values from outside: declared in a manifest, stored from standard input or a file, never shown, never lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

SECRET = """
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec:
  data:
    Jwt:Key: {generate: {length: 40}}
    Issuer: Shop
    Stripe:Key:
      external: true
      description: Secret key of the Stripe account
      pattern: "sk_(live|test)_[A-Za-z0-9]+"
"""
VALUE = "sk_live_" + "f00dcafe" * 3
ByHand = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture(autouse=True)
def declared(manifests: Path) -> Path:
    """The small stack with a Secret."""
    path = manifests / "secret.yaml"
    path.write_text(SECRET.removeprefix("\n---\n"))
    return path


@pytest.fixture
def store(run: Run, tmp_path: Path) -> Callable[..., Any]:
    """Set a value from a file."""

    def set_value(value: str, key: str = "Stripe:Key") -> Any:
        value_file = tmp_path / "value.txt"
        value_file.write_text(value)
        return run("secret", "set", "app", key, "--file", str(value_file))

    return set_value


def document(by_hand: ByHand) -> dict[str, str]:
    loaded: dict[str, str] = json.loads(
        by_hand("secretsmanager", "get_secret_value", SecretId="shop-prod-app")["SecretString"]
    )
    return loaded


def test_a_missing_value_stops_the_plan_with_the_command(run: Run, by_hand: ByHand) -> None:
    """Before the first write: nothing is created."""
    planned = run("plan")

    assert planned.code == 3
    assert "orchestrator secret set app Stripe:Key -e prod" in planned.out
    assert run("apply", "--auto-approve").code == 3
    assert by_hand("secretsmanager", "list_secrets")["SecretList"] == []


def test_a_value_is_stored_before_the_first_deploy_and_kept_by_every_later_one(
    run: Run, by_hand: ByHand, store: Callable[..., Any], declared: Path
) -> None:
    """It is in no output, stands beside what is generated, and the plan has nothing to say about it."""
    stored = store(VALUE)
    assert (stored.code, "Secret key of the Stripe account" in stored.err) == (0, True)
    applied = run("apply", "--auto-approve")
    assert applied.code == 0
    values = document(by_hand)
    assert (values["Stripe:Key"], values["Stripe__Key"], values["Issuer"]) == (VALUE, VALUE, "Shop")
    assert len(values["Jwt:Key"]) == 40
    assert "No changes" in run("plan").out

    declared.write_text(declared.read_text().replace("Issuer: Shop", "Issuer: Other"))
    assert run("apply", "--auto-approve").code == 0
    assert {**values, "Issuer": "Other"} == document(by_hand)
    outputs = [stored.out, stored.err, applied.out, applied.err, run("plan", "--verbose").out]
    assert not any(VALUE in output for output in outputs)


def test_standard_input_holds_the_value_without_its_line_ending(by_hand: ByHand, manifests: Path) -> None:
    """As `op read ... | orchestrator secret set` does it, in a process of its own."""
    command = [sys.executable, "-m", "orchestrator", "secret", "set", "app", "Stripe:Key", "-f", str(manifests)]
    done = subprocess.run(command, input=f"{VALUE}\n", capture_output=True, text=True, timeout=60, check=True)

    assert document(by_hand)["Stripe:Key"] == VALUE
    assert VALUE not in done.stdout + done.stderr


def test_another_value_is_no_drift(run: Run, by_hand: ByHand, store: Callable[..., Any]) -> None:
    store(VALUE)
    run("apply", "--auto-approve")
    store(VALUE + "2")

    assert document(by_hand)["Stripe:Key"] == VALUE + "2"
    assert run("drift").code == 0


@pytest.mark.parametrize(
    ("value", "key", "message"),
    [
        ("pk_live_1", "Stripe:Key", "does not match the pattern"),
        ("", "Stripe:Key", "is empty"),
        (VALUE, "Jwt:Key", "has no external value Jwt:Key"),
        (VALUE, "Typo", "has no external value Typo"),
    ],
)
def test_a_wrong_value_changes_nothing(
    by_hand: ByHand, store: Callable[..., Any], value: str, key: str, message: str
) -> None:
    refused = store(value, key)

    assert (refused.code, message in refused.err) == (1, True)
    assert not value or value not in refused.err
    assert by_hand("secretsmanager", "list_secrets")["SecretList"] == []


def test_a_list_names_keys_and_people_never_values(run: Run, by_hand: ByHand, store: Callable[..., Any]) -> None:
    """Also of what only AWS has, which stays."""
    assert "missing" in run("secret", "list", "app").out
    assert store(VALUE).code == 0
    run("apply", "--auto-approve")
    text = json.dumps({**document(by_hand), "Smtp": "by-hand"})
    by_hand("secretsmanager", "put_secret_value", SecretId="shop-prod-app", SecretString=text)
    listed = run("secret", "list", "app").out

    assert " UTC by " in listed
    assert [line.split()[0] for line in listed.splitlines()] == ["Jwt:Key", "Issuer", "Stripe:Key", "Smtp"]
    assert "not in the manifest" in listed
    assert not any(value in listed for value in document(by_hand).values() if value != "Shop")


def test_an_unset_value_is_missing_again(run: Run, by_hand: ByHand, store: Callable[..., Any]) -> None:
    store(VALUE)
    run("apply", "--auto-approve")

    assert run("secret", "unset", "app", "Stripe:Key").code == 0
    assert not {"Stripe:Key", "Stripe__Key"} & document(by_hand).keys()
    assert run("plan").code == 3


def test_a_secret_of_somebody_else_is_not_touched(by_hand: ByHand, store: Callable[..., Any]) -> None:
    by_hand("secretsmanager", "create_secret", Name="shop-prod-app", SecretString='{"Own": "x"}')

    assert "is not managed by orchestrator" in store(VALUE).err
    assert document(by_hand) == {"Own": "x"}
