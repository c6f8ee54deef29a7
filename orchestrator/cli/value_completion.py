"""Complete the values of arguments and options in a shell: what the schemas, the manifests and the ledger hold.

A completion never fails and never prints: what cannot be read has no completions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.manifest.document import Document

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(list_values: Callable[[click.Context, str], Iterable[str | CompletionItem]]) -> Complete:
    """Return a callback for ``shell_complete`` that offers the values which begin with what is typed."""

    @functools.wraps(list_values)
    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            values = [
                value if isinstance(value, CompletionItem) else CompletionItem(value)
                for value in list_values(context, incomplete)
            ]
        except Exception:  # noqa: BLE001 - a traceback in the middle of a command line helps nobody
            return []
        return [item for item in values if str(item.value).startswith(incomplete)]

    return complete


@_completer
def complete_field_path(_context: click.Context, incomplete: str) -> Iterable[str]:
    """Offer the kinds, and the fields one level below what is typed: ``bucket.spec.``."""
    from orchestrator.manifest import explain, schema

    parent, dot, _ = incomplete.rpartition(".")
    if not dot:
        return sorted(kind.lower() for kind in schema.manifest_kinds())
    kind, _, outer = parent.partition(".")
    depth = outer.count(".") + 2 if outer else 1
    fields = (field.path.replace("[]", "") for field in explain.describe_fields(kind))
    return (f"{kind}.{path}" for path in dict.fromkeys(fields) if path.count(".") + 1 == depth)


@_completer
def complete_environment(context: click.Context, _incomplete: str) -> Iterable[str]:
    """Offer the environments of the folder of manifests."""
    from orchestrator.manifest import overlay

    return overlay.list_names(_settings(context).manifests)


@_completer
def complete_target(context: click.Context, incomplete: str) -> Iterable[str]:
    """Offer components, and the addresses of their resources."""
    from orchestrator.manifest import overlay
    from orchestrator.planning import pipeline

    settings = _settings(context)
    handles = [document.handle for document in _documents(context) if document.kind != "Project"]
    if any(handle.startswith(incomplete) for handle in handles) and incomplete:
        return handles
    environment = settings.environment or overlay.list_names(settings.manifests)[0]
    desired = pipeline.load_desired(settings.manifests, environment, include_artefacts=False)
    return [*handles, *sorted(resource.address for resource in desired.resources)]


@_completer
def complete_service(context: click.Context, _incomplete: str) -> Iterable[str]:
    """Offer the names of the services."""
    return [document.name for document in _documents(context) if document.kind == "ContainerService"]


@_completer
def complete_page(context: click.Context, _incomplete: str) -> Iterable[str]:
    """Offer what ``open`` opens."""
    components = [document for document in _documents(context) if document.kind in {"ContainerService", "Cdn"}]
    return ["site", "dashboard", "console", *(document.handle for document in components)]


@_completer
def complete_component(context: click.Context, _incomplete: str) -> Iterable[str]:
    """Offer the handles of all components."""
    return [document.handle for document in _documents(context) if document.kind != "Project"]


@_completer
def complete_database(context: click.Context, _incomplete: str) -> Iterable[str]:
    """Offer the names of the databases."""
    return [document.name for document in _documents(context) if document.kind == "Database"]


@_completer
def complete_secret(context: click.Context, _incomplete: str) -> Iterable[str]:
    """Offer the names of the secrets."""
    return [document.name for document in _documents(context) if document.kind == "Secret"]


@_completer
def complete_secret_key(context: click.Context, _incomplete: str) -> Iterable[str]:
    """Offer the keys of the secret on the command line whose values come from outside."""
    name = context.params.get("secret")
    secrets = [item for item in _documents(context) if item.kind == "Secret" and item.name == name]
    entries = [entry for item in secrets for entry in item.value.get("spec", {}).get("data", {}).items()]
    return [key for key, value in entries if isinstance(value, dict) and value.get("external")]


@_completer
def complete_release(context: click.Context, _incomplete: str) -> Iterable[CompletionItem]:
    """Offer the numbers of the releases, newest first, with their time and commit; reads the ledger in AWS."""
    from orchestrator.runs.release_session import open_session

    releases = open_session(_settings(context)).store.read().releases
    return [CompletionItem(str(item.number), help=f"{item.at} {item.commit[:12]}") for item in reversed(releases)]


def _settings(context: click.Context) -> Settings:
    """Return the settings of the command line so far."""
    manifests = context.params.get("manifests") or Path("manifests")
    return Settings(manifests, context.params.get("environment"))


def _documents(context: click.Context) -> tuple[Document, ...]:
    from orchestrator.manifest import load

    return load.load(_settings(context).manifests).documents
