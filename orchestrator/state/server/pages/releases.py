"""The releases of an environment: the timeline, what changed between any two, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from msgspec import Struct
from starlette.responses import Response

from orchestrator.render.release_list import WORDS
from orchestrator.state.protocol.records import ReleaseRecord
from orchestrator.state.server.pages.environments import BASE, Name, known
from orchestrator.state.server.pages.formatting import Command
from orchestrator.state.server.pages.release_comparison import Comparison, changed, compare
from orchestrator.state.server.pages.rendering import show
from orchestrator.state.server.request_context import Keeper, Reader
from orchestrator.state.server.routing import Route
from orchestrator.state.server.store import Store

SHOWN = 20
Number = Annotated[int, Query(ge=0, le=2**31 - 1, alias="from")]
Other = Annotated[int, Query(ge=0, le=2**31 - 1)]


class Entry(Struct, frozen=True):
    """One release in the timeline; ``ways`` lead back to it, none where it cannot come back or stands already."""

    record: ReleaseRecord
    result: str
    changed: tuple[str, ...]
    is_current: bool
    ways: tuple[Command, ...]


class Pair(Struct, frozen=True):
    """Two releases side by side."""

    before: ReleaseRecord
    after: ReleaseRecord
    comparison: Comparison


def timeline(records: Sequence[ReleaseRecord], current: int | None, name: str) -> tuple[Entry, ...]:
    """Newest first, as ``records`` are; each is compared with the whole release before it."""
    return tuple(_entry(record, records[place + 1 :], current, name) for place, record in enumerate(records))


def ways(name: str, number: int) -> tuple[Command, ...]:
    """How to go back to a release: to look, to do it here, to let GitHub do it."""
    return (
        Command(f"orchestrator rollback -e {name} --to {number} --plan", "see what it would change"),
        Command(f"orchestrator rollback -e {name} --to {number} --reason '...'", "do it from here"),
        Command(f"gh workflow run rollback.yml -f environment={name} -f release={number}", "let GitHub do it"),
    )


def pair(store: Store, key: str, first: int, second: int) -> Pair | None:
    """The two that were asked for, None when nobody asked.

    Raises HTTPException 404.
    """
    if not (first and second):
        return None
    found = [store.release(key, number) for number in (first, second)]
    before, after = found
    if before is None or after is None:
        raise HTTPException(404, f"{key} has no release {first if before is None else second}")
    contents = store.release_content(key, first), store.release_content(key, second)
    return Pair(before, after, compare(before.release, after.release, contents))


def _entry(record: ReleaseRecord, older: Sequence[ReleaseRecord], current: int | None, name: str) -> Entry:
    release = record.release
    before = next((one.release for one in older if one.release.is_whole), None)
    told = changed(before, release) if before or release.number == 1 else ()
    stands = release.number == current
    back = ways(name, release.number) if record.restorable and release.is_whole and not stands else ()
    return Entry(record, WORDS[release.result], told, stands, back)


def router() -> APIRouter:
    """``/e/{project}/{name}/releases``, with ``from`` and ``to`` for two of them."""
    routes = APIRouter(include_in_schema=False, route_class=Route)

    @routes.get(BASE + "/releases")
    def releases(
        request: Request,
        store: Keeper,
        _: Reader,
        project: Name,
        name: Name,
        first: Number = 0,
        to: Other = 0,
        cursor: Annotated[str, Query(max_length=200)] = "",
    ) -> Response:
        environment = known(store, project, name)
        key = environment.key
        page = store.releases(key, cursor, SHOWN + 1)
        current = environment.release.release.number if environment.release else None
        entries = timeline(page.items, current, name)[:SHOWN]
        more = store.releases(key, cursor, SHOWN).cursor if len(page.items) > SHOWN else ""
        values = {"entries": entries, "pair": pair(store, key, first, to), "more": more, "current": current}
        return show(request, "releases.html", {**values, "key": key, "tab": "releases", "cursor": cursor})

    return routes
