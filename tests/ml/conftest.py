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
"""Photos of each product; the last one has few."""
WORDS = (
    "--weights",
    str(composed_photos.find_weights()),
    "--size",
    "96",
    "--views",
    "3",
    "--epochs",
    "2",
)


@dataclass
class TrainedShop:
    """A folder in which a shop owner has fetched photos and trained; no test changes what lies there.

    ``outputs``: what each command printed, in order.
    """

    folder: Path
    aws: Emulator
    outputs: list[str] = field(default_factory=list)

    @property
    def data(self) -> Path:
        """The data set's folder."""
        return self.folder / "data"

    @property
    def run_folder(self) -> Path:
        """The folder of the training run."""
        (run_folder,) = (self.folder / "runs").glob("2*")
        return run_folder

    @property
    def run(self) -> TrainingRun:
        return training_run.load(self.run_folder)

    @contextmanager
    def activate(self) -> Iterator[pytest.MonkeyPatch]:
        """In the folder, logged in to its AWS."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.aws.environment.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            yield patch

    def __call__(self, command: Any, words: list[str]) -> str:
        """Carry out a command; what it printed."""
        with redirect_stdout(io.StringIO()) as output:
            assert command(words) == 0, output.getvalue()
        self.outputs.append(output.getvalue())
        return self.outputs[-1]

    def next_args(self, module: str) -> list[str]:
        """The arguments of the next command, as the last one printed it."""
        (arguments,) = re.findall(rf"Next: python -m {re.escape(module)} (.*)", self.outputs[-1])
        return shlex.split(arguments)


@pytest.fixture(scope="session")
def trained_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainedShop]:
    """A bucket with photos, what the README's first two commands made of it, and the stack that serves it."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "manifests").mkdir()
    (folder / "manifests/shop.yaml").write_text(MANIFESTS)
    with start(settle_seconds=0) as emulator:
        shop = TrainedShop(folder, emulator)
        with shop.activate():
            shop(main, ["apply", "-e", "prod", "--auto-approve"])
            storage = S3FileStorage(Clients("eu-west-1"), "shop-files")
            for key, data in composed_photos.iter_photos(SHOTS):
                storage.put(f"{PHOTOS_PREFIX}{key}", data)
            shop(download_photos.main, ["-e", "prod"])
            shop(train_model.main, [*shop.next_args("ml.train_model"), *WORDS])
        yield shop


@pytest.fixture(scope="session")
def keras_model(trained_shop: TrainedShop) -> Any:
    """The trained model, as Keras loads it."""
    return writer.load_keras_model(trained_shop.run_folder)
