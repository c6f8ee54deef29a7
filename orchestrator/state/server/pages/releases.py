"""Show the releases of an environment, compare two of them, and show how to roll back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from msgspec import Struct
from starlette.responses import Response

from orchestrator.render import workflow_dispatch
from orchestrator.render.release_list import RESULT_LABELS
from orchestrator.state.protocol.records import ReleaseRecord
from orchestrator.state.server.pages.environments import ENVIRONMENT_PATH, PathName, get_environment_or_404
from orchestrator.state.server.pages.formatting import Command
from orchestrator.state.server.pages.release_comparison import ReleaseComparison, compare_releases, list_changed_parts
from orchestrator.state.server.pages.rendering import render_page
from orchestrator.state.server.request_context import CurrentReader, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute
from orchestrator.state.server.store import Store

PAGE_SIZE = 20
FromNumber = Annotated[int, Query(ge=0, le=2**31 - 1, alias="from")]
ToNumber = Annotated[int, Query(ge=0, le=2**31 - 1)]


class TimelineEntry(Struct, frozen=True):
    """One release in the timeline; ``commands`` roll back to it, empty if it is current or cannot be restored."""

    record: ReleaseRecord
    result: str
    label: str
    changed: tuple[str, ...]
    is_current: bool
    commands: tuple[Command, ...]


class ReleasePair(Struct, frozen=True):
    """Two releases side by side."""

    before: ReleaseRecord
    after: ReleaseRecord
    comparison: ReleaseComparison


def build_timeline(records: Sequence[ReleaseRecord], current: int | None, name: str) -> tuple[TimelineEntry, ...]:
    """Return the timeline, newest first; compares each release with the complete release before it."""
    return tuple(_build_entry(record, records[index + 1 :], current, name) for index, record in enumerate(records))


def rollback_commands(name: str, number: int) -> tuple[Command, ...]:
    """Return the commands that roll back to a release: plan, from here, with GitHub."""
    return (
        Command(f"orchestrator rollback -e {name} --to {number} --plan", "Preview the changes"),
        Command(f"orchestrator rollback -e {name} --to {number} --reason '...'", "Roll back from this machine"),
        Command(workflow_dispatch.format_command("rollback", name, release=number), "Roll back with GitHub Actions"),
    )


def load_release_pair(store: Store, key: str, first: int, second: int) -> ReleasePair | None:
    """Return the two selected releases, None if none are selected.

    Raises HTTPException 404 if one does not exist.
    """
    if not (first and second):
        return None
    records = [store.get_release(key, number) for number in (first, second)]
    before, after = records
    if before is None or after is None:
        raise HTTPException(404, f"{key} has no release {first if before is None else second}")
    contents = store.get_release_content(key, first), store.get_release_content(key, second)
    return ReleasePair(before, after, compare_releases(before.release, after.release, contents))


def _build_entry(
    record: ReleaseRecord, older: Sequence[ReleaseRecord], current: int | None, name: str
) -> TimelineEntry:
    release = record.release
    before = next((record_before.release for record_before in older if record_before.release.is_complete), None)
    changed_parts = list_changed_parts(before, release) if before or release.number == 1 else ()
    is_current = release.number == current
    commands = (
        rollback_commands(name, release.number) if record.restorable and release.is_complete and not is_current else ()
    )
    return TimelineEntry(record, release.result, RESULT_LABELS[release.result], changed_parts, is_current, commands)


def create_router() -> APIRouter:
    """Return the route of the releases page; ``from`` and ``to`` select two releases to compare."""
    routes = APIRouter(include_in_schema=False, route_class=SingleThreadRoute)

    @routes.get(ENVIRONMENT_PATH + "/releases")
    def show_releases(
        request: Request,
        store: StoreDep,
        _: CurrentReader,
        project: PathName,
        name: PathName,
        first: FromNumber = 0,
        to: ToNumber = 0,
        cursor: Annotated[str, Query(max_length=200)] = "",
    ) -> Response:
        environment = get_environment_or_404(store, project, name)
        key = environment.key
        page = store.list_releases(key, cursor, PAGE_SIZE + 1)
        current = environment.release.release.number if environment.release else None
        entries = build_timeline(page.items, current, name)[:PAGE_SIZE]
        next_cursor = store.list_releases(key, cursor, PAGE_SIZE).cursor if len(page.items) > PAGE_SIZE else ""
        values = {
            "entries": entries,
            "pair": load_release_pair(store, key, first, to),
            "next_cursor": next_cursor,
            "current": current,
        }
        return render_page(request, "releases.html", {**values, "key": key, "tab": "releases", "cursor": cursor})

    return routes
