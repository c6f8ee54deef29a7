"""The end of a deploy: where to look at it."""

from __future__ import annotations

import pytest

from orchestrator.release.deploy import DeployResult
from orchestrator.release.probe import Probe, ProbeResult
from orchestrator.release.ship import ShipResult
from orchestrator.render import deploy_view
from orchestrator.render.style import Style

SERVICE = ProbeResult(Probe("containerservice.api", "api.eu-west-1.awsapprunner.com", "/health"), True)
SITE = ProbeResult(Probe("cdn.web", "shop.example.com", "/"), True)
ABOUT_PAGE = ProbeResult(Probe("cdn.web", "shop.example.com", "/about"), True)
DOWN = ProbeResult(Probe("cdn.admin", "admin.example.com", "/"), False, "it answered 500")


def shown(result: DeployResult) -> str:
    view = deploy_view.build_view(
        result, 2.0, retry_command="orchestrator deploy", list_command="orchestrator releases"
    )
    return deploy_view.render_text(view, Style())


@pytest.mark.parametrize(
    ("status", "rollback_result"),
    [("released", None), ("unchanged", None), ("returned", ShipResult((), None, (SERVICE, SITE)))],
)
def test_the_end_of_a_deploy_prints_the_addresses(status: str, rollback_result: ShipResult | None) -> None:
    """Each once, sites first, and after a rollback those of the release that is back."""
    probes = (DOWN,) if rollback_result else (SERVICE, SITE, ABOUT_PAGE)
    text = shown(DeployResult(status, ShipResult((), None, probes), 1, rollback_result=rollback_result))  # type: ignore[arg-type]

    lines = [line for line in text.splitlines() if "  https://" in line]
    assert lines == [
        "cdn.web               https://shop.example.com/",
        "containerservice.api  https://api.eu-west-1.awsapprunner.com/",
    ]


def test_what_does_not_answer_is_no_address() -> None:
    assert "https://admin.example.com/\n" not in shown(DeployResult("failed", ShipResult((), None, (DOWN,)), None))
