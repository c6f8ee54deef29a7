"""Convert between a checkout's manifests and the documents in a ledger.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.manifest.check import Manifest
from orchestrator.manifest.load import Layer, Sources, document_from_value
from orchestrator.release import Ledger, ManifestDocument

DEFAULT_APPROVAL = "safe"
"""The ``approval`` of a Project that does not set one, as the schema says."""


def from_manifest(manifest: Manifest) -> dict[str, ManifestDocument]:
    """Return every document of ``manifest`` by handle, merged with its environment."""
    return {
        handle: ManifestDocument(declared.layers[0].file, declared.value)
        for handle, declared in manifest.declarations.items()
    }


def document_digest(document: ManifestDocument) -> str:
    """Return the digest of a document's content, independent of its file."""
    return canonical_json.digest(document.value)


def manifests_digest(documents: Iterable[ManifestDocument]) -> str:
    """Return one digest for a set of documents, independent of their order."""
    return canonical_json.digest(sorted(map(document_digest, documents)))


def document_handle(document: ManifestDocument) -> str:
    """Return a document's component handle, such as ``bucket.files``."""
    return f"{str(document.value['kind']).lower()}.{document.value['metadata']['name']}"


def read_approval(documents: Iterable[ManifestDocument]) -> str:
    """Return the ``approval`` of the Project among ``documents``; "" if there is no Project."""
    projects = (document.value for document in documents if document.value["kind"] == "Project")
    return next((str(value["spec"].get("approval", DEFAULT_APPROVAL)) for value in projects), "")


def add_documents(ledger: Ledger, documents: Mapping[str, ManifestDocument]) -> Ledger:
    """Return ``ledger`` with ``documents`` added, each content once."""
    documents_by_digest = {document_digest(document): document for document in documents.values()}
    digest = manifests_digest(documents.values())
    return replace(
        ledger,
        documents={**ledger.documents, **documents_by_digest},
        manifests={**ledger.manifests, digest: tuple(documents_by_digest)},
    )


def prune_documents(ledger: Ledger) -> Ledger:
    """Return ``ledger`` without the documents that none of its releases needs."""
    used_digests = {release.vector.manifests for release in ledger.releases}
    manifests = {digest: names for digest, names in ledger.manifests.items() if digest in used_digests}
    kept_digests = {name for names in manifests.values() for name in names}
    return replace(
        ledger,
        manifests=manifests,
        documents={key: document for key, document in ledger.documents.items() if key in kept_digests},
    )


def build_sources(documents: Iterable[ManifestDocument], environment: str) -> Sources:
    """Return ``documents`` as sources.  They are merged already, so the environment layer is empty."""
    recalled_documents = tuple(document_from_value(document.value, document.file) for document in documents)
    return Sources(Path(), recalled_documents, {environment: Layer()})


def replace_documents(
    sources: Sources, environment: str, replacements: Mapping[str, ManifestDocument | None]
) -> Sources:
    """Return ``sources`` with documents replaced by handle, environment layer included, or removed (None)."""
    layer = sources.environments.get(environment, Layer())
    overlay_documents = tuple(document for document in layer.documents if document.handle not in replacements)
    base_documents = [document for document in sources.documents if document.handle not in replacements]
    base_documents += [
        document_from_value(document.value, document.file) for document in replacements.values() if document is not None
    ]
    layers = {**sources.environments, environment: replace(layer, documents=overlay_documents)}
    return replace(sources, documents=tuple(base_documents), environments=layers)
