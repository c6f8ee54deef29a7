"""The manifests' files as an acceptance would leave them: one edit after the other, each in the layer it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from orchestrator.manifest import load, text_edits
from orchestrator.manifest.check import PROJECT, Manifest
from orchestrator.manifest.document import Declared, Document
from orchestrator.manifest.document import Path as FieldPath
from orchestrator.manifest.load import ENVIRONMENTS, Layer, Sources
from orchestrator.problems import Problems
from orchestrator.values import Value

Texts = Mapping[str, str]
"""By file; an empty text means that the file goes."""


def edit(texts: Texts, manifest: Manifest, declared: Declared, path: FieldPath, value: Value) -> Texts:
    """Put one edit where the value stands, or else where it is for this environment only.

    Raises Problems.
    """
    document = _place(manifest, declared, path, value)
    if document is not None:
        text = _text(texts, document.file)
        return {**texts, document.file: text_edits.edit(text, document.file, declared.handle, path, value)}
    file = _own(manifest)
    text = _text(texts, file)
    held = any(one.handle == declared.handle for one in load.documents(text, file))
    new = text_edits.edit(text, file, declared.handle, path, value) if held else ""
    return {**texts, file: new or text_edits.append(text, declared.kind, declared.name, path, value)}


def declare(texts: Texts, manifest: Manifest, value: Mapping[str, Any]) -> Texts:
    """Add a document: beside the others of its kind, or for this environment only where there are several."""
    kind = value["kind"]
    if len(manifest.sources.environments) > 1:
        file = _own(manifest)
    else:
        alike = [one for one in manifest.sources.documents if one.kind == kind]
        file = (alike or [one for one in manifest.sources.documents if one.kind == PROJECT])[-1].file
    text = _text(texts, file)
    return {**texts, file: text_edits.append(text, kind, value["metadata"]["name"], ("spec",), value["spec"])}


def undeclare(texts: Texts, manifest: Manifest, declared: Declared) -> Texts:
    """Take all documents of a component out.

    Raises Problems where other environments have it too.
    """
    layers = manifest.sources.environments
    if len(layers) > 1 and declared.layers[0].file != layers[manifest.environment].file:
        others = ", ".join(sorted(set(layers) - {manifest.environment}))
        raise Problems.one(f"the manifests declare {declared.handle} for {others}, too")
    for document in declared.layers:
        made = text_edits.drop(_text(texts, document.file), document.file, declared.handle)
        texts = {**texts, document.file: made if made.strip() else ""}
    return texts


def reread(sources: Sources, texts: Texts) -> Sources:
    """``sources`` with the documents of these texts in place of those that they were made from.  Raises Problems."""
    found = {file: load.documents(text, file) for file, text in texts.items()}
    base = _documents(sources.documents, found, set(found) - {layer.file for layer in sources.environments.values()})
    layers = {
        name: Layer(_documents(layer.documents, found, {layer.file} & set(found)), layer.problems, layer.file)
        for name, layer in sources.environments.items()
    }
    return replace(sources, documents=base, environments=layers)


def _documents(old: Iterable[Document], found: Mapping[str, list[Document]], files: set[str]) -> tuple[Document, ...]:
    fresh = {one.handle: one for file in files for one in found[file]}

    def kept() -> Iterator[Document]:
        for one in old:
            if one.handle in fresh:
                yield fresh.pop(one.handle)
            elif one.file not in files:
                yield one

    return (*kept(), *fresh.values())


def _own(manifest: Manifest) -> str:
    """The file of this environment alone."""
    layer = manifest.sources.environments.get(manifest.environment)
    return (layer.file if layer else "") or f"{manifest.sources.folder / ENVIRONMENTS / manifest.environment}.yaml"


def _place(manifest: Manifest, declared: Declared, path: FieldPath, value: Value) -> Document | None:
    """The document to edit; None for one of this environment that is not there yet.

    What the base says holds for every environment: where there are several, the difference goes into this one's file.
    A list cannot be said in part, so a part of one is edited where it stands.
    """
    layer = declared.layer(path)
    if layer > 0 or len(manifest.sources.environments) < 2 or value is text_edits.REMOVED:
        return declared.layers[max(layer, 0)]
    if any(isinstance(part, int) for part in path):
        deepest = max(range(len(declared.layers)), key=lambda index: len(declared.layers[index].nodes(path)))
        return declared.layers[deepest]
    return declared.layers[1] if len(declared.layers) > 1 else None


def _text(texts: Texts, file: str) -> str:
    if file in texts:
        return texts[file]
    path = Path(file)
    return path.read_text(encoding="utf-8-sig") if path.exists() else ""
