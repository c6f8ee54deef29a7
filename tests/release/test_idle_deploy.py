"""A deploy that has nothing to change reads AWS once: one plan's calls, the lock, the ledger and the probes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from tests.release.site_checkout import CDN, V1, SiteCheckout

LOCK_AND_LEDGER = Counter(
    HeadBucket=1,  # of the release bucket
    GetObject=2,  # the ledger and the lock, once each
    PutObject=1,  # the lock
    DeleteObject=1,
    HeadObject=1,  # whether the index of the site is kept
    ListObjectsV2=1,  # whether its files are
)


@pytest.fixture
def shop(tmp_path: Path, emulator: Emulator) -> SiteCheckout:
    """A site that is released behind a CDN."""
    checkout = SiteCheckout(tmp_path, emulator, extra_documents=CDN)
    checkout.build(V1)
    assert main(["deploy", "--auto-approve", "-f", str(tmp_path), "-e", "prod"]) == 0
    return checkout


def count_calls(emulator: Emulator, folder: Path, *words: str) -> Counter[str]:
    emulator.clear_calls()
    assert main([*words, "-f", str(folder), "-e", "prod"]) == 0
    return Counter(call.operation for call in emulator.calls)


def test_an_idle_deploy_makes_one_plans_calls(
    shop: SiteCheckout, emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan_calls = count_calls(emulator, tmp_path, "plan")
    capsys.readouterr()
    deploy_calls = count_calls(emulator, tmp_path, "deploy", "--auto-approve")

    assert plan_calls.total() > 30
    assert deploy_calls - plan_calls <= LOCK_AND_LEDGER
    assert "1 of 1 probes passed" in capsys.readouterr().out


def test_a_deploy_of_a_part_reads_the_rest_before_it_is_proved(
    shop: SiteCheckout, emulator: Emulator, tmp_path: Path
) -> None:
    """Its plan says nothing about what is not its target."""
    whole = count_calls(emulator, tmp_path, "deploy", "--auto-approve")
    part = count_calls(emulator, tmp_path, "deploy", "--auto-approve", "--target", "bucket.web")

    assert part["ListDistributions"] == whole["ListDistributions"] + 1
