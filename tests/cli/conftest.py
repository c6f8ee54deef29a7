"""A small stack, and an AWS that the command line finds the way it finds the real one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator, start
from tests.proofs import real_stack
from tests.proofs.real_stack import clients

if TYPE_CHECKING:
    from tests.cli.state_service import RunningService

MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: team/shop, region: eu-west-1, account: "123456789012"}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: shop-files, versioning: true}
"""


@dataclass(frozen=True)
class Shown:
    """What one command line did."""

    code: int
    out: str
    err: str


Run = Callable[..., Shown]
ByHand = Callable[..., Any]


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """One bucket, in a folder of its own."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "shop.yaml").write_text(MANIFESTS)
    return folder


@pytest.fixture(scope="session")
def shared() -> Iterator[Emulator]:
    """One emulator a worker: starting is the slow part."""
    with start() as running:
        yield running


@pytest.fixture
def aws(shared: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """An empty AWS, found through the environment as any AWS is."""
    from orchestrator.emulator import Faults

    shared.reset()
    shared.faults = Faults()
    shared.clear_calls()
    for name, value in shared.environment.items():
        monkeypatch.setenv(name, value)
    return shared


def add_express_service(folder: Path) -> None:
    text = (folder / "api.yaml").read_text().replace("name: api", "name: jobs")
    (folder / "jobs.yaml").write_text(
        text.replace("app-runner", "ecs-express").replace("joiabagur-api", "joiabagur-jobs")
    )


EVERY_TYPE = (
    add_express_service,
    real_stack.replace_text("api.yaml", ("  port: 8080\n", "  port: 8080\n  tracing: true\n")),
    real_stack.replace_text("database.yaml", ("  pool:\n", "  parameters: {work_mem: 8192}\n  pool:\n")),
    real_stack.replace_text("cdn.yaml", ("securityHeaders: true", "securityHeaders: {frames: DENY}")),
)
"""Edits after which the real stack has a resource of every type, and a service on each runtime."""


@pytest.fixture(scope="session")
def whole_aws() -> Iterator[Emulator]:
    """The AWS of ``whole_stack``; tests that use it are in the group ``whole-stack``, so that one worker has it."""
    with real_stack.emulated_aws() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def whole_stack(whole_aws: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifests of the real stack, applied: `api` on App Runner, `jobs` on ECS Express.  Tests only read it."""
    folder = tmp_path_factory.mktemp("whole") / "manifests"
    with real_stack.aws_environment(whole_aws):
        real_stack.apply(real_stack.load_stack(folder, *EVERY_TYPE))
    return folder


@pytest.fixture
def stack(whole_aws: Emulator, whole_stack: Path) -> Iterator[Path]:
    """The manifests of the whole stack, with its AWS in the environment."""
    with real_stack.aws_environment(whole_aws):
        yield whole_stack


@pytest.fixture
def run(manifests: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a verb on the small stack, in this process."""

    def verb(name: str, *arguments: str) -> Shown:
        capsys.readouterr()
        code = main([name, *arguments, "-f", str(manifests)])
        return Shown(code, *capsys.readouterr())

    return verb


@pytest.fixture
def by_hand(aws: Emulator) -> Callable[..., Any]:
    """Call AWS beside the orchestrator, as a colleague in the console would."""
    return lambda service, operation, **parameters: clients().call(service, operation, parameters)


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """What a command line sets for its process ends with the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    """A state service that knows nothing yet, and which every run finds."""
    from tests.cli import state_service

    monkeypatch.chdir(tmp_path)
    with state_service.run_service(tmp_path) as (made, token):
        monkeypatch.setenv("ORCHESTRATOR_STATE_URL", made.address)
        monkeypatch.setenv("ORCHESTRATOR_STATE_TOKEN", token)
        yield made
