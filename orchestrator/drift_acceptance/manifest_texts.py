"""Edit the text of manifest files in memory, each edit in the layer it belongs to."""

from __future__ import annotations

import codecs
import difflib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from orchestrator.manifest import load, text_edits
from orchestrator.manifest.check import PROJECT_KIND, Manifest
from orchestrator.manifest.document import Declaration, Document
from orchestrator.manifest.document import Path as FieldPath
from orchestrator.manifest.load import ENVIRONMENTS, Layer, Sources
from orchestrator.manifest.overlay import environment_names
from orchestrator.problems import Problems
from orchestrator.values import Value

Texts = Mapping[str, str]
"""Texts by file; an empty text means that the file is deleted."""


def edit_field(texts: Texts, manifest: Manifest, declared: Declaration, path: FieldPath, value: Value) -> Texts:
    """Apply one edit where the value is declared, or else in this environment's own file.

    Raises Problems if the file cannot be parsed or edited.
    """
    document = _find_document(manifest, declared, path, value)
    if document is not None:
        text = _read_text(texts, document.file)
        path = declared.path_in_layer(declared.layers.index(document), path)
        return {**texts, document.file: text_edits.edit_value(text, document.file, declared.handle, path, value)}
    file = _environment_file(manifest)
    text = _read_text(texts, file)
    is_declared_there = any(item.handle == declared.handle for item in load.parse_documents(text, file))
    edited_text = text_edits.edit_value(text, file, declared.handle, path, value) if is_declared_there else ""
    return {**texts, file: edited_text or text_edits.append_document(text, declared.kind, declared.name, path, value)}


def add_document(texts: Texts, manifest: Manifest, value: Mapping[str, Any]) -> Texts:
    """Add a document next to its kind, or to this environment's own file if there are several environments."""
    kind = value["kind"]
    if len(environment_names(manifest.sources)) > 1:
        file = _environment_file(manifest)
    else:
        same_kind_documents = [document for document in manifest.sources.documents if document.kind == kind]
        file = (
            same_kind_documents
            or [document for document in manifest.sources.documents if document.kind == PROJECT_KIND]
        )[-1].file
    text = _read_text(texts, file)
    return {**texts, file: text_edits.append_document(text, kind, value["metadata"]["name"], ("spec",), value["spec"])}


def remove_documents(texts: Texts, manifest: Manifest, declared: Declaration) -> Texts:
    """Remove all documents of a component.

    Raises Problems if other environments declare it too.
    """
    environments = environment_names(manifest.sources)
    if len(environments) > 1 and declared.layers[0].file != _environment_file(manifest):
        others = ", ".join(name for name in environments if name != manifest.environment)
        raise Problems.from_message(f"{declared.handle} is also declared for {others}")
    for document in declared.layers:
        edited_text = text_edits.remove_document(_read_text(texts, document.file), document.file, declared.handle)
        texts = {**texts, document.file: edited_text if edited_text.strip() else ""}
    return texts


def format_diff(texts: Texts) -> str:
    """Return what the edits change, as a unified diff."""
    diffs = []
    for file, text in sorted(texts.items()):
        old_text = _read_bytes(file).decode("utf-8-sig").replace("\r\n", "\n")
        lines = difflib.unified_diff(old_text.splitlines(), text.splitlines(), file, file, n=1, lineterm="")
        diffs.append("\n".join(lines))
    return "\n".join(diffs)


def write(texts: Texts) -> None:
    """Write the edited files, each at once, with its byte order mark and line endings; delete those without text."""
    for file, text in sorted(texts.items()):
        path, old_bytes = Path(file), _read_bytes(file)
        byte_order_mark = codecs.BOM_UTF8 if old_bytes.startswith(codecs.BOM_UTF8) else b""
        line_ending = b"\r\n" if b"\r\n" in old_bytes else b"\n"
        if not text:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        new_path = path.with_name(f".{path.name}.new")
        new_path.write_bytes(byte_order_mark + text.encode().replace(b"\n", line_ending))
        if path.exists():
            shutil.copymode(path, new_path)
        new_path.replace(path)


def _read_bytes(file: str) -> bytes:
    path = Path(file)
    return path.read_bytes() if path.exists() else b""


def reload_sources(sources: Sources, texts: Texts) -> Sources:
    """Return ``sources`` with the documents of these files replaced.  Raises Problems if a text is invalid."""
    reloaded = {file: load.parse_documents(text, file) for file, text in texts.items()}
    environments = {
        **{Path(file).stem: Layer(file=file) for file in texts if Path(file).parent == sources.folder / ENVIRONMENTS},
        **sources.environments,
    }
    base_documents = _merge_documents(
        sources.documents, reloaded, set(reloaded) - {layer.file for layer in environments.values()}
    )
    layers = {
        name: Layer(
            _merge_documents(layer.documents, reloaded, {layer.file} & set(reloaded)), layer.problems, layer.file
        )
        for name, layer in environments.items()
    }
    return replace(sources, documents=base_documents, environments=layers)


def _merge_documents(
    old_documents: Iterable[Document], reloaded: Mapping[str, list[Document]], files: set[str]
) -> tuple[Document, ...]:
    new_documents = {document.handle: document for file in files for document in reloaded[file]}

    def merge_in_order() -> Iterator[Document]:
        for old_document in old_documents:
            if old_document.handle in new_documents:
                yield new_documents.pop(old_document.handle)
            elif old_document.file not in files:
                yield old_document

    return (*merge_in_order(), *new_documents.values())


def _environment_file(manifest: Manifest) -> str:
    """Return the file of this environment's layer."""
    layer = manifest.sources.environments.get(manifest.environment)
    return (layer.file if layer else "") or f"{manifest.sources.folder / ENVIRONMENTS / manifest.environment}.yaml"


def _find_document(manifest: Manifest, declared: Declaration, path: FieldPath, value: Value) -> Document | None:
    """Return the document to edit; None if this environment has none yet and needs one.

    The base layer applies to every environment, so with several environments the edit goes into this one's file.  An
    item of a list is edited where it is declared.
    """
    layer = declared.layer_index(path)
    if layer > 0 or len(environment_names(manifest.sources)) < 2 or value is text_edits.REMOVE:
        return declared.layers[max(layer, 0)]
    if any(isinstance(part, int) for part in path):
        return max(
            enumerate(declared.layers),
            key=lambda layer: len(layer[1].find_nodes(declared.path_in_layer(layer[0], path))),
        )[1]
    return declared.layers[1] if len(declared.layers) > 1 else None


def _read_text(texts: Texts, file: str) -> str:
    if file in texts:
        return texts[file]
    path = Path(file)
    return path.read_text(encoding="utf-8-sig") if path.exists() else ""
