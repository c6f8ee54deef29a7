"""An image that one job builds without credentials and another one pushes as it is.

Judges: buildah, which reads the folder as an OCI image layout and pulls what was pushed; the registry's own digests.
Sources: OCI image specification 1.1, "Image Layout Specification"; GitHub, "Security hardening for GitHub Actions".
"""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from orchestrator import shell
from orchestrator.artefacts import Image
from orchestrator.artefacts.images import builder, built_image, image_layout
from orchestrator.artefacts.images.build_inputs import Recipe, compute_tag
from orchestrator.artefacts.images.built_image import BuiltImage, BuiltImages
from orchestrator.artefacts.images.registry_client import ImageReference
from orchestrator.aws import Clients
from orchestrator.emulator import Emulator, start
from orchestrator.problems import Problems
from orchestrator.runs import image_builds
from orchestrator.runs.settings import Settings
from tests.artefacts.images.builder_store import use_private_store
from tests.artefacts.images.test_builder import MANIFESTS, authorization, password

pytestmark = [
    pytest.mark.xdist_group("registry"),
    pytest.mark.skipif(shell.which("buildah") is None, reason="needs buildah"),
]
HANDLE = "containerservice.api"
PACKAGE = "Metadata-Version: 2.1\nName: Shop_Kit\nVersion: 1.2\n\nText\n"
DOCKERFILE = 'FROM scratch\nCOPY . /srv/\nCOPY hello /hello\nHEALTHCHECK CMD ["/hello"]\nCMD ["/hello"]\n'


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with start(settle_seconds=0) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    files = {
        "manifests/shop.yaml": MANIFESTS,
        "api/hello": "one",
        "api/Dockerfile": DOCKERFILE,
        "api/shop-1.2.dist-info/METADATA": PACKAGE,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> BuiltImages:
    """What the job without credentials has left: AWS is not even there."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        use_private_store(folder / "store", patch)
        images = image_builds.save_built_images(Settings(checkout / "manifests", "prod"), folder)
    return BuiltImages(folder / "images", images)


@pytest.fixture
def aws(running: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clients:
    """Where no image can be built: there is no builder."""
    running.reset()
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    use_private_store(tmp_path, monkeypatch)
    return Clients("eu-west-1", attempts=1)


def pull(*words: str) -> str:
    """What buildah calls the image that it has pulled: the digest of its configuration."""
    result = subprocess.run(["buildah", "pull", "-q", *words], check=True, capture_output=True, text=True)
    return result.stdout.strip()


def test_what_was_built_is_pushed_byte_for_byte(
    running: Emulator, aws: Clients, checkout: Path, built: BuiltImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With health check, labels, provenance and packages, without a builder, under the digest of the build.

    buildah reads the same image from the folder and from the registry.
    """
    aws.call("ecr", "create_repository", {"repositoryName": "shop-api", "imageTagMutability": "IMMUTABLE"})
    build = Recipe(checkout / "api", checkout / "api" / "Dockerfile").fields
    image = built.attach_to({HANDLE: Image(built.images[HANDLE].tag, build)})[HANDLE]
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", "/nowhere")
    pushed = builder.build_and_push(authorization(aws), image.build, "shop-api", image.tag)
    monkeypatch.setenv("PATH", path)
    digest, host = built.images[HANDLE].digest, running.url.partition("//")[2]
    images = aws.call("ecr", "describe_images", {"repositoryName": "shop-api"})["imageDetails"]
    with httpx.Client(base_url=f"{running.url}/v2/shop-api", auth=("AWS", password(aws))) as client:
        manifest = client.get(f"/manifests/{digest}").json()
        config = client.get(f"/blobs/{manifest['config']['digest']}").json()
        [beside] = [image["imageDigest"] for image in images if not image.get("imageTags")]
        referrer = client.get(f"/manifests/{beside}").json()
        bom = client.get(f"/blobs/{referrer['layers'][0]['digest']}").json()

    assert [image["imageDigest"] for image in images if image.get("imageTags")] == [pushed] == [digest]
    assert config["config"]["Healthcheck"] == {"Test": ["CMD", "/hello"]}
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == built.images[HANDLE].tag
    assert referrer["subject"]["digest"] == digest
    assert [part["purl"] for part in bom["components"]] == ["pkg:pypi/shop-kit@1.2"]
    pulled = pull("--tls-verify=false", "--creds", f"AWS:{password(aws)}", f"{host}/shop-api@{digest}")
    assert pulled == pull(f"oci:{built.folder / HANDLE}") == manifest["config"]["digest"].partition(":")[2]


def push(running: Emulator, aws: Clients, built: BuiltImages) -> str:
    image = built.images[HANDLE]
    target = ImageReference(running.url.partition("//")[2], "shop-api", image.tag)
    return built_image.push(built.folder / HANDLE, image.digest, target, ("AWS", password(aws)))


def copy_folder(built: BuiltImages, target: Path) -> BuiltImages:
    for path in (built.folder / HANDLE).rglob("*"):
        if path.is_file():
            copied = target / HANDLE / path.relative_to(built.folder / HANDLE)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(path.read_bytes())
    return BuiltImages(target, built.images)


def list_kept_blobs(built: BuiltImages) -> list[str]:
    manifest = image_layout.read_manifest(built.folder / HANDLE, built.images[HANDLE].digest)
    return [built.images[HANDLE].digest, *image_layout.list_blobs(manifest)]


@pytest.mark.parametrize("damage", ["changed", "missing"])
@pytest.mark.parametrize("index", [0, 1, 2, 3], ids=["manifest", "configuration", "layer", "last layer"])
def test_no_changed_byte_is_pushed(
    running: Emulator, aws: Clients, built: BuiltImages, tmp_path: Path, index: int, damage: str
) -> None:
    """Of any part, whoever changed it between the jobs."""
    aws.call("ecr", "create_repository", {"repositoryName": "shop-api"})
    damaged = copy_folder(built, tmp_path / "damaged")
    path = image_layout.blob_path(damaged.folder / HANDLE, list_kept_blobs(built)[index])
    path.write_bytes(path.read_bytes() + b" ") if damage == "changed" else path.unlink()
    with pytest.raises(Problems, match="sha256:") as found:
        push(running, aws, damaged)

    assert "pushed" in str(found.value.problems[0].hint)
    assert aws.call("ecr", "describe_images", {"repositoryName": "shop-api"})["imageDetails"] == []


@pytest.mark.parametrize("name", ["sha256:../../../../etc/passwd", "sha512:" + "0" * 128, "/etc/passwd", "sha256:"])
def test_a_manifest_reads_no_file_beside_the_image(tmp_path: Path, name: str) -> None:
    """The digests in it come from another job: they are digests, or nothing is read."""
    with pytest.raises(Problems, match="not a digest"):
        image_layout.blob_path(tmp_path, name)


def test_two_runs_push_one_image(running: Emulator, aws: Clients, built: BuiltImages) -> None:
    """The tag is immutable; both get the digest that it has."""
    aws.call("ecr", "create_repository", {"repositoryName": "shop-api", "imageTagMutability": "IMMUTABLE"})
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(push, running, aws, built) for _ in range(3)]

    assert {run.result() for run in runs} == {built.images[HANDLE].digest}


def test_the_job_builds_nothing_that_is_pushed_or_needs_a_login(
    checkout: Path, built: BuiltImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No builder is started: there is none. A base in ECR needs a role, which this job does not have."""
    monkeypatch.setenv("PATH", "/nowhere")
    settings, tag = Settings(checkout / "manifests", "prod"), built.images[HANDLE].tag
    pushed = image_builds.save_built_images(settings, tmp_path, [tag])
    private = tmp_path / "private"
    (private / "manifests").mkdir(parents=True)
    (private / "api").mkdir()
    (private / "manifests" / "shop.yaml").write_text(MANIFESTS)
    base = "999988887777.dkr.ecr.eu-west-1.amazonaws.com/base:1"
    (private / "api" / "Dockerfile").write_text(f"FROM {base} AS first\nFROM scratch\nCOPY --from=first /x /x\n")

    assert pushed == {HANDLE: BuiltImage(tag)}
    assert image_builds.save_built_images(Settings(private / "manifests", "prod"), tmp_path) == {}
    assert not (tmp_path / "images").exists()


def write_archive(path: Path, layers: dict[str, bytes]) -> None:
    """An archive as ``docker save`` writes it."""
    config = json.dumps({"config": {"Labels": {"a": "b"}}, "rootfs": {"diff_ids": []}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["x:y"], "Layers": list(layers)}]).encode()
    with tarfile.open(path, "w") as archive:
        for name, data in {"manifest.json": manifest, "config.json": config, **layers}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def test_layers_are_kept_however_the_builder_compressed_them(tmp_path: Path) -> None:
    """docker with containerd's store exports them compressed, others plain; the same image has the same digest."""
    write_archive(tmp_path / "a.tar", {"one/layer.tar": b"plain" * 500, "blobs/sha256/two": gzip.compress(b"zipped")})
    digests = [image_layout.write_layout(tmp_path / "a.tar", tmp_path / name) for name in ("first", "second")]
    manifest = image_layout.read_manifest(tmp_path / "first", digests[0])
    contents = [
        gzip.decompress(image_layout.blob_path(tmp_path / "first", digest).read_bytes())
        for digest in image_layout.list_blobs(manifest)[1:]
    ]

    assert digests[0] == digests[1]
    assert contents == [b"plain" * 500, b"zipped"]
    assert image_layout.read_labels(tmp_path / "first", manifest) == {"a": "b"}


@pytest.mark.parametrize("layer", [b"\x28\xb5\x2f\xfd zstd", None])
def test_an_archive_that_cannot_be_read_is_said(tmp_path: Path, layer: bytes | None) -> None:
    archive = tmp_path / "a.tar"
    write_archive(archive, {"one": layer}) if layer else archive.write_bytes(b"no archive")
    with pytest.raises(Problems, match="its archive cannot be read"):
        image_layout.write_layout(archive, tmp_path / "layout")


def test_a_build_that_fails_here_names_its_line(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_private_store(tmp_path, monkeypatch)
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY gone /gone\n")
    recipe = Recipe(checkout / "api", dockerfile)
    with pytest.raises(Problems, match="the image build failed") as found:
        builder.build_to_folder(recipe, "api", compute_tag(recipe), tmp_path / "layout")

    [problem] = found.value.problems
    assert problem.where is not None
    assert problem.where.line == 2
