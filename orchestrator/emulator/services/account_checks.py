"""What a service's settings refer to elsewhere in the account: roles that can be assumed, images that were pushed."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from urllib.parse import unquote

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.service_base import World

_ECR = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([^:@]+)(?:@(sha256:[0-9a-f]+)|:(.+))?")


def trusts(world: World, arn: str, principal: str) -> bool:
    """Whether a service may assume a role: it exists, is no longer too new, and trusts ``ecs.amazonaws.com`` or so."""
    name = arn.rpartition("/")[2]
    try:
        role = world.call("iam", "GetRole", RoleName=name)["Role"]
    except AwsError:
        return False
    trust = json.dumps(json.loads(unquote(role["AssumeRolePolicyDocument"])))
    return bool(role["Arn"] == arn and f'"{principal}"' in trust and world.role_is_assumable(name))


def fails(world: World, image: str) -> bool:
    """Whether the faults say that a deployment of an image fails its health check."""
    if any(fnmatchcase(image, pattern) for pattern in world.faults.failing_images):
        return True
    return world.faults.require_images and not _is_pushed(world, image)


def _is_pushed(world: World, image: str) -> bool:
    found = _ECR.fullmatch(image)
    if found is None or found.group(1) != world.account:
        return True
    _, region, repository, digest, tag = found.groups()
    wanted = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
    try:
        answer = world.call("ecr", "DescribeImages", region, repositoryName=repository, imageIds=[wanted])
    except AwsError:
        return False
    return bool(answer["imageDetails"])
