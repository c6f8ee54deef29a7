"""A ContainerService whose image is built here: deployed by digest, and kept as long as releases need it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.artefacts import Artefacts, Image
from orchestrator.manifest import expand
from orchestrator.planning import pipeline
from orchestrator.values import Ref
from orchestrator.vocabulary import Resource
from tests.components import manifest_stacks
from tests.components.container_services import IMAGE, list_problems, make_service

BUILD = "image: {repository: shop-api, build: {context: api, resolveBases: false}}"
RELEASES = """\
apiVersion: orchestrator/v1
kind: Project
metadata: { name: shop }
spec:
  repository: shop/web
  region: eu-west-1
  account: "123456789012"
  releases: { bucket: bucket.releases }
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "Dockerfile").write_text("FROM python:3.13-slim\nCOPY . /app\n")
    return tmp_path


def made(checkout: Path, spec: str = BUILD, *more: str) -> dict[str, Resource]:
    return manifest_stacks.load_resources(
        checkout, manifest_stacks.make_document("ContainerService", "api", spec), *more
    )


def test_it_is_deployed_by_the_digest_of_what_was_built(checkout: Path) -> None:
    """The image comes after its repository; the service refers to it and is told which build it is."""
    resources = made(checkout)
    image, running = resources["ecr_image.api"], resources["apprunner_service.api"].spec

    assert image.physical == f"shop-api:{image.spec['tag']}"
    assert image.depends_on == {"ecr_repository.api"}
    assert running["image"] == Ref("ecr_image.api", "reference")
    assert running["environment"] == {"ORCHESTRATOR_RELEASE": image.spec["tag"]}
    assert (running["image_repository_type"], running["access_role"]) == ("ECR", Ref("iam_role.api-registry", "arn"))


def test_paths_are_relative_to_the_manifest(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the command is run."""
    before = made(checkout)["ecr_image.api"].physical
    monkeypatch.chdir("/")

    assert made(checkout)["ecr_image.api"].physical == before


def test_an_image_of_a_release_is_taken_by_its_digest_and_never_built(checkout: Path) -> None:
    """Going back asks neither for the checkout of then nor for a builder."""
    made(checkout)
    manifest = pipeline.validate(checkout, "prod")
    images = {"containerservice.api": Image("3f2a91", digest="sha256:d")}
    resources = {one.address: one for one in expand.expand(manifest, Artefacts(images=images)).resources}

    assert dict(resources["ecr_image.api"].spec) == {"repository": "shop-api", "tag": "3f2a91", "digest": "sha256:d"}
    assert resources["apprunner_service.api"].spec["environment"] == {"ORCHESTRATOR_RELEASE": "3f2a91"}


def test_a_prebuilt_image_is_taken_as_it_is(checkout: Path) -> None:
    """Nothing is built, and the service is told nothing."""
    resources = made(checkout, f"image: {{prebuilt: '{IMAGE}'}}")

    assert "ecr_image.api" not in resources
    assert resources["apprunner_service.api"].spec["environment"] == {}


def test_a_context_with_git_in_it_is_noted(checkout: Path) -> None:
    """Each commit would be a new image; with a word in .dockerignore it is not, and nothing is said."""
    (checkout / "api" / ".git").mkdir()
    document = manifest_stacks.make_document("ContainerService", "api", BUILD)
    noted = manifest_stacks.load_desired(checkout, document).notes
    (checkout / "api" / ".dockerignore").write_text(".git\n")

    assert [".dockerignore" in note for note in noted] == [True]
    assert manifest_stacks.load_desired(checkout, document).notes == ()


@pytest.mark.parametrize(
    ("project", "sbom", "kept"),
    [
        (manifest_stacks.PROJECT, True, ["tagged"]),
        (manifest_stacks.PROJECT, False, ["untagged", "tagged"]),
        (RELEASES, True, []),
        (RELEASES, False, ["untagged"]),
    ],
)
def test_no_rule_of_ecr_takes_what_a_release_may_need(
    checkout: Path, project: str, sbom: bool, kept: list[str]
) -> None:
    """With releases, no tagged image expires by itself; without, the manifest's number of them is kept.

    SBOMs of live images have no tag, and ECR counts them as images (containers-roadmap issue 2613).
    """
    bucket = manifest_stacks.make_document("Bucket", "releases", "{name: shop-releases, versioning: true}")
    service = BUILD if sbom else BUILD.replace("build: {", "build: {sbom: false, ")
    assert (service == BUILD) is sbom
    text = "---\n".join([project, manifest_stacks.make_document("ContainerService", "api", service), bucket])
    (checkout / "stack.yaml").write_text(text)
    resources = {resource.address: resource for resource in pipeline.load_desired(checkout, "prod").resources}
    policy = resources["ecr_repository.api"].spec["lifecycle"] or {"rules": []}

    assert [rule["selection"]["tagStatus"] for rule in policy["rules"]] == kept
    build = resources["ecr_image.api"].spec["build"].value
    assert build["keep_layers"] == ("tagged" not in kept), "the tags of layers would count"


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ({"repository": "x"}, ("spec.image", "neither `build` nor `prebuilt`")),
        (
            {"repository": "x", "build": {"context": "."}, "prebuilt": IMAGE},
            ("spec.image.prebuilt", "both `build` and `prebuilt`"),
        ),
        ({"build": {"context": "."}}, ("spec.image.build", "requires spec.image.repository")),
    ],
)
def test_an_image_is_built_or_named(image: dict[str, Any], problem: tuple[str, str]) -> None:
    """One of the two, and what is built is pushed somewhere."""
    [(path, sentence)] = list_problems(make_service(image=image))

    assert (path, problem[1] in sentence) == (problem[0], True), sentence


def test_the_variable_that_names_the_build_is_ours() -> None:
    """What the manifest says under that name would be lost."""
    image = {"repository": "x", "build": {"context": "."}}

    assert [
        path for path, _ in list_problems(make_service(image=image, environment={"ORCHESTRATOR_RELEASE": "1"}))
    ] == ["spec.environment.ORCHESTRATOR_RELEASE"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With its name."""
    document = manifest_stacks.make_document("ContainerService", "api", BUILD)

    assert manifest_stacks.list_problems(tmp_path, document) == [
        "cannot read the Dockerfile: No such file or directory"
    ]
