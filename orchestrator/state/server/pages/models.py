"""The models of every environment: versions, how good they are, which is current, and whether training is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from fastapi import APIRouter, HTTPException, Request
from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from orchestrator.model_registry import bundle, registry
from orchestrator.problems import Problems
from orchestrator.state.protocol.records import ModelVersion
from orchestrator.state.protocol.timestamps import stamp
from orchestrator.state.server.access import Identity
from orchestrator.state.server.model_stores import Seen, Shelves
from orchestrator.state.server.pages.environments import BASE, Name, known
from orchestrator.state.server.pages.formatting import Command
from orchestrator.state.server.pages.rendering import by_hand, show
from orchestrator.state.server.request_context import Keeper, Operator, Reader
from orchestrator.state.server.routing import Route
from orchestrator.state.server.store import Store


class Shelf(Struct, frozen=True):
    """The versions of one model, newest first, and what its bucket shows where the service may look into it."""

    environment: str
    name: str
    versions: tuple[ModelVersion, ...]
    seen: Seen

    @property
    def current(self) -> ModelVersion | None:
        """The version in use: what the bucket says, after a rollback too, or else what was told last."""
        if self.seen.current:
            return next((one for one in self.versions if one.version == self.seen.current), None)
        return next((one for one in self.versions if one.current), None)

    @property
    def before(self) -> ModelVersion | None:
        current = self.current
        return next((one for one in self.versions if current and one.at < current.at), None)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics, those of the current version first."""
        return tuple(dict.fromkeys(name for one in (self.current, *self.versions) if one for name in one.metrics))

    @property
    def alert(self) -> str:
        """Why training is needed: what the bucket shows, or what was told of the version that is current or newest."""
        if self.seen.told:
            return self.seen.why
        one = self.current or self.versions[0]
        return one.needs_training

    @property
    def ways(self) -> tuple[Command, ...]:
        """From photos to the shop."""
        name = self.environment.partition("/")[2]
        return (
            Command(f"orchestrator model status -e {name}", "which photos the current model has not seen"),
            Command("python -m ml.train_model", "train"),
            Command(f"python -m ml.validate_model runs/VERSION -e {name}", "measure it on photos it has not seen"),
            Command(f"python -m ml.upload_model runs/VERSION -e {name}", "upload it and switch to it"),
        )


def shelves(versions: tuple[ModelVersion, ...], places: Shelves) -> tuple[Shelf, ...]:
    """The versions by environment and name, as they come."""
    found: dict[tuple[str, str], list[ModelVersion]] = {}
    for one in versions:
        found.setdefault((one.environment, one.name), []).append(one)
    return tuple(Shelf(*key, tuple(group), places.look(key[0])) for key, group in sorted(found.items()))


def page(request: Request, store: Store, key: str = "", problems: Problems | None = None) -> Response:
    """The models of all environments, or of one; with what is wrong with an upload."""
    places: Shelves = request.app.state.shelves
    values = {
        "shelves": shelves(store.models(key), places),
        "key": key,
        "tab": "models" if key else "",
        "takes": [one for one in places.storages if key in {"", one}],
        "problems": problems.problems if problems else (),
        "most": bundle.MOST_BYTES,
    }
    return show(request, "models.html", values, 422 if problems else 200)


def router() -> APIRouter:
    """``/models``, and those of one environment; the button that takes a new version."""
    routes = APIRouter(include_in_schema=False, route_class=Route)

    @routes.get("/models")
    def everywhere(request: Request, store: Keeper, _: Reader) -> Response:
        return page(request, store)

    @routes.get(BASE + "/models")
    def here(request: Request, store: Keeper, _: Reader, project: Name, name: Name) -> Response:
        return page(request, store, known(store, project, name).key)

    @routes.post("/models/upload")
    async def upload(request: Request, store: Keeper, identity: Operator) -> Response:
        async with request.form(max_files=1, max_fields=4, max_part_size=4096) as form:
            words = {name: str(form.get(name, "")) for name in ("csrf", "environment", "reason")}
            by_hand(identity, words["csrf"])
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise HTTPException(422, "choose the file that python -m ml.upload_model --file wrote")
            return await run_in_threadpool(_take, request, store, identity, words, file.file)

    return routes


def _take(request: Request, store: Store, identity: Identity, words: Mapping[str, str], file: BinaryIO) -> Response:
    places: Shelves = request.app.state.shelves
    environment = words["environment"]
    try:
        taken = places.take(environment, file, words["reason"][:400])
    except Problems as problems:
        return page(request, store, problems=problems)
    told = registry.registered(taken, stamp(store.clock()), identity.name)
    store.record_model(ModelVersion(environment=environment, **told), identity.name)
    return RedirectResponse("/models", 303)
