"""Render the list of releases.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from orchestrator.release import Ledger, Pin, Release, Vector
from orchestrator.render.plan_view import clean_name, clean_sentence
from orchestrator.render.style import Style

RESULT_LABELS = {"healthy": "healthy", "unproved": "not verified", "failed": "failed", "started": "unfinished"}
RESULT_COLOURS = {"healthy": "green", "unproved": "yellow", "failed": "red", "started": "red"}

SHORT_DIGEST_CHARACTERS = len("sha256:") + 12


class ReleaseRow(Struct, frozen=True):
    """One release in the list.  ``obstacles`` say why it cannot be restored; empty if it can."""

    number: int
    at: str
    by: str
    commit: str
    result: str
    is_standing: bool
    of: int | None
    changed: tuple[str, ...]
    reason: str
    restorable: bool
    obstacles: tuple[str, ...]
    vector: Vector
    snapshots: tuple[str, ...] = ()
    promoted_from: str = ""


def build_rows(ledger: Ledger, obstacles: Mapping[int, tuple[str, ...]]) -> tuple[ReleaseRow, ...]:
    """Return the rows, newest first; ``obstacles`` by release number."""
    current_release = ledger.current_release
    rows = []
    previous: Release | None = None
    for release in ledger.releases:
        rows.append(_build_row(release, previous, obstacles.get(release.number, ()), release is current_release))
        previous = release if release.is_complete else previous
    return tuple(reversed(rows))


def render_text(
    rows: tuple[ReleaseRow, ...],
    pins: tuple[Pin, ...],
    style: Style,
    rollback_command: str,
    rollback_target: int | None = None,
) -> str:
    """Return the list as text that ends with a newline; ``rollback_target`` is what the command would restore."""
    if not rows:
        return "No releases yet.\n"
    lines = [line for row in rows for line in _render_row(row, style)]
    if pins:
        lines += ["", style.paint("Pinned until changed", "yellow")]
        from orchestrator.release.pins import (
            group_by_rollback,  # imports manifests, which the releases page does not need
        )

        lines += [line for pin_group in group_by_rollback(pins) for line in _render_pins(pin_group, style)]
    if rollback_target is not None:
        lines += ["", f"To roll back: {style.paint(f'{rollback_command} --to {rollback_target}', 'bold')}"]
    return style.replace_unencodable("\n".join(lines) + "\n")


def list_changed_parts(before: Vector | None, after: Vector) -> tuple[str, ...]:
    """Return the handles that differ between two vectors, and ``manifests`` if the manifests differ."""
    if before is None:
        return ("everything",)
    artefact_maps: list[tuple[Mapping[str, object], Mapping[str, object]]] = [
        (before.images, after.images),
        (before.sites, after.sites),
        (before.secrets, after.secrets),
        (before.models, after.models),
    ]
    changed_keys = [key for old, new in artefact_maps for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return (*dict.fromkeys(changed_keys), *(("manifests",) if before.manifests != after.manifests else ()))


def _build_row(release: Release, previous: Release | None, obstacles: tuple[str, ...], is_current: bool) -> ReleaseRow:
    return ReleaseRow(
        release.number,
        release.at,
        clean_name(release.by),
        release.commit[:12] + (f"-dirty.{release.uncommitted[:8]}" if release.uncommitted else ""),
        release.result,
        is_current,
        release.of,
        list_changed_parts(previous.vector if previous else None, release.vector),
        clean_sentence(release.reason),
        not obstacles,
        tuple(map(clean_sentence, obstacles)),
        release.vector,
        release.snapshots,
        clean_name(release.promoted_from),
    )


def _render_row(row: ReleaseRow, style: Style) -> Iterator[str]:
    number = style.paint(f"{row.number:>4}", "bold")
    current_note = (
        style.paint(" <- current", "good") if row.is_standing and row.result in {"healthy", "unproved"} else ""
    )
    result = style.paint(RESULT_LABELS[row.result], RESULT_COLOURS[row.result])
    commit = f"  {row.commit}" if row.commit else ""
    rollback_note = f"  rollback to {row.of}" if row.of else ""
    yield (
        f"{number}  {row.at.replace('T', ' ').removesuffix('Z')}  "
        f"{row.by}{commit}  {result}{rollback_note}{current_note}"
    )
    if row.promoted_from:
        environment, _, source_number = row.promoted_from.partition("/")
        yield from style.wrap(f"promoted: release {source_number} of {environment}", "      ")
    if artefacts := "; ".join(_describe_artefacts(row.vector)):
        yield from style.wrap(artefacts, "      ")
    yield from style.wrap(f"changed: {', '.join(row.changed) or 'nothing'}", "      ")
    if row.reason:
        yield from style.wrap(f"reason: {row.reason}", "      ")
    if row.snapshots:
        yield from style.wrap(f"database snapshots taken before the deploy: {', '.join(row.snapshots)}", "      ")
    if row.obstacles:
        yield from style.wrap(f"cannot be restored: {'; '.join(row.obstacles)}", "      ")


def _describe_artefacts(vector: Vector) -> Iterator[str]:
    """Yield the images, by tag or else digest, and the sites by digest."""
    for handle, image in sorted(vector.images.items()):
        yield f"image: {handle.partition('.')[2]} {image.tag or image.digest[:SHORT_DIGEST_CHARACTERS]}"
    for handle, digest in sorted(vector.sites.items()):
        yield f"site: {handle.partition('.')[2]} {digest[:12]}"


def _render_pins(pins: tuple[Pin, ...], style: Style) -> Iterator[str]:
    """Yield the parts that one rollback holds back, and its reason."""
    parts = ", ".join(clean_name(pin.part) for pin in pins)
    first_pin = pins[0]
    yield from style.wrap(f"{parts} of release {first_pin.left}: release {first_pin.release} is used instead", "  • ")
    if first_pin.reason:
        yield from style.wrap(f"reason: {clean_sentence(first_pin.reason)}", "    ")
