"""One real training for all tests that need one: a shop's photos in an emulated bucket, fetched and learned from.

A test that asks for it is marked `tensorflow` and belongs to the group of that name: one process trains, once.
"""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ml import download_photos, train_model, training_run
from ml.export import writer
from ml.training_run import TrainingRun
from orchestrator.aws import Clients
from orchestrator.cli.main import main
from orchestrator.emulator import Emulator, start
from orchestrator.model_registry.staleness import PHOTOS_PREFIX
from orchestrator.storage.s3 import S3FileStorage
from tests.ml import composed_photos

MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: team/shop, region: eu-west-1, account: "123456789012"}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: shop-files, prefixes: [product-photos, ml-models]}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: web}
spec: {name: shop-web}
---
apiVersion: orchestrator/v1
kind: Cdn
metadata: {name: web}
spec:
  origin: bucket.web
  httpsOnly: false
  paths: [{pattern: /ml-models/*, origin: bucket.files, cors: true}]
"""
SHOTS = (14, 12, 12, 10, 3)
"""Photos of each product; the last one has too few to be a class."""
WORDS = (
    "--weights",
    str(composed_photos.find_weights()),
    "--size",
    "96",
    "--views",
    "2",
    "--epochs",
    "10",
    "--fine-tune",
    "1",
)


@dataclass
class Lesson:
    """A folder in which a shop owner has fetched photos and trained; no test changes what lies there.

    ``told``: what each command printed, in order.
    """

    folder: Path
    aws: Emulator
    told: list[str] = field(default_factory=list)

    @property
    def data(self) -> Path:
        """The data set's folder."""
        return self.folder / "data"

    @property
    def place(self) -> Path:
        """The folder of the training."""
        (found,) = (self.folder / "runs").glob("2*")
        return found

    @property
    def run(self) -> TrainingRun:
        return training_run.load(self.place)

    @contextmanager
    def inside(self) -> Iterator[pytest.MonkeyPatch]:
        """In the folder, logged in to its AWS."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.aws.environment.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            yield patch

    def __call__(self, command: Any, words: list[str]) -> str:
        """Carry out a command; what it printed."""
        with redirect_stdout(io.StringIO()) as said:
            assert command(words) == 0, said.getvalue()
        self.told.append(said.getvalue())
        return self.told[-1]

    def then(self, module: str) -> list[str]:
        """The words of the next command, as the last one named it."""
        (found,) = re.findall(rf"Next: python -m {re.escape(module)} (.*)", self.told[-1])
        return shlex.split(found)


@pytest.fixture(scope="session")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lesson]:
    """A bucket with photos, what the README's first two commands made of it, and the stack that serves it."""
    folder = tmp_path_factory.mktemp("lesson")
    (folder / "manifests").mkdir()
    (folder / "manifests/shop.yaml").write_text(MANIFESTS)
    with start(settle_seconds=0) as emulator:
        made = Lesson(folder, emulator)
        with made.inside():
            made(main, ["apply", "-e", "prod", "--auto-approve"])
            storage = S3FileStorage(Clients("eu-west-1"), "shop-files")
            for key, data in composed_photos.iter_photos(SHOTS):
                storage.put(f"{PHOTOS_PREFIX}{key}", data)
            made(download_photos.main, ["-e", "prod"])
            made(train_model.main, [*made.then("ml.train_model"), *WORDS])
        yield made


@pytest.fixture(scope="session")
def learned(lesson: Lesson) -> Any:
    """The trained model, as Keras loads it."""
    return writer.load_keras_model(lesson.place)
