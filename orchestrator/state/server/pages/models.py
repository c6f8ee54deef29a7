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
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.access import Identity
from orchestrator.state.server.model_stores import ModelStores, ModelStoreStatus
from orchestrator.state.server.pages.environments import ENVIRONMENT_PATH, PathName, get_environment_or_404
from orchestrator.state.server.pages.formatting import Command
from orchestrator.state.server.pages.rendering import check_form_csrf, render_page
from orchestrator.state.server.request_context import CurrentOperator, CurrentReader, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute
from orchestrator.state.server.store import Store


class ModelHistory(Struct, frozen=True):
    """The versions of one model, newest first, and what its bucket shows where the service may look into it."""

    environment: str
    name: str
    versions: tuple[ModelVersion, ...]
    seen: ModelStoreStatus

    @property
    def current(self) -> ModelVersion | None:
        """The version in use: what the bucket says, after a rollback too, or else what was told last."""
        if self.seen.current:
            return next((version for version in self.versions if version.version == self.seen.current), None)
        return next((version for version in self.versions if version.current), None)

    @property
    def before(self) -> ModelVersion | None:
        current = self.current
        return next((version for version in self.versions if current and version.at < current.at), None)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of all metrics, those of the current version first."""
        return tuple(
            dict.fromkeys(name for version in (self.current, *self.versions) if version for name in version.metrics)
        )

    @property
    def alert(self) -> str:
        """Why training is needed: what the bucket shows, or what was told of the version that is current or newest."""
        if self.seen.is_readable:
            return self.seen.training_reason
        latest = self.current or self.versions[0]
        return latest.needs_training

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


def group_versions(versions: tuple[ModelVersion, ...], stores: ModelStores) -> tuple[ModelHistory, ...]:
    """The versions by environment and name, as they come."""
    groups: dict[tuple[str, str], list[ModelVersion]] = {}
    for version in versions:
        groups.setdefault((version.environment, version.name), []).append(version)
    return tuple(ModelHistory(*key, tuple(group), stores.status(key[0])) for key, group in sorted(groups.items()))


def render_models_page(request: Request, store: Store, key: str = "", problems: Problems | None = None) -> Response:
    """The models of all environments, or of one; with what is wrong with an upload."""
    stores: ModelStores = request.app.state.shelves
    values = {
        "shelves": group_versions(store.list_model_versions(key), stores),
        "key": key,
        "tab": "models" if key else "",
        "takes": [store_key for store_key in stores.storages if key in {"", store_key}],
        "problems": problems.problems if problems else (),
        "most": bundle.MAX_BYTES,
    }
    return render_page(request, "models.html", values, 422 if problems else 200)


def router() -> APIRouter:
    """``/models``, and those of one environment; the button that takes a new version."""
    routes = APIRouter(include_in_schema=False, route_class=SingleThreadRoute)

    @routes.get("/models")
    def show_all_models(request: Request, store: StoreDep, _: CurrentReader) -> Response:
        return render_models_page(request, store)

    @routes.get(ENVIRONMENT_PATH + "/models")
    def show_environment_models(
        request: Request, store: StoreDep, _: CurrentReader, project: PathName, name: PathName
    ) -> Response:
        return render_models_page(request, store, get_environment_or_404(store, project, name).key)

    @routes.post("/models/upload")
    async def upload_model(request: Request, store: StoreDep, identity: CurrentOperator) -> Response:
        async with request.form(max_files=1, max_fields=4, max_part_size=4096) as form:
            form_fields = {name: str(form.get(name, "")) for name in ("csrf", "environment", "reason")}
            check_form_csrf(identity, form_fields["csrf"])
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise HTTPException(422, "choose the file that python -m ml.upload_model --file wrote")
            return await run_in_threadpool(_publish_upload, request, store, identity, form_fields, file.file)

    return routes


def _publish_upload(
    request: Request, store: Store, identity: Identity, form_fields: Mapping[str, str], file: BinaryIO
) -> Response:
    stores: ModelStores = request.app.state.shelves
    environment = form_fields["environment"]
    try:
        metadata = stores.publish(environment, file, form_fields["reason"][:400])
    except Problems as problems:
        return render_models_page(request, store, problems=problems)
    fields = registry.build_registration(metadata, format_timestamp(store.clock()), identity.name)
    store.record_model_version(ModelVersion(environment=environment, **fields), identity.name)
    return RedirectResponse("/models", 303)
