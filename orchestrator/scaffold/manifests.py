"""Render the first manifests of a project.  Pure."""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orchestrator.manifest import check as checking
from orchestrator.manifest import load
from orchestrator.scaffold.questions import Answers

FOLDER: Final = "manifests"
_PROJECT_TEMPLATE: Final = """\
# The project: repository, account, alerts and deploy approval. See `orchestrator explain project`.
apiVersion: orchestrator/v1
kind: Project
metadata:
  name: {name}
spec:
  repository: {repository}
  region: {region}
  account: "{account}"
  approval: safe
  # Limits every role that a deploy creates to what `orchestrator bootstrap github` allows.
  permissionsBoundary: true
  releases:
    bucket: bucket.releases
    onFailure: rollback
{alerts}---
# Stores the releases and the files that a rollback needs. Bucket names are global, so the name contains the account id.
apiVersion: orchestrator/v1
kind: Bucket
metadata:
  name: releases
spec:
  name: {name}-releases-${{project.environment}}-${{project.account}}
  versioning: true
"""
_ALERTS_TEMPLATE: Final = """\
  alerts:
    email: [{email}]
"""
_API_TEMPLATE: Final = """\
# The API: built from its Dockerfile when its folder changes, and health-checked at /health before it gets traffic.
apiVersion: orchestrator/v1
kind: ContainerService
metadata:
  name: api
spec:
  # {why}
  runtime: {runtime}
  image:
    repository: {name}-api
    build:
      context: {context}
  port: 8080
  health:
    path: /health
{secrets}"""
_RUNTIME_COMMENTS: Final = {
    "ecs-express": "Works in every account. `app-runner` costs less in accounts that used it before 2026-04-30.",
    "app-runner": "Only for accounts that used App Runner before 2026-04-30; `ecs-express` works in every account.",
}
_SECRETS_SECTION: Final = """\
  secrets: [secret.app]
  access: [secret.app, database.main]
"""
_DATABASE_TEMPLATE: Final = """\
apiVersion: orchestrator/v1
kind: Database
metadata:
  name: main
spec:
  version: "16"
  database: {word}
  username: {word}
---
# The API's secrets. The database password is generated in AWS and is stored in no file.
apiVersion: orchestrator/v1
kind: Secret
metadata:
  name: app
spec:
  name: {name}-${{project.environment}}
  data:
    {variable}
"""
_SITE_TEMPLATE: Final = """\
# The site: every deploy uploads its files, index.html last.
apiVersion: orchestrator/v1
kind: Bucket
metadata:
  name: web
spec:
  name: {name}-web-${{project.environment}}-${{project.account}}
  versioning: true
  spa:
    dir: {dir}
{build}---
apiVersion: orchestrator/v1
kind: Cdn
metadata:
  name: web
spec:
  origin: bucket.web
"""
_BUILD_TEMPLATE: Final = """\
    build: {words}
    folder: {folder}
"""
_CONNECTION_VARIABLES: Final = {
    "dotnet": "ConnectionStrings:Default: ${database.main.connectionString}",
    "python": "DATABASE_URL: ${database.main.url}",
    "node": "DATABASE_URL: ${database.main.url}",
}


def render_files(answers: Answers) -> dict[str, str]:
    """Return the manifests by their path in the repository."""
    alerts = _ALERTS_TEMPLATE.format(email=json.dumps(answers.email)) if answers.email else ""
    texts_by_name = {"project": _PROJECT_TEMPLATE.format(**_template_fields(answers), alerts=alerts)}
    if answers.api:
        secrets = _SECRETS_SECTION if answers.database else ""
        context, runtime_comment = _relative_to_manifests(answers.api_folder), _RUNTIME_COMMENTS[answers.runtime]
        texts_by_name["api"] = _API_TEMPLATE.format(
            name=answers.name, context=context, runtime=answers.runtime, why=runtime_comment, secrets=secrets
        )
    if answers.api and answers.database:
        database_name = answers.name.replace("-", "_")
        texts_by_name["database"] = _DATABASE_TEMPLATE.format(
            name=answers.name, word=database_name, variable=_CONNECTION_VARIABLES[answers.api]
        )
    if answers.site:
        texts_by_name["site"] = _SITE_TEMPLATE.format(
            name=answers.name, dir=_relative_to_manifests(answers.site), build=_build_section(answers)
        )
    return {f"{FOLDER}/{name}.yaml": text for name, text in texts_by_name.items()}


def check(texts: Mapping[str, str]) -> None:
    """Check manifests before they are written.

    Raises Problems if one is invalid.
    """
    project_texts = {name: text for name, text in texts.items() if name.startswith(f"{FOLDER}/")}
    documents = [document for name, text in project_texts.items() for document in load.parse_documents(text, name)]
    checking.check(load.Sources(Path(FOLDER), tuple(documents)), None)


def _template_fields(answers: Answers) -> dict[str, str]:
    return {name: getattr(answers, name) for name in ("name", "repository", "region", "account")}


def _build_section(answers: Answers) -> str:
    """Return the build section of the site; the command runs in the parent of its output folder."""
    if not answers.site_build:
        return ""
    command = json.dumps(shlex.split(answers.site_build))
    return _BUILD_TEMPLATE.format(words=command, folder=_relative_to_manifests(posixpath.dirname(answers.site)))


def _relative_to_manifests(folder: str) -> str:
    """Return a folder of the repository relative to the manifests folder."""
    return posixpath.normpath(posixpath.join("..", folder))
