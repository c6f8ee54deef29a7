"""Compare two releases: images, site files, manifest lines, versions of secrets and models.  Pure."""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from orchestrator.redaction.redact import escape_unprintable, redact
from orchestrator.release import ImageReference, ManifestDocument, Release
from orchestrator.state.protocol.records import ReleaseContent

MAX_DIFF_LINES, MAX_SITE_FILES = 400, 60


class PartChange(Struct, frozen=True):
    """One part that differs: ``kind`` is ``image``, ``secret``, ``model`` or ``schema``."""

    kind: str
    handle: str
    before: str
    after: str


class DiffLine(Struct, frozen=True):
    """One line of a manifest: ``sign`` is ``+``, ``-``, ``@`` or a blank."""

    sign: str
    text: str


class DocumentDiff(Struct, frozen=True):
    """One manifest document that differs."""

    file: str
    handle: str
    lines: tuple[DiffLine, ...]


class SiteDiff(Struct, frozen=True):
    """The files of one site that differ; ``files`` is None if a file list is missing."""

    handle: str
    files: tuple[tuple[str, str], ...] | None
    omitted_count: int = 0


class ReleaseComparison(Struct, frozen=True):
    """All differences; ``documents`` is None if the manifests differ and their text is missing."""

    parts: tuple[PartChange, ...]
    sites: tuple[SiteDiff, ...]
    documents: tuple[DocumentDiff, ...] | None

    @property
    def is_empty(self) -> bool:
        return not self.parts and not self.sites and self.documents == ()


def compare_releases(
    before: Release, after: Release, contents: tuple[ReleaseContent | None, ReleaseContent | None]
) -> ReleaseComparison:
    """Return the differences from ``before`` to ``after``."""
    old, new = contents
    documents: tuple[DocumentDiff, ...] | None = ()
    if before.vector.manifests != after.vector.manifests:
        has_documents = old is not None and new is not None and old.documents and new.documents
        documents = _compare_documents(old.documents, new.documents) if has_documents and old and new else None
    return ReleaseComparison(
        tuple(_compare_parts(before, after)), tuple(_compare_sites(before, after, old, new)), documents
    )


def list_changed_parts(before: Release | None, after: Release) -> tuple[str, ...]:
    """Return the names of the parts that differ; ``everything`` if there is no earlier release."""
    if before is None:
        return ("everything",)
    parts = [f"{part.kind} {part.handle.partition('.')[2] or part.handle}" for part in _compare_parts(before, after)]
    sites = before.vector.sites, after.vector.sites
    parts += [f"site {handle.partition('.')[2] or handle}" for handle in _changed_keys(*sites)]
    return (*parts, *(("manifests",) if before.vector.manifests != after.vector.manifests else ()))


def _compare_parts(before: Release, after: Release) -> Iterator[PartChange]:
    kinds: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
        ("image", before.vector.images, after.vector.images),
        ("secret", before.vector.secrets, after.vector.secrets),
        ("model", before.vector.models, after.vector.models),
        ("schema", before.vector.schemas, after.vector.schemas),
    )
    for kind, old, new in kinds:
        for handle in _changed_keys(old, new):
            yield PartChange(kind, handle, _format_part(old.get(handle)), _format_part(new.get(handle)))


def _changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]


def _format_part(value: object) -> str:
    if value is None:
        return "none"
    text = f"{value.tag[:12] or 'prebuilt'} ({value.digest[:19]})" if isinstance(value, ImageReference) else str(value)
    return escape_unprintable(text[:64])


def _compare_sites(
    before: Release, after: Release, old: ReleaseContent | None, new: ReleaseContent | None
) -> Iterator[SiteDiff]:
    for handle in _changed_keys(before.vector.sites, after.vector.sites):
        old_files = old.files.get(handle) if old else None
        new_files = new.files.get(handle) if new else None
        if old_files is None or new_files is None:
            yield SiteDiff(handle, None)
            continue
        files = [
            (_change_sign(path, old_files, new_files), escape_unprintable(path))
            for path in _changed_keys(old_files, new_files)
        ]
        yield SiteDiff(handle, tuple(files[:MAX_SITE_FILES]), max(0, len(files) - MAX_SITE_FILES))


def _change_sign(path: str, old: Mapping[str, str], new: Mapping[str, str]) -> str:
    return "+" if path not in old else "-" if path not in new else "~"


def _compare_documents(
    old: tuple[ManifestDocument, ...], new: tuple[ManifestDocument, ...]
) -> tuple[DocumentDiff, ...]:
    old_by_handle, new_by_handle = ({_document_handle(document): document for document in side} for side in (old, new))
    diffs = []
    for handle in _changed_keys(old_by_handle, new_by_handle):
        files = [side[handle].file for side in (new_by_handle, old_by_handle) if handle in side]
        lines = tuple(_diff_documents(old_by_handle.get(handle), new_by_handle.get(handle)))
        diffs.append(DocumentDiff(escape_unprintable(files[0]), escape_unprintable(handle), lines))
    return tuple(document for document in diffs if document.lines)


def _document_handle(document: ManifestDocument) -> str:
    metadata = document.value.get("metadata")
    name = metadata.get("name", "") if isinstance(metadata, Mapping) else ""
    return f"{str(document.value.get('kind', '')).lower()}.{name}"


def _diff_documents(old: ManifestDocument | None, new: ManifestDocument | None) -> Iterator[DiffLine]:
    old_lines, new_lines = (_to_yaml(side).splitlines() if side else [] for side in (old, new))
    for number, text in enumerate(difflib.unified_diff(old_lines, new_lines, lineterm="", n=3)):
        if number >= MAX_DIFF_LINES:
            yield DiffLine("@", "further lines omitted")
            return
        if number >= 2:  # skip the two file name lines
            sign = text[0] if text[0] in "+-@" else " "
            yield DiffLine(sign, escape_unprintable(text if sign == "@" else text[1:]))


def _to_yaml(document: ManifestDocument) -> str:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    buffer = io.StringIO()
    yaml.dump(redact(document.value), buffer)
    return buffer.getvalue()
