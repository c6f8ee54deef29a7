"""Check what a service's settings refer to elsewhere in the account: assumable roles, pushed images."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from urllib.parse import unquote

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.service_base import EmulatorState

_ECR_IMAGE_PATTERN = re.compile(
    r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([^:@]+)(?:@(sha256:[0-9a-f]+)|:(.+))?"
)


def can_assume_role(state: EmulatorState, arn: str, principal: str) -> bool:
    """Return whether a principal (``ecs.amazonaws.com``) can assume a role: it exists, trusts it, is old enough."""
    name = arn.rpartition("/")[2]
    try:
        role = state.call("iam", "GetRole", RoleName=name)["Role"]
    except AwsError:
        return False
    trust_policy = json.dumps(json.loads(unquote(role["AssumeRolePolicyDocument"])))
    return bool(role["Arn"] == arn and f'"{principal}"' in trust_policy and state.is_role_assumable(name))


def is_failing_image(state: EmulatorState, image: str) -> bool:
    """Return whether the fault settings make the deployment of an image fail its health check."""
    if any(fnmatchcase(image, pattern) for pattern in state.faults.failing_images):
        return True
    return state.faults.require_images and not _is_image_pushed(state, image)


def _is_image_pushed(state: EmulatorState, image: str) -> bool:
    image_match = _ECR_IMAGE_PATTERN.fullmatch(image)
    if image_match is None or image_match.group(1) != state.account:
        return True
    _, region, repository, digest, tag = image_match.groups()
    image_id = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
    try:
        response = state.call("ecr", "DescribeImages", region, repositoryName=repository, imageIds=[image_id])
    except AwsError:
        return False
    return bool(response["imageDetails"])
