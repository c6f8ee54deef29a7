"""Describe the stacks of rehearsals.  Pure.

The canary is a site behind CloudFront and a service on ECS Express.  The full stack has the kinds of the manifests of
a whole application beside them: releases, a built site, a database and its secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator.vocabulary import Scope

IMAGE: Final = "public.ecr.aws/nginx/nginx:1.27"
MISSING_IMAGE: Final = "public.ecr.aws/nginx/nginx:rehearsal-no-such-tag"
"""No registry has it, so ECS cannot start it."""
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


def build_full_documents(
    scope: Scope, repository: str, expires: str, number: int, subnets: Sequence[str], *, fails: bool
) -> Mapping[str, str]:
    """Return the manifests of the full stack by file name.

    ``number`` is the version of the service, ``fails`` gives it an image that does not exist; ``subnets`` are those of
    the Project, all default ones if empty.
    """
    deletable = {"deletionPolicy": "delete"}
    documents = {name: json.loads(text) for name, text in build_documents(scope, repository, expires, number).items()}
    documents["project.yaml"]["spec"] |= {"releases": {"bucket": "bucket.releases", "keep": 5}}
    if subnets:
        documents["project.yaml"]["spec"]["network"] = {"subnets": list(subnets)}
    documents["site.yaml"]["spec"]["spa"] = {"dir": "dist"}
    service = documents["service.yaml"]["spec"]
    service |= {"secrets": ["secret.app"], "access": ["bucket.files", "secret.app", "database.main"]}
    if fails:
        service["image"] = {"prebuilt": MISSING_IMAGE}
    database = {
        "engine": "postgres",
        "version": "16",
        "instanceClass": "db.t4g.micro",
        "storage": {"sizeGb": 20},
        "database": "app",
        "username": "app",
        "backups": {"retentionDays": 1},
        "deletionProtection": False,
        **deletable,
    }
    secret = {"data": {"Key": {"generate": {"length": 32}}, "Db": "${database.main.connectionString}"}, **deletable}
    added = {
        "releases": _document("Bucket", "releases", deletable),
        "files": _document("Bucket", "files", deletable),
        "database": _document("Database", "main", database),
        "secret": _document("Secret", "app", secret),
    }
    texts = {name: json.dumps(document, indent=2) for name, document in documents.items()}
    return {**texts, **{f"{name}.yaml": text for name, text in added.items()}}


def _document(kind: str, name: str, spec: Mapping[str, object]) -> str:
    """Return a manifest; JSON is YAML."""
    return json.dumps({"apiVersion": _API, "kind": kind, "metadata": {"name": name}, "spec": spec}, indent=2)
