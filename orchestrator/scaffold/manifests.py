"""Render the first manifests of a project: one kind a file, so that an editor checks each against its schema.  Pure."""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orchestrator.manifest import check as checking
from orchestrator.manifest import load, overlay
from orchestrator.manifest.document import Document
from orchestrator.scaffold.detection.applications import Api, Site
from orchestrator.scaffold.questions import DOCKERFILE_ONLY, Answers, find_production

FOLDER: Final = "manifests"
RELEASE_HEADER: Final = "X-Release"
"""Header of the health response in which an application names its build."""
_SCHEMA_LINE: Final = "# yaml-language-server: $schema=https://raw.githubusercontent.com/{repository}/{commit}/schemas/{kind}.schema.json\n"
_HEAD: Final = "apiVersion: orchestrator/v1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n"
_PROJECT: Final = """\
  repository: {repository}
  region: {region}
  account: "{account}"
  approval: safe
  # Adds the permissions boundary of `orchestrator bootstrap github` to every role that a deploy creates.
  permissionsBoundary: true
  releases:
    bucket: bucket.releases
    onFailure: rollback
"""
_RELEASES: Final = """\
  name: {name}-releases-${{project.environment}}-${{project.account}}
  versioning: true
"""
_API: Final = """\
  # {runtime_comment}
  runtime: {runtime}
  image:
    repository: {name}-${{project.environment}}-api
    build:
      context: {context}
"""
_HEALTH: Final = """\
  port: {port}
  health:
    path: /health
{release_header}"""
_RUNTIME_COMMENTS: Final = {
    "ecs-express": "Works in every account. `app-runner` costs less in accounts that used it before 2026-04-30.",
    "app-runner": "Only for accounts that used App Runner before 2026-04-30; `ecs-express` works in every account.",
}
_DATABASE: Final = """\
  version: "16"
  database: {word}
  username: {word}
{ca_file}"""
_CA_FILE: Final = """\
  # The Dockerfile adds the RDS CA certificates to the image. Connections verify the server with them.
  caFile: /etc/ssl/rds/global-bundle.pem
"""
_NO_CA_FILE: Final = """\
  # Add the RDS CA certificates to the image, then uncomment `caFile`. Clients such as node-postgres require it.
  #   ADD --chmod=644 https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/ssl/rds/
  # caFile: /etc/ssl/rds/global-bundle.pem
"""
_SITE: Final = """\
  name: {name}-web-${{project.environment}}-${{project.account}}
  versioning: true
  spa:
    dir: {dir}
"""
_BUDGET: Final = """\
  limit: {limit}
  alerts: [{half}, {limit}]
  email: [{email}]
"""
_CONNECTION_VARIABLES: Final = {"dotnet": "ConnectionStrings:Default: ${database.main.connectionString}"}
_DEFAULT_CONNECTION_VARIABLE: Final = "DATABASE_URL: ${database.main.url}"
_STAGING_DATABASE: Final = """\
  # Staging does not contain customer data.
  deletionProtection: false
  backups:
    retentionDays: 1
"""
_PROMOTION: Final = """\
  # Deploys only releases that are healthy in {source}, with the same images. `after: {{soak: 2h}}` adds a soak time.
  promotion: {{from: {source}}}
"""
_OVERLAY_COMMENT: Final = """\
# Settings of {environment} that override the manifests in the parent folder. This file can be empty.
# Show the differences: orchestrator render --diff {other} {environment}
"""


def render_files(answers: Answers, api: Api | None = None, site: Site | None = None) -> dict[str, str]:
    """Return the manifests by their path in the repository; ``api`` and ``site`` are what was detected of them."""
    texts: dict[str, str] = {}

    def add(file: str, kind: str, name: str, comment: str, spec: str) -> None:
        repository, _, commit = answers.tool.partition("@")
        schema_line = _SCHEMA_LINE.format(repository=repository, commit=commit, kind=kind.lower())
        texts[f"{FOLDER}/{file}.yaml"] = f"{schema_line}# {comment}\n{_HEAD.format(kind=kind, name=name)}{spec}"

    fields = {name: getattr(answers, name) for name in ("name", "repository", "region", "account", "runtime")}
    alerts = f"  alerts:\n    email: [{json.dumps(answers.email)}]\n" if answers.email else ""
    add(
        "project",
        "Project",
        answers.name,
        "The project. See: orchestrator explain project",
        _PROJECT.format(**fields) + alerts,
    )
    comment = (
        "Stores releases and the files for rollbacks. Bucket names are global, so the name contains the account ID."
    )
    add("releases", "Bucket", "releases", comment, _RELEASES.format(**fields))
    if answers.api:
        comment = (
            "The API. It is built when its folder changes, and must pass a health check before it receives traffic."
        )
        add("api", "ContainerService", "api", comment, _api_spec(answers, api, fields))
    if answers.api and answers.database:
        comment = "The database. Its password is generated in AWS."
        add("database", "Database", "main", comment, _database_spec(answers, api))
    if _has_secret(answers):
        comment = "Secret environment variables of the API. Their values are stored only in AWS."
        add("secret", "Secret", "app", comment, _secret_spec(answers))
    if answers.site:
        comment = "The site. Every deploy uploads its files; index.html is uploaded last."
        add("site", "Bucket", "web", comment, _site_spec(answers, fields, site))
        add("cdn", "Cdn", "web", _cdn_comment(answers), _cdn_spec(answers))
    if answers.email and answers.budget:
        half = max(1, int(answers.budget) // 2)
        spec = _BUDGET.format(limit=answers.budget, half=half, email=json.dumps(answers.email))
        add("budget", "Budget", "monthly", "Sends an e-mail before the monthly cost reaches the limit.", spec)
    return {**texts, **_overlays(answers)}


def check(texts: Mapping[str, str]) -> None:
    """Check the manifests of every environment before they are written.

    Raises Problems if one is invalid.
    """
    layers: dict[str, load.Layer] = {}
    documents: list[Document] = []
    for name, text in texts.items():
        path = Path(name)
        if path.parent == Path(FOLDER):
            documents += load.parse_documents(text, name)
        elif path.parent == Path(FOLDER, load.ENVIRONMENTS):
            layers[path.stem] = load.Layer(tuple(load.parse_documents(text, name)), file=name)
    sources = load.Sources(Path(FOLDER), tuple(documents), layers)
    for environment in overlay.environment_names(sources):
        checking.check(sources, environment)


def _api_spec(answers: Answers, api: Api | None, fields: Mapping[str, str]) -> str:
    context = relative_to_manifests(answers.api_folder)
    spec = _API.format(**fields, runtime_comment=_RUNTIME_COMMENTS[answers.runtime], context=context)
    if api is not None and api.dockerfile not in ("", "Dockerfile"):
        spec += f"      dockerfile: {api.dockerfile}\n"
    spec += _HEALTH.format(port=api.port if api else 8080, release_header=_release_header(answers, api))
    accessed = [*(["secret.app"] if _has_secret(answers) else []), *(["database.main"] if answers.database else [])]
    secrets = "  secrets: [secret.app]\n" if _has_secret(answers) else ""
    return spec + secrets + (f"  access: [{', '.join(accessed)}]\n" if accessed else "")


def _release_header(answers: Answers, api: Api | None) -> str:
    """Return the field, or what the application needs before it can be set: a deploy waits for the header."""
    if api is not None and api.names_release:
        return f"    releaseHeader: {RELEASE_HEADER}\n"
    lines = RELEASE_CODE.get(answers.api, RELEASE_CODE["docker"])
    comment = "".join(f"    #   {line}\n" for line in lines)
    return (
        "    # With this header, a deploy verifies which build responds. Add this code to the API:\n"
        f"{comment}    # Then uncomment the next line.\n    # releaseHeader: {RELEASE_HEADER}\n"
    )


RELEASE_CODE: Final[Mapping[str, tuple[str, str]]] = {
    "dotnet": (
        'var release = Environment.GetEnvironmentVariable("ORCHESTRATOR_RELEASE");',
        'app.MapGet("/health", (HttpResponse r) => { r.Headers["X-Release"] = release; return "ok"; });',
    ),
    "python": (
        'release = os.environ.get("ORCHESTRATOR_RELEASE", "")',
        'response.headers["X-Release"] = release  # in GET /health',
    ),
    "node": (
        "const release = process.env.ORCHESTRATOR_RELEASE ?? ''",
        "response.setHeader('X-Release', release)  // in GET /health",
    ),
    "go": ('release := os.Getenv("ORCHESTRATOR_RELEASE")', 'w.Header().Set("X-Release", release) // in GET /health'),
    "docker": ("GET /health returns status 200", "with the header X-Release set to the value of ORCHESTRATOR_RELEASE"),
}
"""The two lines by which an application answers with its build, by language."""


def _has_secret(answers: Answers) -> bool:
    return bool(answers.api and (answers.database or answers.secret_names))


def _database_spec(answers: Answers, api: Api | None) -> str:
    gets_dockerfile = api is not None and api.language != DOCKERFILE_ONLY and not api.dockerfile
    ca_file = _CA_FILE if gets_dockerfile else _NO_CA_FILE
    return _DATABASE.format(word=answers.name.replace("-", "_"), ca_file=ca_file)


def _secret_spec(answers: Answers) -> str:
    connection = _CONNECTION_VARIABLES.get(answers.api, _DEFAULT_CONNECTION_VARIABLE)
    values = [connection] if answers.database else []
    values += [f"{name}: {{generate: {{length: 64}}}}" for name in answers.secret_names]
    lines = "".join(f"    {value}\n" for value in values)
    return f"  name: {answers.name}-${{project.environment}}\n  data:\n{lines}"


def _site_spec(answers: Answers, fields: Mapping[str, str], site: Site | None) -> str:
    spec = _SITE.format(**fields, dir=relative_to_manifests(answers.site))
    if site is not None and not site.is_single_page:
        spec += "    routing: static\n"
    if answers.site_build:
        command = json.dumps(shlex.split(answers.site_build))
        spec += f"    build: {command}\n    folder: {relative_to_manifests(answers.site_folder)}\n"
    return spec


def _cdn_comment(answers: Answers) -> str:
    return "The CDN of the site" + (" and, under /api/, of the API." if answers.api else ".")


def _cdn_spec(answers: Answers) -> str:
    spec = "  origin: bucket.web\n"
    if answers.api:
        spec += "  paths:\n    - pattern: /api/*\n      origin: containerservice.api\n"
    return spec


def _overlays(answers: Answers) -> dict[str, str]:
    """Return a file for each environment; `prod` alone needs none."""
    names = answers.environment_names
    if names == (overlay.DEFAULT_NAME,):
        return {}
    has_database = bool(answers.api and answers.database)
    texts = {overlay_path(name): render_overlay(name, names, has_database=has_database) for name in names}
    if answers.promotion_pair is not None:
        source, target = answers.promotion_pair
        texts[overlay_path(target)] += render_promotion(answers.name, source)
    return texts


def render_promotion(project: str, source: str) -> str:
    """Return the document of an environment's file that lets its releases come from another environment."""
    return _HEAD.format(kind="Project", name=project) + _PROMOTION.format(source=source)


def overlay_path(environment: str) -> str:
    """Return the path of an environment's file in the repository."""
    return f"{FOLDER}/{load.ENVIRONMENTS}/{environment}.yaml"


def render_overlay(name: str, names: tuple[str, ...], *, has_database: bool) -> str:
    """Return the file of one environment of several."""
    production = find_production(names)
    other = production if name != production else next((one for one in names if one != name), name)
    text = _OVERLAY_COMMENT.format(environment=name, other=other)
    if has_database and name != production:
        text += _HEAD.format(kind="Database", name="main") + _STAGING_DATABASE
    return text


def relative_to_manifests(folder: str) -> str:
    """Return a folder of the repository relative to the manifests folder."""
    return posixpath.normpath(posixpath.join("..", folder))
