"""The manifests of a checkout as a ledger keeps them, and back.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.manifest.check import Manifest
from orchestrator.manifest.load import Layer, Sources, recall
from orchestrator.release import Ledger, Written


def written(manifest: Manifest) -> dict[str, Written]:
    """Every document of ``manifest`` by handle, its environment merged in."""
    return {handle: Written(declared.layers[0].file, declared.value) for handle, declared in manifest.declared.items()}


def identity(document: Written) -> str:
    """What tells two documents apart: their content, wherever they stand."""
    return canonical_json.digest(document.value)


def manifests_digest(documents: Iterable[Written]) -> str:
    """One digest for a set of documents, in whatever order."""
    return canonical_json.digest(sorted(map(identity, documents)))


def handle(document: Written) -> str:
    """``bucket.files``."""
    return f"{str(document.value['kind']).lower()}.{document.value['metadata']['name']}"


def remember(ledger: Ledger, documents: Mapping[str, Written]) -> Ledger:
    """``ledger`` with ``documents`` in it, each once."""
    named = {identity(document): document for document in documents.values()}
    digest = manifests_digest(documents.values())
    return replace(
        ledger,
        documents={**ledger.documents, **named},
        manifests={**ledger.manifests, digest: tuple(named)},
    )


def forget(ledger: Ledger) -> Ledger:
    """``ledger`` without documents that no release in it needs."""
    used = {release.vector.manifests for release in ledger.releases}
    manifests = {digest: names for digest, names in ledger.manifests.items() if digest in used}
    kept = {name for names in manifests.values() for name in names}
    return replace(ledger, manifests=manifests, documents={k: v for k, v in ledger.documents.items() if k in kept})


def sources(documents: Iterable[Written], environment: str) -> Sources:
    """``documents`` as if they had just been loaded: merged already, so the environment has nothing to add."""
    found = tuple(recall(document.value, document.file) for document in documents)
    return Sources(Path(), found, {environment: Layer()})


def substitute(sources: Sources, environment: str, instead: Mapping[str, Written | None]) -> Sources:
    """``sources`` with some documents, by handle, replaced whole, environment included, or left out (None)."""
    layer = sources.environments.get(environment, Layer())
    kept = tuple(document for document in layer.documents if document.handle not in instead)
    base = [document for document in sources.documents if document.handle not in instead]
    base += [recall(document.value, document.file) for document in instead.values() if document is not None]
    layers = {**sources.environments, environment: replace(layer, documents=kept)}
    return replace(sources, documents=tuple(base), environments=layers)
