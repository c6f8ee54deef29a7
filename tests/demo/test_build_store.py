"""Where the demo has its image built, and why it is put together elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.demo import build_store

FAILS = "echo trying; echo 'Error: no namespaces here'; exit 1"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any builder; what is put here is one."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("ORCHESTRATOR_BUILDER", raising=False)
    return tmp_path / "bin"


def program(machine: Path, name: str, script: str) -> None:
    (machine / name).write_text(f"#!/bin/sh\n{script}\n")
    (machine / name).chmod(0o755)


def test_a_builder_that_works_keeps_its_images_in_a_store_that_goes(machine: Path, tmp_path: Path) -> None:
    """Only for as long as it is needed; what the surroundings said before, they say again."""
    program(machine, "buildah", FAILS)
    program(machine, "podman", "exit 0")
    environ = {"BUILDAH_ISOLATION": "oci"}
    with build_store.open_build_store(environ, tmp_path) as (builder, why):
        store = Path(environ["CONTAINERS_STORAGE_CONF"])
        assert (builder, why, store.exists()) == ("podman", "", True)
        assert (environ["ORCHESTRATOR_BUILDER"], store.is_relative_to(tmp_path)) == ("podman", True)

    assert (environ, store.exists()) == ({"BUILDAH_ISOLATION": "oci"}, False)


@pytest.mark.parametrize(
    ("chosen", "script", "sentence"),
    [
        ("", "", "neither buildah nor podman is installed"),
        ("", FAILS, "buildah is installed but cannot build (Error: no namespaces here)"),
        ("docker", "exit 0", "ORCHESTRATOR_BUILDER is docker"),
    ],
    ids=["none", "one that may not", "another is wanted"],
)
def test_without_one_it_says_why(machine: Path, tmp_path: Path, chosen: str, script: str, sentence: str) -> None:
    if script:
        program(machine, "buildah", script)
    environ = {"ORCHESTRATOR_BUILDER": chosen} if chosen else {}
    before = dict(environ)
    with build_store.open_build_store(environ, tmp_path) as found:
        assert found == ("", sentence)
    assert environ == before
