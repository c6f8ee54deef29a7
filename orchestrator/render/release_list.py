"""The list of releases.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from orchestrator.release import Ledger, Pin, Release, Vector
from orchestrator.render.plan_view import name, sentence
from orchestrator.render.style import Style

WORDS = {"healthy": "proved", "unproved": "not proved", "failed": "failed", "started": "never ended"}
COLOURS = {"healthy": "green", "unproved": "yellow", "failed": "red", "started": "red"}

SHORT = len("sha256:") + 12


class Row(Struct, frozen=True):
    """One release as it is listed; ``obstacles`` are why it cannot come back, none when it can."""

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


def view(ledger: Ledger, obstacles: Mapping[int, tuple[str, ...]]) -> tuple[Row, ...]:
    """Newest first; ``obstacles`` by number."""
    standing = ledger.standing
    rows = []
    before: Release | None = None
    for release in ledger.releases:
        rows.append(_row(release, before, obstacles.get(release.number, ()), release is standing))
        before = release if release.is_whole else before
    return tuple(reversed(rows))


def text(rows: tuple[Row, ...], pins: tuple[Pin, ...], style: Style, command: str) -> str:
    """Ends with a newline; ``command`` is how to go back."""
    if not rows:
        return "There is no release yet.\n"
    lines = [line for row in rows for line in _lines(row, style)]
    if pins:
        lines += ["", style.paint("Held back until it changes", "yellow")]
        from orchestrator.release.pins import together  # knows manifests, which a page of releases does without

        lines += [line for held in together(pins) for line in _held(held, style)]
    way = next((row.number for row in rows[1:] if row.restorable), None)
    if way is not None:
        lines += ["", f"To go back: {style.paint(f'{command} --to {way}', 'bold')}"]
    return style.fit("\n".join(lines) + "\n")


def differences(before: Vector | None, after: Vector) -> tuple[str, ...]:
    """The handles of what ``after`` ships and ``before`` did not, and ``manifests``."""
    if before is None:
        return ("everything",)
    kinds: list[tuple[Mapping[str, object], Mapping[str, object]]] = [
        (before.images, after.images),
        (before.sites, after.sites),
        (before.secrets, after.secrets),
        (before.models, after.models),
    ]
    found = [key for old, new in kinds for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    return (*dict.fromkeys(found), *(("manifests",) if before.manifests != after.manifests else ()))


def _row(release: Release, before: Release | None, obstacles: tuple[str, ...], is_standing: bool) -> Row:
    return Row(
        release.number,
        release.at,
        name(release.by),
        release.commit[:12],
        release.result,
        is_standing,
        release.of,
        differences(before.vector if before else None, release.vector),
        sentence(release.reason),
        not obstacles,
        tuple(map(sentence, obstacles)),
        release.vector,
    )


def _lines(row: Row, style: Style) -> Iterator[str]:
    number = style.paint(f"{row.number:>4}", "bold")
    mark = style.paint(" <- stands", "good") if row.is_standing and row.result in {"healthy", "unproved"} else ""
    result = style.paint(WORDS[row.result], COLOURS[row.result])
    commit = f"  {row.commit}" if row.commit else ""
    back = f"  back to {row.of}" if row.of else ""
    yield f"{number}  {row.at.replace('T', ' ').removesuffix('Z')}  {row.by}{commit}  {result}{back}{mark}"
    if what := "; ".join(_shipped(row.vector)):
        yield from style.wrap(what, "      ")
    yield from style.wrap(f"changed: {', '.join(row.changed) or 'nothing'}", "      ")
    if row.reason:
        yield from style.wrap(f"because: {row.reason}", "      ")
    if row.obstacles:
        yield from style.wrap(f"cannot come back: {'; '.join(row.obstacles)}", "      ")


def _shipped(vector: Vector) -> Iterator[str]:
    """What runs and what is served: images by the hash that is their tag, else by digest."""
    for handle, built in sorted(vector.images.items()):
        yield f"image: {handle.partition('.')[2]} {built.tag or built.digest[:SHORT]}"
    for handle, digest in sorted(vector.sites.items()):
        yield f"site: {handle.partition('.')[2]} {digest[:12]}"


def _held(pins: tuple[Pin, ...], style: Style) -> Iterator[str]:
    """The parts that one rollback left, and why, once."""
    parts = ", ".join(name(pin.part) for pin in pins)
    first = pins[0]
    yield from style.wrap(f"{parts} as in release {first.left}; release {first.release} is in use instead", "  • ")
    if first.reason:
        yield from style.wrap(f"because: {sentence(first.reason)}", "    ")
