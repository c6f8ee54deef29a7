"""Images of earlier releases come back as they were or not at all; what a push takes is among the permissions."""

from __future__ import annotations

import pytest

from orchestrator.iam_actions import list_required_actions
from orchestrator.problems import Problems
from orchestrator.resources import ecr_image
from orchestrator.steps import to_planned_step, trace_steps
from tests.resources.cases import SCOPE

DIGEST = "sha256:" + "d" * 64
SPEC = {"repository": "shop-api", "tag": "3f2a91", "source": "../api with Dockerfile", "build": {"context": "/private"}}


def test_an_image_of_a_release_that_is_gone_is_never_built_anew() -> None:
    """Other bytes under an old name would be a lie: refused while planning."""
    spec = {"repository": "shop-api", "tag": "3f2a91", "digest": DIGEST}
    with pytest.raises(Problems, match="no longer exists in repository shop-api"):
        trace_steps("ecr_image.api", ecr_image.create(SCOPE, "shop-api:3f2a91", spec))


def test_the_plan_says_what_is_built_and_which_permissions_that_takes() -> None:
    """In words of the manifest: no path of this machine is in a plan."""
    recording = trace_steps("ecr_image.api", ecr_image.create(SCOPE, "shop-api:3f2a91", ecr_image.normalise(SPEC)))
    steps = [to_planned_step(step) for step in recording.steps]

    assert steps[-1].note == "build ../api with Dockerfile and push"
    assert "/private" not in str(steps)
    assert {"ecr:GetAuthorizationToken", "ecr:InitiateLayerUpload", "ecr:PutImage"} <= set(
        list_required_actions(step.action for step in steps)
    )


@pytest.mark.parametrize(
    ("images", "tag"),
    [
        ([], None),
        ([{"imageDigest": DIGEST}], None),
        (
            [{"imageTags": ["a"], "imagePushedAt": "2026-01-01"}, {"imageTags": ["b"], "imagePushedAt": "2026-02-01"}],
            "b",
        ),
        ([{"imageTags": ["0" * 64, "a"], "imagePushedAt": "1"}, {"imageTags": ["1" * 64], "imagePushedAt": "2"}], "a"),
    ],
)
def test_layers_come_from_the_image_pushed_last(images: list[object], tag: str | None) -> None:
    """If there is one with a tag; what buildah keeps of single layers is none."""
    assert ecr_image.newest_tag({"imageDetails": images}) == tag
