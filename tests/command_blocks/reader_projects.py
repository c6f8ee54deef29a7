"""The projects that readers of how-to guides have, on an emulated AWS with real services and databases."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from orchestrator.aws import Clients
from orchestrator.demo import image_assembly, python_runtime, sample
from orchestrator.emulator import Emulator
from tests.command_blocks.terminal_reader import Answer, run_line

PROJECT = """\
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec:
  repository: shop/shop
  region: eu-west-1
  account: "123456789012"
  releases: {bucket: bucket.releases}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: releases}
spec: {name: "shop-releases-${project.environment}", versioning: true}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: web}
spec: {name: "shop-web-${project.environment}", spa: {dir: ../web}}
---
apiVersion: orchestrator/v1
kind: Cdn
metadata: {name: web}
spec: {origin: bucket.web}
"""
SECRET = """\
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec:
  name: shop-app
  data:
    Dsn: ${database.main.url}
    Jwt:SecretKey: {generate: {length: 64}}
    Stripe:Key: {external: true, description: Secret key of the Stripe account}
"""
DATABASE = """\
---
apiVersion: orchestrator/v1
kind: Database
metadata: {name: main}
spec:
  version: "15"
  instanceClass: db.t4g.micro
  database: shop
  username: shop
  public: true
"""
FILES = """\
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: shop-files-eu, versioning: true}
"""
SERVICE = """\
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec:
  runtime: app-runner
  image: {repository: "shop-api-${project.environment}", prebuilt: "${project.registry}/sample-api@%s"}
  port: 8080
  health: {path: /health}
  secrets: [secret.app]
"""


class ReaderProject:
    """A checkout in a folder, the environment of its reader's shell, and what the reader answers."""

    def __init__(self, folder: Path, emulator: Emulator, *manifests: str, environments: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.emulator = emulator
        self.environment = dict(emulator.environment)
        self.answers: list[Answer] = []
        self.clients = Clients("eu-west-1", account="123456789012")
        self.write("web/index.html", "<h1>Version 1</h1>")
        self.write("global-bundle.pem", emulator.database_ca_bundle)
        self.write(".gitignore", ".orchestrator/\nglobal-bundle.pem\n*.csv\n")
        if manifests:
            self.write("manifests/shop.yaml", "".join(manifests))
        for name in environments:
            self.write(f"manifests/environments/{name}.yaml", "")
        self.commit("Open the shop")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text, f"{name} has no {old!r}"
        self.write(name, text.replace(old, new))

    def commit(self, subject: str) -> None:
        author = ["-c", "user.name=ana", "-c", "user.email=ana@shop.example"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*author, "commit", "-q", "-m", subject]):
            subprocess.run(["git", *words], cwd=self.folder, check=True, env=environment)

    def type(self, line: str) -> tuple[int, str]:
        """Type a line into the shell; return its exit code and what the terminal shows."""
        return run_line(line, self.folder, self.environment, self.answers)

    def succeed(self, line: str) -> str:
        exit_code, shown = self.type(line)
        assert exit_code == 0, f"$ {line}\n{shown}"
        return shown


def push_image(emulator: Emulator, folder: Path) -> str:
    """Push an image of the sample application, which answers on /health; return its digest."""
    clients = Clients("eu-west-1", account="123456789012")
    clients.call("ecr", "create_repository", {"repositoryName": sample.REPOSITORY_NAME})
    python_runtime.copy_python(folder)
    image = sample.build_image("1", image_assembly.build_layer(folder))
    authorization = clients.call("ecr", "get_authorization_token", {})
    return image_assembly.push_image(authorization, sample.REPOSITORY_NAME, "v1", image)
