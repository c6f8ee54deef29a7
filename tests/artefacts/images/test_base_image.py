"""Base images by their digest, asked from a registry that wants a token, or not asked at all."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator.artefacts.images import base_image, builder, registry_client, registry_login
from orchestrator.artefacts.images.build_inputs import Recipe
from orchestrator.artefacts.images.dockerfile import BaseImage
from orchestrator.aws.ecr_digests import create_digest_finder
from orchestrator.aws.errors import AwsError
from orchestrator.problems import Problems

DIGEST = "sha256:" + "d" * 64
FILE = Path("Dockerfile")


class Registry(BaseHTTPRequestHandler):
    """Knows ``team/base:1``; hands a token to anybody who asks for this very repository."""

    asked: list[str]
    token_host: str = ""
    redirect: str = ""

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        if self.redirect and self.path.endswith("/moved"):
            self._answer(307, {"Location": self.redirect})
        elif self.headers.get("Authorization") != "Bearer abc":
            place = f"http://{self.token_host or self.headers['Host']}/token"
            challenge = f'Bearer realm="{place}",service="here",scope="repository:team/base:pull"'
            self._answer(401, {"WWW-Authenticate": challenge})
        elif self.path == "/v2/team/base/manifests/1":
            self._answer(200, {"Docker-Content-Digest": DIGEST})
        else:
            self._answer(404, {})

    def do_GET(self) -> None:
        self.asked.append(self.path)
        good = self.path == "/token?service=here&scope=repository%3Ateam%2Fbase%3Apull"
        self._answer(200 if good else 400, {}, b'{"token": "abc"}')

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[str]:
    Registry.asked, Registry.token_host, Registry.redirect = [], "", ""
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_tag_becomes_its_digest_of_today(host: str) -> None:
    """As anybody: refused, a token fetched, answered; and asked for once, however often it is needed."""
    image = f"{host}/team/base:1"
    found = [base_image.resolve_digests([BaseImage(image, 3)], FILE) for _ in range(2)]

    assert found == [{image: DIGEST}] * 2
    assert len(Registry.asked) == 3


def test_a_base_that_is_not_there_is_told_at_its_line(host: str) -> None:
    """Every one of them at once."""
    with pytest.raises(Problems) as found:
        base_image.resolve_digests([BaseImage(f"{host}/team/base:2", 3), BaseImage(f"{host}/team/base:3", 5)], FILE)

    assert [problem.where and problem.where.line for problem in found.value.problems] == [3, 5]
    assert "has no team/base:2" in found.value.problems[0].message


@pytest.fixture
def inner() -> Iterator[tuple[str, list[str]]]:
    """A service that only this machine reaches, such as the metadata of an instance; what it was asked."""
    asked: list[str] = []
    handler = type("Inner", (Registry,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_registry_sends_a_plan_to_no_other_host(host: str, inner: tuple[str, list[str]]) -> None:
    """The Dockerfile of a pull request names a registry that redirects into the network of the runner."""
    Registry.redirect = f"http://{inner[0]}/latest/meta-data/"
    with pytest.raises(Problems, match="redirects to other hosts are not followed"):
        base_image.resolve_digests([BaseImage(f"{host}/team/base:moved", 3)], FILE)

    assert inner[1] == []


def test_a_redirect_on_the_same_host_is_followed(host: str) -> None:
    Registry.redirect = "/v2/team/base/manifests/1"
    image = f"{host}/team/base:moved"

    assert base_image.resolve_digests([BaseImage(image, 3)], FILE) == {image: DIGEST}


def test_a_token_is_asked_of_the_registrys_own_domain(host: str, inner: tuple[str, list[str]]) -> None:
    """OCI distribution, token authentication: the registry names the place, so it may not name any place."""
    Registry.token_host = inner[0]
    with pytest.raises(Problems, match="on another domain; no token was requested"):
        base_image.resolve_digests([BaseImage(f"{host}/team/other:1", 3)], FILE)

    assert inner[1] == []


@pytest.mark.parametrize(
    ("registry", "host", "is_same"),
    [
        ("registry-1.docker.io", "auth.docker.io", True),
        ("registry.gitlab.com", "gitlab.com", True),
        ("ghcr.io", "ghcr.io", True),
        ("evil.example", "127.0.0.1:80", False),
        ("10.0.0.1", "9.9.0.1", False),
        ("localhost:5000", "localhost:80", False),
        ("evil.example", "metadata.internal", False),
    ],
)
def test_domains_are_told_apart(registry: str, host: str, *, is_same: bool) -> None:
    """As the public registries name their places for tokens."""
    assert registry_client._is_same_domain(registry, host) is is_same


def test_a_registry_out_of_reach_is_told_with_the_ways_out() -> None:
    """Pin the base, or leave its digest out of the tag."""
    image = "127.0.0.1:9/team/base:1"
    with pytest.raises(Problems) as found:
        base_image.resolve_digests([BaseImage(image, 1)], FILE)

    [problem] = found.value.problems
    assert "cannot query" in problem.message
    assert problem.hint is not None
    assert ("@sha256:" in problem.hint, "resolveBases: false" in problem.hint) == (True, True)


def test_a_pinned_base_needs_nobody() -> None:
    """Nor does a tag that counts as it is written."""
    pinned, tag = f"127.0.0.1:9/team/base@{DIGEST}", "127.0.0.1:9/team/base:1"

    assert base_image.resolve_digests([BaseImage(pinned, 1)], FILE) == {pinned: pinned}
    assert base_image.resolve_digests([BaseImage(tag, 1)], FILE, should_resolve=False) == {tag: tag}


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("python", ("registry-1.docker.io", "library/python", "latest", None)),
        ("python:3.13-slim", ("registry-1.docker.io", "library/python", "3.13-slim", None)),
        ("team/app:1", ("registry-1.docker.io", "team/app", "1", None)),
        ("docker.io/python:3", ("registry-1.docker.io", "library/python", "3", None)),
        ("mcr.microsoft.com/dotnet/sdk:10.0", ("mcr.microsoft.com", "dotnet/sdk", "10.0", None)),
        ("localhost:5000/a/b", ("localhost:5000", "a/b", "latest", None)),
        (f"a@{DIGEST}", ("registry-1.docker.io", "library/a", "latest", DIGEST)),
    ],
)
def test_names_are_read_as_docker_reads_them(image: str, parts: tuple[str, ...]) -> None:
    """Docker Hub and `latest` where nothing is said."""
    found = registry_client.parse_reference(image)

    assert (found.registry, found.repository, found.tag, found.digest) == parts


@pytest.mark.parametrize("image", ["", "UPPER", "a b", "x//y"])
def test_what_is_no_name_is_refused(image: str) -> None:
    """Nobody is asked."""
    with pytest.raises(Problems):
        registry_client.parse_reference(image)


@pytest.mark.parametrize("is_pinned", [False, True])
def test_an_image_is_labelled_with_its_base(host: str, tmp_path: Path, is_pinned: bool) -> None:
    """By name and by the digest that counted, as a scanner looks for it; where no digest counted, none is named."""
    name = f"{host}/team/base:1"
    text = f"FROM {name}{f'@{DIGEST}' if is_pinned else ''}\n"
    recipe = Recipe(tmp_path, tmp_path / "Dockerfile")
    unasked = Recipe(tmp_path, tmp_path / "Dockerfile", resolve=False)
    expected = {
        "org.opencontainers.image.version": "3f2a91",
        "org.opencontainers.image.base.name": name,
        "org.opencontainers.image.base.digest": DIGEST,
    }

    assert builder.provenance_labels(recipe, text, "3f2a91") == expected
    assert ("org.opencontainers.image.base.digest" in builder.provenance_labels(unasked, text, "3f2a91")) == is_pinned
    assert builder.provenance_labels(recipe, "FROM scratch\n", "3f2a91") == {
        "org.opencontainers.image.version": "3f2a91"
    }


class PrivateRegistry(Registry):
    """Knows ``team/base:1`` too, and wants a login as ECR does: HTTP Basic, no token."""

    def do_HEAD(self) -> None:
        self.asked.append(self.headers.get("Authorization", ""))
        if self.headers.get("Authorization") == f"Basic {AUTH}":
            self._answer(200, {"Docker-Content-Digest": DIGEST})
        else:
            self._answer(401, {"WWW-Authenticate": 'Basic realm="https://here/",service="ecr.amazonaws.com"'})


AUTH = base64.b64encode(b"AWS:pull-token").decode()


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry, on a machine on which nobody is logged in to anything."""
    for name in ("DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    Registry.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), PrivateRegistry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def log_in(folder: Path, kind: str, host: str) -> None:
    """Leave a login as docker, podman and their helpers do."""
    files = {
        "docker": folder / "DOCKER_CONFIG" / "config.json",
        "podman": folder / "XDG_RUNTIME_DIR" / "containers" / "auth.json",
        "podman's own": folder / "XDG_CONFIG_HOME" / "containers" / "auth.json",
        "a part": folder / "DOCKER_CONFIG" / "config.json",
        "helper": folder / "DOCKER_CONFIG" / "config.json",
        "store": folder / "DOCKER_CONFIG" / "config.json",
    }
    content: dict[str, object] = {"auths": {f"{host}/team" if kind == "a part" else host: {"auth": AUTH}}}
    if kind in {"helper", "store"}:
        content = {"credHelpers": {host: "canned"}} if kind == "helper" else {"credsStore": "canned"}
        program = folder / "bin" / "docker-credential-canned"
        program.parent.mkdir()
        answer = json.dumps({"Username": "AWS", "Secret": "pull-token"})
        program.write_text(f"#!/bin/sh\nread name; test \"$name\" = {host} && echo '{answer}'\n")
        program.chmod(0o755)
    files[kind].parent.mkdir(parents=True)
    files[kind].write_text(json.dumps(content))


@pytest.mark.parametrize("kind", ["docker", "podman", "podman's own", "a part", "helper", "store"])
def test_a_private_base_is_resolved_with_the_login_of_this_machine(
    private: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """As docker and podman resolve it; and a build, which cannot ask a helper, gets the login in its own file.

    Source: aws-actions/amazon-ecr-login; containers-auth.json(5); docker/docker-credential-helpers.
    """
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    log_in(tmp_path, kind, private)
    found = base_image.resolve_digests([BaseImage(f"{private}/team/base:1", 1)], FILE)
    logins = registry_login.find_logins([(private, "team/base")])
    with registry_login.temporary_login({**logins, "target": ("AWS", "x")}) as folder:
        config = json.loads((folder / "config.json").read_text())

    assert found == {f"{private}/team/base:1": DIGEST}
    assert config["auths"][private] == {"auth": AUTH}
    assert private not in config.get("credHelpers", {})


def test_a_private_base_without_a_login_says_what_to_do(private: str, tmp_path: Path) -> None:
    """In words, where `ValueError` was said once; a wrong login is told apart from none."""
    messages = []
    for kind in (None, "docker"):
        if kind:
            log_in(tmp_path, kind, private)
            file = tmp_path / "DOCKER_CONFIG" / "config.json"
            file.write_text(file.read_text().replace(AUTH, base64.b64encode(b"AWS:old").decode()))
        with pytest.raises(Problems) as found:
            base_image.resolve_digests([BaseImage(f"{private}/team/base:1", 1)], FILE)
        [problem] = found.value.problems
        messages.append(problem.message)
        assert f"docker login {private}" in str(problem.hint)

    assert f"{private} requires a login for team/base:1" in messages[0]
    assert f"{private} rejected the login for team/base:1" in messages[1]


class Ecr:
    """Answers DescribeImages as recorded, and nothing else."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None, Any]] = []

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        self.calls.append((operation, region, parameters["registryId"]))
        if parameters["imageIds"] == [{"imageTag": "gone"}]:
            raise AwsError(service, operation, "ImageNotFoundException", "no such image")
        return {"imageDetails": [{"imageDigest": DIGEST}]}

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        raise AssertionError


def test_a_base_in_ecr_is_looked_up_through_aws() -> None:
    """A plan reads no registry login, which is a secret: DescribeImages tells the digest, in the base's own region."""
    aws, name = Ecr(), "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/base"
    finder = create_digest_finder(aws)
    found = base_image.resolve_digests([BaseImage(f"{name}:1", 1)], FILE, find_digest=finder)
    with pytest.raises(Problems, match="has no team/base:gone"):
        base_image.resolve_digests([BaseImage(f"{name}:gone", 1)], FILE, find_digest=finder)

    assert found == {f"{name}:1": DIGEST}
    assert aws.calls[0] == ("describe_images", "eu-central-1", "123456789012")
    assert finder(registry_client.parse_reference("python:3.13")) is None
