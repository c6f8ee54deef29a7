"""A real image, built by a real builder, pushed to a real registry, and deployed by the digest it has there."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator import shell
from orchestrator.artefacts.images import builder, builder_commands, registry_login
from orchestrator.artefacts.images.build_inputs import Recipe, compute_tag
from orchestrator.artefacts.images.built_image import BuiltImage, BuiltImages
from orchestrator.aws import Clients
from orchestrator.emulator import Emulator, start
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.problems import Problems
from orchestrator.release.checkout import from_manifest
from orchestrator.vocabulary import Action, Actuation
from tests import performed_calls
from tests.artefacts.images.builder_store import use_private_store

pytestmark = [
    pytest.mark.xdist_group("registry"),
    pytest.mark.skipif(shell.which("buildah") is None, reason="needs buildah"),
]
MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: shop/web, region: eu-west-1, account: "123456789012"}
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec:
  image: {repository: shop-api, build: {context: ../api}}
"""
DOCKERFILE = """\
FROM scratch
COPY hello /hello
HEALTHCHECK CMD ["/hello"]
CMD ["/hello"]
"""
TOKEN = "a-very-secret-token"


class Recording(Clients):
    """Writes down what ECR is asked."""

    def __init__(self, url: str) -> None:
        super().__init__("eu-west-1", attempts=1)
        self.url = url
        self.operations: list[str] = []

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        if service == "ecr":
            self.operations.append(operation)
        return super().call(service, operation, parameters, region)

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        if service == "ecr":
            self.operations.append(operation)
        return super().pages(service, operation, parameters, region)


def authorization(aws: Clients) -> dict[str, Any]:
    """What ECR GetAuthorizationToken answers."""
    answer: dict[str, Any] = aws.call("ecr", "get_authorization_token", {})
    return answer


def password(aws: Clients) -> str:
    [data] = authorization(aws)["authorizationData"]
    return base64.b64decode(data["authorizationToken"]).decode().partition(":")[2]


@pytest.fixture(scope="module", params=["moto", "ministack"])
def running(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with start(backend=request.param, settle_seconds=0) as emulator:
        yield emulator


@cache
def _clients(url: str) -> Recording:
    """Those of the running emulator: they are dear to make."""
    return Recording(url)


@pytest.fixture
def aws(running: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recording:
    running.reset()
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    use_private_store(tmp_path, monkeypatch)
    found = _clients(running.url)
    found.operations.clear()
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    for name, text in {
        "manifests/shop.yaml": MANIFESTS,
        "api/hello": "one",
        "api/Dockerfile": DOCKERFILE,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A buildah that writes down its command line, and then does its work."""
    record, shim = tmp_path / "record", tmp_path / "bin" / "buildah"
    shim.parent.mkdir()
    real = shell.which("buildah")
    shim.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {record}\nexec {real} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    return record


def apply(aws: Recording, checkout: Path) -> dict[str, Any]:
    planned = pipeline.plan(pipeline.load_desired(checkout / "manifests"), clients=aws)
    return {outcome.address: outcome for outcome in performed_calls.apply(planned, ignore_event, clients=aws)}


def image_of(aws: Recording) -> str:
    """What the service runs, as App Runner has it."""
    [summary] = aws.call("apprunner", "list_services", {})["ServiceSummaryList"]
    found = aws.call("apprunner", "describe_service", {"ServiceArn": summary["ServiceArn"]})["Service"]
    return str(found["SourceConfiguration"]["ImageRepository"]["ImageIdentifier"])


def tags(aws: Recording) -> dict[str, str]:
    """Tag -> digest, of the images that the repository holds; layers lie there, too."""
    found = aws.call("ecr", "describe_images", {"repositoryName": "shop-api"})["imageDetails"]
    named = {name: image["imageDigest"] for image in found for name in image.get("imageTags", ())}
    return {name: digest for name, digest in named.items() if not builder_commands.LAYER_TAG_PATTERN.fullmatch(name)}


def test_what_is_deployed_is_what_the_registry_holds(aws: Recording, checkout: Path) -> None:
    """Built, pushed and deployed by digest; the registry's own word for it, asked over HTTP, is the same."""
    outcomes = apply(aws, checkout)
    [(name, digest)] = tags(aws).items()
    token = ("AWS", password(aws))
    answer = httpx.get(f"{aws.url}/v2/shop-api/manifests/{name}", headers={"Accept": "*/*"}, auth=token)
    config = answer.json()["config"]["digest"]
    image = httpx.get(f"{aws.url}/v2/shop-api/blobs/{config}", auth=token).json()

    assert {outcome.actuation for outcome in outcomes.values()} == {Actuation.SUCCEEDED}
    assert answer.headers["Docker-Content-Digest"] == digest
    assert image_of(aws) == f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop-api@{digest}"
    assert image["config"]["Healthcheck"] == {"Test": ["CMD", "/hello"]}
    assert (image["os"], image["architecture"]) == ("linux", "amd64")
    assert image["config"]["Labels"]["org.opencontainers.image.version"] == name


def test_a_reviewed_plan_is_the_same_whoever_builds(aws: Recording, checkout: Path, tmp_path: Path) -> None:
    """An image that another job has built is used if its inputs are those of the checkout, and is not mentioned."""
    manifest, folders, digests = pipeline.validate(checkout / "manifests"), [], set()
    tag = from_manifest(manifest, aws).artefacts.images["containerservice.api"].tag
    for built_tag in (tag, "0" * 24):  # a newer commit, or a base that has moved in between
        built = BuiltImages(tmp_path, {"containerservice.api": BuiltImage(built_tag, f"sha256:{'0' * 64}")})
        candidate = from_manifest(manifest, aws, built_images=built)
        folders.append(candidate.artefacts.images["containerservice.api"].build["built_image"])
        digests.add(pipeline.plan(candidate.desired, clients=aws).plan.digest)

    assert folders == [str(tmp_path / "containerservice.api"), ""]
    assert len(digests) == 1


def test_what_it_is_made_of_lies_beside_it(aws: Recording, checkout: Path) -> None:
    """Its SBOM has no tag of its own and refers to the digest that is deployed."""
    told = checkout / "api" / "shop-1.2.dist-info" / "METADATA"
    told.parent.mkdir()
    told.write_text("Metadata-Version: 2.1\nName: Shop_Kit\nVersion: 1.2\n\nText\n")
    (checkout / "api" / "Dockerfile").write_text("FROM scratch\nCOPY . /srv/\n")
    apply(aws, checkout)
    [digest] = tags(aws).values()
    images = aws.call("ecr", "describe_images", {"repositoryName": "shop-api"})["imageDetails"]
    [beside] = [image["imageDigest"] for image in images if not image.get("imageTags")]
    with httpx.Client(base_url=f"{aws.url}/v2/shop-api", auth=("AWS", password(aws))) as engine:
        image = engine.get(f"/manifests/{digest}")
        manifest = engine.get(f"/manifests/{beside}").json()
        bom = engine.get(f"/blobs/{manifest['layers'][0]['digest']}").json()

    assert manifest["artifactType"] == "application/vnd.cyclonedx+json"
    assert manifest["subject"]["digest"] == digest
    assert manifest["subject"]["size"] == len(image.content)
    assert [part["purl"] for part in bom["components"]] == ["pkg:pypi/shop-kit@1.2"]
    assert bom["metadata"]["component"]["version"] == digest


def test_an_unchanged_image_is_one_call(aws: Recording, checkout: Path, recorded: Path) -> None:
    """Nothing is built or pushed, and no token is fetched; of the image, only whether it is there is asked."""
    apply(aws, checkout)
    recorded.unlink()
    aws.operations.clear()
    planned = pipeline.plan(pipeline.load_desired(checkout / "manifests"), clients=aws)
    performed_calls.apply(planned, ignore_event, clients=aws)

    assert [change.address for change in planned.plan.pending_changes] == []
    assert not recorded.exists()
    assert aws.operations.count("describe_images") == 1
    assert "get_authorization_token" not in aws.operations


def test_a_changed_file_is_a_new_image_and_the_old_one_stays(aws: Recording, checkout: Path) -> None:
    """Another tag, another digest, and the service runs the new one."""
    apply(aws, checkout)
    before = tags(aws)
    (checkout / "api" / "hello").write_text("two")
    planned = pipeline.plan(pipeline.load_desired(checkout / "manifests"), clients=aws)
    actions = {change.address: change.action for change in planned.plan.pending_changes}
    performed_calls.apply(planned, ignore_event, clients=aws)
    after = tags(aws)
    [new] = after.keys() - before.keys()

    assert actions == {"ecr_image.api": Action.CREATE, "apprunner_service.api": Action.UPDATE}
    assert before.items() <= after.items()
    assert image_of(aws).endswith(after[new])


def test_an_image_can_be_built_again(aws: Recording, checkout: Path, recorded: Path) -> None:
    """An image that was bad for a passing reason: built without caches, deployed, and what later plans take.

    The tag is immutable, so each build has its own; the earlier one stays for a rollback. Source: docker build
    --no-cache; ECR, "Preventing image tags from being overwritten".
    """
    apply(aws, checkout)
    [(tag, first)] = tags(aws).items()
    manifest = pipeline.validate(checkout / "manifests")
    recorded.unlink()
    planned = pipeline.plan(from_manifest(manifest, aws, "20261130T143000Z").desired, clients=aws)
    actions = {change.address: change.action for change in planned.plan.pending_changes}
    performed_calls.apply(planned, ignore_event, clients=aws)
    after = tags(aws)
    [build] = [line for line in recorded.read_text().splitlines() if line.startswith("build ")]
    later = pipeline.plan(pipeline.load_desired(checkout / "manifests"), clients=aws)
    same_run = pipeline.plan(from_manifest(manifest, aws, "20261130T143000Z").desired, clients=aws)
    next_run = pipeline.plan(from_manifest(manifest, aws, "20261130T150000Z").desired, clients=aws)

    assert actions == {"ecr_image.api": Action.UPDATE, "apprunner_service.api": Action.UPDATE}
    assert after.keys() == {tag, f"{tag}-20261130T143000Z"}
    assert after[tag] == first
    assert " --no-cache" in build
    assert "--cache-from" not in build
    assert image_of(aws).endswith(after[f"{tag}-20261130T143000Z"])
    assert [later.plan.pending_changes, same_run.plan.pending_changes] == [(), ()]
    assert "ecr_image.api" in {change.address for change in next_run.plan.pending_changes}


def test_the_token_is_on_no_command_line(aws: Recording, checkout: Path, recorded: Path) -> None:
    """It lies in a file for as long as it is needed, and nowhere afterwards; the plan does not hold it either."""
    planned = pipeline.plan(pipeline.load_desired(checkout / "manifests"), clients=aws)
    performed_calls.apply(planned, ignore_event, clients=aws)
    said = recorded.read_text()
    folders = [Path(word).parent for line in said.splitlines() for word in line.split() if word.endswith("config.json")]
    token = password(aws)
    encoded = base64.b64encode(f"AWS:{token}".encode()).decode()

    assert len(said.splitlines()) >= 2
    assert [word for word in (token, encoded) if word in said or word in str(planned.plan)] == []
    assert folders
    assert [folder for folder in folders if folder.exists()] == []


def test_the_login_is_ours_alone_and_leaves_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mode 0600; other logins are taken over, a credential store is not: it would be asked instead."""
    own = tmp_path / "docker"
    (own / "cli-plugins").mkdir(parents=True)
    settings = {"auths": {"other": {"auth": "x"}}, "credsStore": "keychain", "currentContext": "remote"}
    (own / "config.json").write_text(json.dumps(settings))
    monkeypatch.setenv("DOCKER_CONFIG", str(own))
    with registry_login.temporary_login({"here": ("AWS", TOKEN)}) as folder:
        file = folder / "config.json"
        mode, found = file.stat().st_mode & 0o777, json.loads(file.read_text())
        plugins = (folder / "cli-plugins").resolve()

    assert (mode, folder.exists(), plugins) == (0o600, False, own / "cli-plugins")
    assert (found["auths"].keys(), found["currentContext"]) == ({"other", "here"}, "remote")
    assert "credsStore" not in found
    assert json.loads((own / "config.json").read_text()) == settings
    assert (own / "cli-plugins").is_dir()


def test_a_build_that_fails_says_where_and_what(aws: Recording, checkout: Path) -> None:
    """The end of the builder's output, at the line of the instruction; nothing is pushed, made or left mounted."""
    (checkout / "api" / "Dockerfile").write_text("FROM scratch\n\n# what is not there\nCOPY gone /gone\n")
    outcomes = apply(aws, checkout)

    assert outcomes["ecr_image.api"].actuation is Actuation.FAILED
    assert "api/Dockerfile:4" in outcomes["ecr_image.api"].reason
    assert "gone" in outcomes["ecr_image.api"].reason
    assert outcomes["apprunner_service.api"].actuation is Actuation.SKIPPED
    assert tags(aws) == {}
    assert shell.run(["buildah", "containers", "--quiet"]).output == ""


def test_another_machine_takes_the_layers_from_the_registry(
    aws: Recording, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has built nothing yet builds what has changed, and what comes after it."""
    (checkout / "api" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /first\nCOPY hello /hello\n")
    aws.call("ecr", "create_repository", {"repositoryName": "shop-api", "imageTagMutability": "IMMUTABLE"})
    layers = []
    for machine in ("one", "two"):
        (checkout / "api" / "hello").write_text(machine)
        use_private_store(tmp_path / machine, monkeypatch)
        recipe = Recipe(checkout / "api", checkout / "api" / "Dockerfile", keep_layers=True)
        digest = builder.build_and_push(authorization(aws), recipe.fields, "shop-api", compute_tag(recipe))
        url, login = f"{aws.url}/v2/shop-api", ("AWS", password(aws))
        config = httpx.get(f"{url}/manifests/{digest}", auth=login).json()["config"]["digest"]
        layers.append([each["created"] for each in httpx.get(f"{url}/blobs/{config}", auth=login).json()["history"]])

    assert layers[0][0] == layers[1][0]
    assert layers[0][1] < layers[1][1]


def test_two_runs_that_build_the_same_agree(aws: Recording, checkout: Path) -> None:
    """The tag does not move: whoever pushes second takes what the first one pushed."""
    aws.call("ecr", "create_repository", {"repositoryName": "shop-api", "imageTagMutability": "IMMUTABLE"})
    recipe = Recipe(checkout / "api", checkout / "api" / "Dockerfile", sbom=False)
    name = compute_tag(recipe)
    with ThreadPoolExecutor() as pool:
        runs = [
            pool.submit(builder.build_and_push, authorization(aws), recipe.fields, "shop-api", name) for _ in range(2)
        ]
        digests = {run.result() for run in runs}

    assert digests == {tags(aws)[name]}
    assert len(aws.call("ecr", "describe_images", {"repositoryName": "shop-api"})["imageDetails"]) == 1, "no SBOM"


def test_a_push_that_is_refused_is_told(aws: Recording, checkout: Path) -> None:
    """There is no such repository: the program's own words, and that nothing was deployed."""
    recipe = Recipe(checkout / "api", checkout / "api" / "Dockerfile")
    with pytest.raises(Problems) as found:
        builder.build_and_push(authorization(aws), recipe.fields, "shop-api", "x")

    [problem] = found.value.problems
    assert ("cannot push " in problem.message, password(aws) in str(problem)) == (True, False)


def test_an_image_that_cannot_be_looked_into_is_not_pushed(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the program's own words and the way out; and what it wrote is gone."""
    said, shim = tmp_path / "said", tmp_path / "bin" / "buildah"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\necho "$*" >> {said}\n[ $1 = build ] || {{ echo "no space left"; exit 1; }}\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("ORCHESTRATOR_BUILDER", "buildah")
    token = base64.b64encode(f"AWS:{TOKEN}".encode()).decode()
    answer = {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": "http://127.0.0.1:1"}]}
    with pytest.raises(Problems, match="nothing was pushed") as found:
        builder.build_and_push(
            answer, Recipe(checkout / "api", checkout / "api" / "Dockerfile").fields, "shop-api", "x"
        )

    assert "no space left" in str(found.value)
    assert "sbom: false" in str(found.value.problems[0].hint)
    assert [line.split()[0] for line in said.read_text().splitlines()] == ["build", "push"], "to an archive alone"
    assert "docker-archive:" in said.read_text()


def test_labels_say_commit_and_source_without_a_login(tmp_path: Path) -> None:
    """A token in the remote's address stays there; outside a checkout nothing is said."""
    assert builder.git_labels(tmp_path) == {}
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (
        ["init", "-q"],
        ["commit", "-q", "--allow-empty", "-m", "x"],
        ["remote", "add", "origin", f"https://user:{TOKEN}@git.example/shop/web.git"],
    ):
        subprocess.run([*git, *words], check=True, capture_output=True)
    found = builder.git_labels(tmp_path)

    assert found["org.opencontainers.image.source"] == "https://git.example/shop/web.git"
    assert len(found["org.opencontainers.image.revision"]) == 40


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ("kaniko", "unknown image builder `kaniko`"),
        ("podman", "podman is not installed"),
        ("", "no usable image builder"),
    ],
)
def test_without_a_builder_it_says_which_there_could_be(
    chosen: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that nothing was built."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ORCHESTRATOR_BUILDER", chosen)
    with pytest.raises(Problems, match=sentence):
        builder_commands.find_builder()
