"""The story on ECS Express: shipped twice, broken, gone back, by the verbs that people type, with a real process.

The image is put together in Python, so that it takes no builder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.aws import Clients
from orchestrator.cli.main import main
from orchestrator.demo import image_assembly, python_runtime, sample
from orchestrator.emulator import container_runtime, start
from orchestrator.problems import ExitCode, Problems
from orchestrator.release.probe import Probe, http_get

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), pytest.mark.xdist_group("registry")]


@dataclass
class Shop:
    """The sample's checkout with one word changed, and what its users and its operators see."""

    checkout: Path
    layer: bytes
    clients: Clients
    capsys: pytest.CaptureFixture[str]

    def deploy(self, version: str, *, healthy: bool = True) -> tuple[int, str]:
        """Merge and deploy a version."""
        image = sample.build_image(version, self.layer, healthy=healthy)
        token = self.clients.call("ecr", "get_authorization_token", {})
        digest = image_assembly.push_image(token, sample.REPOSITORY_NAME, f"v{version}", image)
        manifests = sample.write_checkout(self.checkout, version, healthy=healthy, prebuilt=digest)
        text = (manifests / "shop.yaml").read_text()
        (manifests / "shop.yaml").write_text(text.replace("  cpu: 0.25\n", "  runtime: ecs-express\n  cpu: 0.25\n"))
        return self.type("deploy", "--auto-approve")

    def type(self, verb: str, *words: str) -> tuple[int, str]:
        """One command; its exit code and what the terminal shows."""
        self.capsys.readouterr()
        code = main([verb, "-f", str(self.checkout / "manifests"), "-e", "prod", *words])
        shown = self.capsys.readouterr()
        return code, shown.out + shown.err

    def ask(self) -> tuple[int, Any]:
        """The version that answers, where ECS says that the service does."""
        [arn] = self.clients.call("ecs", "list_services", {})["serviceArns"]
        service = self.clients.call("ecs", "describe_express_gateway_service", {"serviceArn": arn})["service"]
        endpoint = service["activeConfigurations"][-1]["ingressPaths"][0]["endpoint"]
        status, _, body = http_get(Probe("", re.sub(r"https://|/$", "", endpoint), "/version"))
        return status, json.loads(body)["version"]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shop]:
    if why := container_runtime.check_isolation():
        pytest.skip(f"needs processes with files of their own: {why}")
    try:
        python_runtime.copy_python(tmp_path / "runtime")
    except Problems as error:
        pytest.skip(f"needs a Python that can be copied: {error}")
    with start(settle_seconds=0, run_services=True) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        clients = Clients("eu-west-1")
        clients.call("ecr", "create_repository", {"repositoryName": sample.REPOSITORY_NAME})
        yield Shop(tmp_path / "checkout", image_assembly.build_layer(tmp_path / "runtime"), clients, capsys)


def test_it_is_shipped_it_breaks_and_it_comes_back(shop: Shop) -> None:
    """Users see good versions only; the report names ECS's reason, and a rollback needs no App Runner."""
    assert shop.deploy("1")[0] == ExitCode.OK
    assert shop.ask() == (200, "1")

    code, shown = shop.deploy("2")
    assert (code, "probes passed" in shown) == (ExitCode.OK, True)
    assert shop.ask() == (200, "2")

    code, shown = shop.deploy("3", healthy=False)
    assert code == ExitCode.ROLLED_BACK
    assert "Root cause: ecs_express_service.api" in shown
    assert '"GET /health HTTP/1.1" 500' in shown
    assert shop.ask() == (200, "2")

    code, shown = shop.type("rollback", "--to", "1", "--auto-approve")
    assert (code, "Rolled back to release 1" in shown) == (ExitCode.OK, True)
    assert shop.ask() == (200, "1")
    assert "release 4" in shop.type("releases")[1].lower()
