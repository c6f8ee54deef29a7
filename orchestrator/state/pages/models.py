"""The models of every environment: versions, how good they are, which is current, and whether training is needed."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.state.gate import Keeper, Reader
from orchestrator.state.pages.environments import BASE, Name, known
from orchestrator.state.pages.rendering import show
from orchestrator.state.pages.wording import Command
from orchestrator.state.records import ModelVersion


@dataclass(frozen=True, slots=True)
class Shelf:
    """The versions of one model, newest first; ``before`` is the version to measure the current one by."""

    environment: str
    name: str
    versions: tuple[ModelVersion, ...]

    @property
    def current(self) -> ModelVersion | None:
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
        """Why training is needed: what the current version says, or the newest where none is current."""
        one = self.current or self.versions[0]
        return one.needs_training

    @property
    def ways(self) -> tuple[Command, ...]:
        """From photos to the shop."""
        name = self.environment.partition("/")[2]
        return (
            Command(f"orchestrator model status -e {name}", "which photos the current model has not seen"),
            Command("python -m ml.train_model", "train"),
            Command("python -m ml.validate_model", "measure it on photos that no training has seen"),
            Command("python -m ml.upload_model", "upload it and switch to it"),
        )


def shelves(versions: tuple[ModelVersion, ...]) -> tuple[Shelf, ...]:
    """The versions by environment and name, as they come."""
    found: dict[tuple[str, str], list[ModelVersion]] = {}
    for one in versions:
        found.setdefault((one.environment, one.name), []).append(one)
    return tuple(Shelf(*key, tuple(group)) for key, group in sorted(found.items()))


def router() -> APIRouter:
    """``/models``, and those of one environment."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/models")
    def everywhere(request: Request, store: Keeper, _: Reader) -> Response:
        return show(request, "models.html", {"shelves": shelves(store.models()), "key": "", "tab": ""})

    @routes.get(BASE + "/models")
    def here(request: Request, store: Keeper, _: Reader, project: Name, name: Name) -> Response:
        key = known(store, project, name).key
        return show(request, "models.html", {"shelves": shelves(store.models(key)), "key": key, "tab": "models"})

    return routes
