"""The image of the service and the manifest that deploys it, as far as they can be held without a registry."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.state.server.startup import load_settings
from tests.state.server_process import ORCHESTRATOR_PATH, run_server

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
EXAMPLE = ROOT / "docs" / "state-service"
LINES = [line.split(None, 1) for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]


def told(word: str) -> list[str]:
    return [rest for name, rest in LINES if name == word]


def command(text: str) -> list[str]:
    """A command in the form that no shell sees."""
    made: list[str] = json.loads(text[text.index("[") :])
    return made


def test_what_runs_is_not_root_and_not_the_builder() -> None:
    """Two stages of one base; the last one has a user and takes nothing but what was installed."""
    last = LINES[max(place for place, line in enumerate(LINES) if line[0] == "FROM") :]

    assert len(told("FROM")) == 2
    assert [rest for name, rest in last if name == "USER"] == ["10001:10001"]
    assert [rest for name, rest in last if name == "COPY"] == ["--from=build /app /app"]
    bases = {re.sub(r" AS \w+$", "", rest) for rest in told("FROM")}
    assert len(bases) == 1
    assert re.fullmatch(r"docker\.io/library/python:3\.13-slim@sha256:[0-9a-f]{64}", bases.pop())


def test_packages_are_held_to_their_hashes() -> None:
    """Every install is either of the lock file or of what is here; nothing is resolved in between."""
    installs = [part for rest in told("RUN") for part in rest.split("&&") if "pip install" in part]

    assert len(installs) == 2
    assert all("--no-deps" in one for one in installs)
    assert "--require-hashes --only-binary :all:" in installs[0]
    assert installs[0].split()[-1] == "requirements/service.lock"


def test_the_context_holds_what_is_copied_and_little_else() -> None:
    """What is copied is there and not ignored; git, environments and tests stay outside."""
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    kept = {line[1:] for line in ignored if line.startswith("!")}
    copied = {word for rest in told("COPY") if "--from" not in rest for word in rest.split()[:-1]}

    assert ignored[0] == "*"
    assert copied == kept
    assert [one for one in copied if not (ROOT / one).exists()] == []
    assert not [one for one in (".git", ".venv", "tests", ".env") if any(fnmatch.fnmatch(one, keep) for keep in kept)]


def test_its_command_is_one_of_ours() -> None:
    asked = command(told("CMD")[0])
    done = subprocess.run([ORCHESTRATOR_PATH, *asked[1:], "--help"], capture_output=True, text=True, check=False)

    assert asked[0] == "orchestrator"
    assert done.returncode == 0
    assert "Run the state service" in done.stdout


def test_it_refuses_to_be_open_to_strangers() -> None:
    """The image listens to others, so its settings alone are not enough to start it."""
    settings = dict(re.findall(r"(State__\w+)=(\S+)", told("ENV")[0]))

    assert settings["State__Host"] == "0.0.0.0"
    with pytest.raises(Problems, match="no authentication is configured"):
        load_settings(settings)
    assert load_settings({**settings, "State__ProxySecret": "x"}).port == 8080


def test_its_health_check_tells_life_from_death(tmp_path: Path) -> None:
    """The very command, against a service that runs and after it is gone."""
    check = command(told("HEALTHCHECK")[0])[1:]
    with run_server(f"sqlite:///{tmp_path}/state.db", tmp_path) as service:
        environ = {**os.environ, "State__Port": service.address.rpartition(":")[2]}
        alive = subprocess.run([sys.executable, *check], env=environ, capture_output=True, check=False)
        service.kill()
        dead = subprocess.run([sys.executable, *check], env=environ, capture_output=True, check=False)

    assert alive.returncode == 0, alive.stderr
    assert dead.returncode == 1


def test_the_orchestrator_can_deploy_it() -> None:
    """The example is valid, and becomes a service that is asked for its health and told where its database is."""
    done = subprocess.run([ORCHESTRATOR_PATH, "validate", "-f", EXAMPLE], capture_output=True, text=True, check=False)
    desired = {
        one.address: one.spec for one in pipeline.load_desired(EXAMPLE, "prod", include_artefacts=False).resources
    }

    assert done.returncode == 0, done.stdout + done.stderr
    assert {"ecs_express_service.service", "rds_instance.main", "ecr_repository.service"} <= desired.keys()
    assert "/healthz" in str(desired["ecs_express_service.service"])
    assert "State__Database" in str(desired["ecs_express_service.service"])
