"""What differs between two releases: images, site files, manifest lines, version ids of secrets and models.  Pure."""

from __future__ import annotations

import difflib
import io
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from orchestrator.redaction.redact import redact, visible
from orchestrator.release import Built, Release, Written
from orchestrator.state.protocol.records import ReleaseContent

MOST_LINES, MOST_FILES = 400, 60


class Part(Struct, frozen=True):
    """One part that differs: ``kind`` is ``image``, ``secret``, ``model`` or ``schema``."""

    kind: str
    handle: str
    before: str
    after: str


class Line(Struct, frozen=True):
    """One line of a manifest: ``sign`` is ``+``, ``-``, ``@`` or a blank."""

    sign: str
    text: str


class Document(Struct, frozen=True):
    """One manifest document that differs."""

    file: str
    handle: str
    lines: tuple[Line, ...]


class Site(Struct, frozen=True):
    """The files of one site that differ; ``files`` is None where nobody told which."""

    handle: str
    files: tuple[tuple[str, str], ...] | None
    left_out: int = 0


class Comparison(Struct, frozen=True):
    """All that differs; ``documents`` is None when the manifests differ and nobody told how."""

    parts: tuple[Part, ...]
    sites: tuple[Site, ...]
    documents: tuple[Document, ...] | None

    @property
    def is_empty(self) -> bool:
        return not self.parts and not self.sites and self.documents == ()


def compare(
    before: Release, after: Release, contents: tuple[ReleaseContent | None, ReleaseContent | None]
) -> Comparison:
    """From ``before`` to ``after``."""
    old, new = contents
    documents: tuple[Document, ...] | None = ()
    if before.vector.manifests != after.vector.manifests:
        told = old is not None and new is not None and old.documents and new.documents
        documents = _documents(old.documents, new.documents) if told and old and new else None
    return Comparison(tuple(_parts(before, after)), tuple(_sites(before, after, old, new)), documents)


def changed(before: Release | None, after: Release) -> tuple[str, ...]:
    """The parts that ``after`` shipped and ``before`` did not, in words."""
    if before is None:
        return ("everything",)
    found = [f"{part.kind} {part.handle.partition('.')[2] or part.handle}" for part in _parts(before, after)]
    sites = before.vector.sites, after.vector.sites
    found += [f"site {handle.partition('.')[2] or handle}" for handle in _moved(*sites)]
    return (*found, *(("manifests",) if before.vector.manifests != after.vector.manifests else ()))


def _parts(before: Release, after: Release) -> Iterator[Part]:
    kinds: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
        ("image", before.vector.images, after.vector.images),
        ("secret", before.vector.secrets, after.vector.secrets),
        ("model", before.vector.models, after.vector.models),
        ("schema", before.vector.schemas, after.vector.schemas),
    )
    for kind, old, new in kinds:
        for handle in _moved(old, new):
            yield Part(kind, handle, _short(old.get(handle)), _short(new.get(handle)))


def _moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]


def _short(value: object) -> str:
    if value is None:
        return "not there"
    text = f"{value.tag[:12] or 'prebuilt'} ({value.digest[:19]})" if isinstance(value, Built) else str(value)
    return visible(text[:64])


def _sites(before: Release, after: Release, old: ReleaseContent | None, new: ReleaseContent | None) -> Iterator[Site]:
    for handle in _moved(before.vector.sites, after.vector.sites):
        was = old.files.get(handle) if old else None
        now = new.files.get(handle) if new else None
        if was is None or now is None:
            yield Site(handle, None)
            continue
        files = [(_sign(path, was, now), visible(path)) for path in _moved(was, now)]
        yield Site(handle, tuple(files[:MOST_FILES]), max(0, len(files) - MOST_FILES))


def _sign(path: str, was: Mapping[str, str], now: Mapping[str, str]) -> str:
    return "+" if path not in was else "-" if path not in now else "~"


def _documents(old: tuple[Written, ...], new: tuple[Written, ...]) -> tuple[Document, ...]:
    was, now = ({_handle(one): one for one in side} for side in (old, new))
    found = []
    for handle in _moved(was, now):
        files = [side[handle].file for side in (now, was) if handle in side]
        lines = tuple(_diff(was.get(handle), now.get(handle)))
        found.append(Document(visible(files[0]), visible(handle), lines))
    return tuple(one for one in found if one.lines)


def _handle(written: Written) -> str:
    metadata = written.value.get("metadata")
    name = metadata.get("name", "") if isinstance(metadata, Mapping) else ""
    return f"{str(written.value.get('kind', '')).lower()}.{name}"


def _diff(old: Written | None, new: Written | None) -> Iterator[Line]:
    was, now = (_text(side).splitlines() if side else [] for side in (old, new))
    for number, text in enumerate(difflib.unified_diff(was, now, lineterm="", n=3)):
        if number >= MOST_LINES:
            yield Line("@", "the rest is left out")
            return
        if number >= 2:  # the names of two files that are none
            sign = text[0] if text[0] in "+-@" else " "
            yield Line(sign, visible(text if sign == "@" else text[1:]))


def _text(written: Written) -> str:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    buffer = io.StringIO()
    yaml.dump(redact(written.value), buffer)
    return buffer.getvalue()
