"""A workflow's credentials in the wrong hands: what is not the environment's own stays out of reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.planning import pipeline
from tests.bootstrap import full_stack, lifecycle
from tests.bootstrap.attacks import FOREIGN, OUR_MARKS, OURS, SHOP, TAGGED_ARNS, all_attacks, plan_attacks
from tests.bootstrap.policy_evaluator import Request
from tests.bootstrap.roles import ROLES, Roles


@pytest.fixture(scope="module", params=lifecycle.RUNTIMES)
def roles(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Roles:
    folder = full_stack.write_built(tmp_path_factory.mktemp("stack"), request.param)
    return Roles(pipeline.load_desired(folder, "prod", include_artefacts=False))


@pytest.mark.parametrize("role", ROLES)
def test_every_attack_is_denied(role: str, roles: Roles) -> None:
    """Marks on foreign things, other roles, the boundary, other people's secrets, data and keys."""
    attacks = [*all_attacks(), *(plan_attacks() if role == "plan" else ())]

    assert [f"{attack} {dict(attack.context)}" for attack in attacks if roles.may(role, attack)] == []


def test_what_is_marked_stays_out_of_reach_in_two_steps(roles: Roles) -> None:
    """First the mark, then the deed: what the first step cannot mark, the second cannot touch."""
    assert len(TAGGED_ARNS) >= 3
    for arn, actions in TAGGED_ARNS.items():
        service = arn.split(":")[2]
        tagging = "cloudfront:TagResource" if service == "cloudfront" else "ec2:CreateTags"
        marks: dict[str, str | tuple[str, ...]] = {**OUR_MARKS, "aws:TagKeys": tuple(SHOP.tags)}
        assert not any(roles.may("deploy", Request(tagging, arn, {**tags, **marks})) for tags in FOREIGN)
        assert all(roles.may("deploy", Request(f"{service}:{action}", arn, OURS)) for action in actions.split())


def test_adoption_marks_untagged_resources_as_long_as_a_manifest_declares_it(tmp_path: Path) -> None:
    """`adopt: true` lets a deploy take over what has no owner, and nothing of another environment."""
    folder = full_stack.write_first(tmp_path, "app-runner")
    cdn = folder / "cdn.yaml"
    cdn.write_text(cdn.read_text().replace("{name: web}", "{name: web, adopt: true}"))
    roles = Roles(pipeline.load_desired(folder, "prod", include_artefacts=False))
    distribution = next(arn for arn in TAGGED_ARNS if ":cloudfront:" in arn)
    untagged, *tagged = [Request("cloudfront:TagResource", distribution, {**tags, **OUR_MARKS}) for tags in FOREIGN]

    assert roles.may("deploy", untagged)
    assert roles.may("plan", Request("cloudfront:GetDistribution", distribution))
    assert not roles.may("plan", untagged)
    assert roles.list_denied("deploy", tagged) != []
    assert not any(roles.may("deploy", request) for request in tagged)
