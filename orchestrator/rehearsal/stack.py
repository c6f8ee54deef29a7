"""Describe the stack of a rehearsal: a site behind CloudFront, and a service on ECS Express; no database.  Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from orchestrator.vocabulary import Scope

IMAGE: Final = "public.ecr.aws/nginx/nginx:1.27"
EXPIRY_TAG: Final = "rehearsal-expires"
_API: Final = "orchestrator/v1"


def build_documents(scope: Scope, repository: str, expires: str, number: int) -> Mapping[str, str]:
    """Return the manifests by file name; ``number`` is the version of the service that they describe."""
    project = {
        "account": scope.account,
        "region": scope.region,
        "repository": repository,
        "tags": {EXPIRY_TAG: expires},
    }
    service = {
        "runtime": "ecs-express",
        "image": {"prebuilt": IMAGE},
        "port": 80,
        "cpu": 0.25,
        "memory": 0.5,
        "instances": {"min": 1, "max": 1},
        "health": {"path": "/"},
        "environment": {"REHEARSAL": str(number)},
    }
    documents = {
        "project": _document("Project", scope.project, project),
        "site": _document("Bucket", "site", {"deletionPolicy": "delete"}),
        "cdn": _document("Cdn", "site", {"origin": "bucket.site"}),
        "service": _document("ContainerService", "api", service),
    }
    return {f"{name}.yaml": text for name, text in documents.items()}


def _document(kind: str, name: str, spec: Mapping[str, object]) -> str:
    """Return a manifest; JSON is YAML."""
    return json.dumps({"apiVersion": _API, "kind": kind, "metadata": {"name": name}, "spec": spec}, indent=2)
