"""What a person reads when AWS cannot be asked at all: the cause, and the command that removes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator, Faults, Rule
from orchestrator.problems import ExitCode
from tests.proofs import real_stack

MANIFESTS = str(real_stack.MANIFESTS)
SKEWED = "The difference between the request time and the current time is too large."


@pytest.fixture
def account() -> Iterator[Emulator]:
    """Provide an empty account."""
    with real_stack.emulated_aws("moto") as running:
        yield running


def plan(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a plan that fails prints."""
    assert main(["plan", "-f", MANIFESTS]) == ExitCode.FAILED
    return capsys.readouterr().err


def test_a_profile_of_aws_login_names_the_command(
    account: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """botocore needs awscrt for these profiles (AWS CLI user guide, aws login)."""
    config = tmp_path / "config"
    config.write_text("[default]\nlogin_session = arn:aws:iam::123456789012:user/x\nregion = eu-west-1\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    printed = plan(capsys)

    assert 'eval "$(aws configure export-credentials --format env)"' in printed
    assert "check the network" not in printed


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        (Rule("error", code="RequestTimeTooSkewed", message=SKEWED, status=403), "This machine's clock is off"),
        (Rule("error", code="ExpiredToken", message="The provided token has expired.", status=400), "log in again"),
        (Rule("html"), "instead of AWS. Sign in"),
    ],
    ids=["clock", "session", "proxy"],
)
def test_the_cause_is_named(account: Emulator, capsys: pytest.CaptureFixture[str], rule: Rule, cause: str) -> None:
    """A wrong clock, an expired session and a proxy's page are no dead network (S3 API reference, error responses)."""
    account.faults = Faults(rules=(rule,))

    printed = plan(capsys)

    assert cause in printed
    assert "internal error" not in printed
