"""Show the model versions of every environment and accept uploads of new ones."""

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

METRIC_LABELS = {
    "top1": "Top-1 accuracy",
    "top3": "Top-3 accuracy",
    "ece": "Calibration error",
}
"""Metrics in words; others are shown by their names."""


class ModelHistory(Struct, frozen=True):
    """The versions of one model, newest first, and the status of its bucket if the service can read it."""

    environment: str
    name: str
    versions: tuple[ModelVersion, ...]
    store_status: ModelStoreStatus

    @property
    def current(self) -> ModelVersion | None:
        """Return the current version: the one the bucket points to, else the one last reported as current."""
        if self.store_status.current:
            return next((version for version in self.versions if version.version == self.store_status.current), None)
        return next((version for version in self.versions if version.current), None)

    @property
    def before(self) -> ModelVersion | None:
        current = self.current
        return next((version for version in self.versions if current and version.at < current.at), None)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the names of all metrics, those of the current version first."""
        return tuple(
            dict.fromkeys(name for version in (self.current, *self.versions) if version for name in version.metrics)
        )

    @property
    def alert(self) -> str:
        """Return why training is needed, "" if it is not: by the bucket, else by the current or newest version."""
        if self.store_status.is_readable:
            return self.store_status.training_reason
        latest = self.current or self.versions[0]
        return latest.needs_training

    @property
    def commands(self) -> tuple[Command, ...]:
        """Return the commands that train, validate and publish a new version."""
        name = self.environment.partition("/")[2]
        return (
            Command(f"orchestrator model status -e {name}", "Compare the current model with the photos in the bucket"),
            Command(f"python -m ml.download_photos -e {name}", "Download the new photos"),
            Command("python -m ml.train_model", "Train a new version"),
            Command(
                f"python -m ml.validate_model runs/VERSION -e {name}",
                "Validate the new version on photos that were not used for training",
            ),
            Command(
                f"python -m ml.upload_model runs/VERSION -e {name}",
                "Upload the new version and make it the current version",
            ),
            Command(f"orchestrator model use VERSION -e {name}", "Switch to another uploaded version"),
        )


def group_versions(versions: tuple[ModelVersion, ...], stores: ModelStores) -> tuple[ModelHistory, ...]:
    """Group versions by environment and name, keeping their order."""
    groups: dict[tuple[str, str], list[ModelVersion]] = {}
    for version in versions:
        groups.setdefault((version.environment, version.name), []).append(version)
    return tuple(ModelHistory(*key, tuple(group), stores.status(key[0])) for key, group in sorted(groups.items()))


def render_models_page(request: Request, store: Store, key: str = "", problems: Problems | None = None) -> Response:
    """Return the models page of one environment, or of all if ``key`` is "", with the problems of an upload."""
    stores: ModelStores = request.app.state.model_stores
    values = {
        "models": group_versions(store.list_model_versions(key), stores),
        "key": key,
        "tab": "models" if key else "",
        "upload_environments": [store_key for store_key in stores.storages if key in {"", store_key}],
        "problems": problems.problems if problems else (),
        "max_upload_bytes": bundle.MAX_BYTES,
        "metric_labels": METRIC_LABELS,
    }
    return render_page(request, "models.html", values, 422 if problems else 200)


def create_router() -> APIRouter:
    """Return the routes of the models pages and of the upload form."""
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
                raise HTTPException(
                    422, "no file chosen: choose the file that `python -m ml.upload_model --file` wrote"
                )
            return await run_in_threadpool(_publish_upload, request, store, identity, form_fields, file.file)

    return routes


def _publish_upload(
    request: Request, store: Store, identity: Identity, form_fields: Mapping[str, str], file: BinaryIO
) -> Response:
    stores: ModelStores = request.app.state.model_stores
    environment = form_fields["environment"]
    try:
        metadata = stores.publish(environment, file, form_fields["reason"][:400])
    except Problems as problems:
        return render_models_page(request, store, problems=problems)
    fields = registry.build_registration(metadata, format_timestamp(store.clock()), identity.name)
    store.record_model_version(ModelVersion(environment=environment, **fields), identity.name)
    return RedirectResponse("/models", 303)
