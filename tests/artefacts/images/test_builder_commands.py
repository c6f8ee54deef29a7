"""Which builder is taken, and what it is told: every program is asked for the same image, in its own words."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.artefacts.images import builder_commands
from orchestrator.artefacts.images.build_inputs import Recipe
from orchestrator.artefacts.images.builder_commands import BuildJob, BuildTool

NAME = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop-api:3f2a91"
CACHE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop-api:0a1b2c"
LAYERS = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop-api"
BUILDX, DOCKER, BUILDAH, PODMAN = (
    BuildTool("docker", has_buildx=True),
    BuildTool("docker"),
    BuildTool("buildah"),
    BuildTool("podman"),
)
RECIPE = Recipe(
    Path("/checkout/api"),
    Path("/checkout/api/Dockerfile"),
    {"VERSION": "2", "COLOUR": "red"},
    target="final",
    platform="linux/arm64",
)


def work(folder: Path, *, pull: bool = False) -> BuildJob:
    labels = {"org.opencontainers.image.revision": "c0ffee"}
    return BuildJob(
        NAME, folder, folder / "ignore", labels, cache_image=CACHE, should_pull=pull, layer_repository=LAYERS
    )


@pytest.mark.parametrize("tool", [BUILDX, DOCKER, BUILDAH, PODMAN], ids=["buildx", "docker", "buildah", "podman"])
def test_each_is_told_all_of_the_recipe(tool: BuildTool, tmp_path: Path) -> None:
    said = " ".join(builder_commands.build_command(tool, RECIPE, work(tmp_path, pull=True)))

    assert said.startswith(f"{tool.name} build")
    assert said.endswith(" /checkout/api")
    for words in (
        "--file /checkout/api/Dockerfile",
        "--platform linux/arm64",
        f"--tag {NAME}",
        "--build-arg COLOUR=red --build-arg VERSION=2",
        "--label org.opencontainers.image.revision=c0ffee",
        "--target final",
        "--pull",
    ):
        assert f" {words} " in said, words


def test_buildx_takes_layers_from_the_registry_and_leaves_its_own_there(tmp_path: Path) -> None:
    """One manifest without an index, so that the digest pushed is the digest deployed."""
    said = builder_commands.build_command(BUILDX, RECIPE, work(tmp_path))

    assert said[:4] == ["docker", "buildx", "build", "--load"]
    assert said[said.index("--cache-from") + 1] == f"type=registry,ref={CACHE}"
    assert said[said.index("--cache-to") + 1] == "type=inline"
    assert {"--provenance=false", "--sbom=false"} <= set(said)
    assert "--pull" not in said


@pytest.mark.parametrize("tool", [BUILDAH, PODMAN], ids=["buildah", "podman"])
def test_the_others_keep_the_health_check_and_read_the_login_from_a_file(tool: BuildTool, tmp_path: Path) -> None:
    """Docker's format has HEALTHCHECK, the other one has not."""
    said = " ".join(builder_commands.build_command(tool, RECIPE, work(tmp_path)))
    pushed = " ".join(builder_commands.push_command(tool, work(tmp_path)))

    assert "--format docker --layers --force-rm" in said
    assert f"--cache-from {LAYERS} --cache-to {LAYERS}" in said
    assert "--tls-verify" not in said
    assert f"--ignorefile {tmp_path / 'ignore'}" in said
    for command in (said, pushed):
        assert f"--authfile {tmp_path / 'config.json'}" in command
    assert f"--digestfile {tmp_path / 'digest'}" in pushed
    assert pushed.endswith(f"{NAME} docker://{NAME}")
    assert builder_commands.push_command(BUILDX, work(tmp_path)) == ["docker", "push", NAME]


def test_each_writes_what_it_built_in_the_same_format(tmp_path: Path) -> None:
    """To a file in the private folder, which is gone with it."""
    archive = tmp_path / "image.tar"

    assert builder_commands.export_command(BUILDX, work(tmp_path)) == ["docker", "save", "--output", str(archive), NAME]
    assert builder_commands.export_command(BUILDAH, work(tmp_path))[-2:] == [NAME, f"docker-archive:{archive}"]
    assert builder_commands.export_command(PODMAN, work(tmp_path))[2:4] == ["--format", "docker-archive"]


def program(folder: Path, name: str, script: str) -> None:
    """A stand-in on PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("docker", "others", "found"),
    [
        ("exit 0", ("buildah",), BUILDX),
        ('[ "$1" = info ]', ("buildah",), DOCKER),
        ("exit 1", ("buildah", "podman"), BUILDAH),
        ("exit 1", ("podman",), PODMAN),
        (None, ("podman",), PODMAN),
    ],
    ids=["buildx", "no buildx", "no daemon", "no daemon, podman", "no docker"],
)
def test_the_first_that_works_is_taken(
    docker: str | None, others: tuple[str, ...], found: BuildTool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A docker client without its daemon builds nothing."""
    monkeypatch.delenv(builder_commands.BUILDER_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name, script in [*([("docker", docker)] if docker else []), *((one, "exit 0") for one in others)]:
        program(tmp_path / "bin", name, script)

    assert builder_commands.find_builder() == found
    if len(others) == 1:
        monkeypatch.setenv(builder_commands.BUILDER_VARIABLE, others[0])
        assert builder_commands.find_builder() == BuildTool(others[0])


@pytest.mark.parametrize("tool", [BUILDX, DOCKER, BUILDAH, PODMAN], ids=["buildx", "docker", "buildah", "podman"])
def test_a_rebuild_runs_every_instruction_again(tool: BuildTool, tmp_path: Path) -> None:
    """buildah and podman refuse ``--layers`` together with ``--no-cache``."""
    job = replace(work(tmp_path), cache_image=None, layer_repository=None)
    said = builder_commands.build_command(tool, replace(RECIPE, without_cache=True), job)

    assert "--no-cache" in said
    assert not {"--layers", "--cache-from"} & set(said)
