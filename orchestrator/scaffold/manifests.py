"""The first manifests of a project.  Pure."""

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
_PROJECT: Final = """\
# The project: where it lives, who is told, and what a deploy may do without a review (`orchestrator explain project`).
apiVersion: orchestrator/v1
kind: Project
metadata:
  name: {name}
spec:
  repository: {repository}
  region: {region}
  account: "{account}"
  approval: safe
  # No role that a deploy makes may exceed what `orchestrator bootstrap github` allows.
  permissionsBoundary: true
  releases:
    bucket: bucket.releases
    onFailure: rollback
{alerts}---
# What was released, and what it takes to go back. All of AWS shares the names of buckets; the account makes it ours.
apiVersion: orchestrator/v1
kind: Bucket
metadata:
  name: releases
spec:
  name: {name}-releases-${{project.environment}}-${{project.account}}
  versioning: true
"""
_ALERTS: Final = """\
  alerts:
    email: [{email}]
"""
_API: Final = """\
# The API: built from its Dockerfile when something in its folder changes, and asked at /health before it is used.
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
_RUNTIMES: Final = {
    "ecs-express": "Works in every account. Where App Runner was used before 2026-04-30, `app-runner` costs less.",
    "app-runner": "Only for accounts that used App Runner before 2026-04-30; `ecs-express` works in every one.",
}
_SECRETS: Final = """\
  secrets: [secret.app]
  access: [secret.app, database.main]
"""
_DATABASE: Final = """\
apiVersion: orchestrator/v1
kind: Database
metadata:
  name: main
spec:
  version: "16"
  database: {word}
  username: {word}
---
# What the API is told and nobody else: the password is drawn by lot in AWS, and is in no file.
apiVersion: orchestrator/v1
kind: Secret
metadata:
  name: app
spec:
  name: {name}-${{project.environment}}
  data:
    {variable}
"""
_SITE: Final = """\
# The site: its files are shipped by every deploy, the front page last.
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
_BUILD: Final = """\
    build: {words}
    folder: {folder}
"""
_VARIABLES: Final = {
    "dotnet": "ConnectionStrings:Default: ${database.main.connectionString}",
    "python": "DATABASE_URL: ${database.main.url}",
    "node": "DATABASE_URL: ${database.main.url}",
}


def files(answers: Answers) -> dict[str, str]:
    """The manifests, by their path in the repository."""
    alerts = _ALERTS.format(email=json.dumps(answers.email)) if answers.email else ""
    made = {"project": _PROJECT.format(**_words(answers), alerts=alerts)}
    if answers.api:
        secrets = _SECRETS if answers.database else ""
        context, why = _from_manifests(answers.api_folder), _RUNTIMES[answers.runtime]
        made["api"] = _API.format(name=answers.name, context=context, runtime=answers.runtime, why=why, secrets=secrets)
    if answers.api and answers.database:
        word = answers.name.replace("-", "_")
        made["database"] = _DATABASE.format(name=answers.name, word=word, variable=_VARIABLES[answers.api])
    if answers.site:
        made["site"] = _SITE.format(name=answers.name, dir=_from_manifests(answers.site), build=_build(answers))
    return {f"{FOLDER}/{name}.yaml": text for name, text in made.items()}


def check(texts: Mapping[str, str]) -> None:
    """Check manifests before they are files.

    Raises Problems.
    """
    of_project = {name: text for name, text in texts.items() if name.startswith(f"{FOLDER}/")}
    documents = [each for name, text in of_project.items() for each in load.documents(text, name)]
    checking.check(load.Sources(Path(FOLDER), tuple(documents)), None)


def _words(answers: Answers) -> dict[str, str]:
    return {name: getattr(answers, name) for name in ("name", "repository", "region", "account")}


def _build(answers: Answers) -> str:
    """It runs beside the folder that it makes."""
    if not answers.site_build:
        return ""
    words = json.dumps(shlex.split(answers.site_build))
    return _BUILD.format(words=words, folder=_from_manifests(posixpath.dirname(answers.site)))


def _from_manifests(folder: str) -> str:
    """A folder of the repository, as a manifest says it."""
    return posixpath.normpath(posixpath.join("..", folder))
