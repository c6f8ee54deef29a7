"""Look up base images that lie in ECR, with the credentials of AWS.

A registry login for ECR would be a secret, which a plan must not fetch; the digest of a tag is an ordinary read. API:
ECR DescribeImages.
"""

from __future__ import annotations

import re

from orchestrator.artefacts.images.base_image import FindDigest
from orchestrator.artefacts.images.registry_client import ImageReference
from orchestrator.aws.errors import AwsError
from orchestrator.aws.reader import AwsCaller, Reader
from orchestrator.problems import Problems

NOT_FOUND_CODES = ("ImageNotFoundException", "RepositoryNotFoundException")
_ECR_HOST = re.compile(r"(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")


def create_digest_finder(clients: AwsCaller) -> FindDigest:
    """Return a function that returns the digest of an image in ECR, and None for an image elsewhere.

    It raises Problems if there is no such image, or AWS refuses to say.
    """
    reader = Reader(clients)

    def find_digest(reference: ImageReference) -> str | None:
        host = _ECR_HOST.fullmatch(reference.registry)
        if host is None:
            return None
        try:
            response = reader.get(
                "ecr",
                "describe_images",
                region=host[2],
                missing=NOT_FOUND_CODES,
                registryId=host[1],
                repositoryName=reference.repository,
                imageIds=[{"imageTag": reference.tag}],
            )
        except AwsError as error:
            hint = f"grant ecr:DescribeImages on the repository {reference.repository}"
            raise Problems.from_message(str(error), hint=hint) from None
        if not response or not response.get("imageDetails"):
            raise Problems.from_message(f"{reference.registry} has no {reference.repository}:{reference.tag}")
        return str(response["imageDetails"][0]["imageDigest"])

    return find_digest
