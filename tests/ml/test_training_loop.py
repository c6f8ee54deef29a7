"""The whole way, against an emulated AWS: bucket, photos, training, validation, upload, CloudFront, browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import answers, upload_model, validate_model
from ml.data import preprocessing
from ml.evaluation import browser as served
from ml.export import writer
from orchestrator.aws import Clients
from orchestrator.cli.main import main
from orchestrator.model_registry import staleness
from orchestrator.storage.s3 import S3FileStorage
from tests.ml.conftest import TrainedShop
from tests.state.pages.page_view import open_page

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(600)]


def test_from_photos_to_an_answer_in_the_shop(
    trained_shop: TrainedShop, keras_model: Any, browser: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a shop owner types, each command as the one before names it; the shop's page then says what Keras says."""
    version = trained_shop.run.version
    with trained_shop.activate():
        storage = S3FileStorage(Clients("eu-west-1"), "shop-files")
        assert main(["model", "status", "-e", "prod", "--detailed-exitcode"]) == 2
        told = trained_shop(validate_model.main, trained_shop.next_args("ml.validate_model"))
        assert "Parity: passed on 23 photos" in told  # and 15 probe pictures are among them
        assert f"Model {version} is now in use" in trained_shop(
            upload_model.main, trained_shop.next_args("ml.upload_model")
        )
        assert main(["model", "status", "-e", "prod", "--detailed-exitcode"]) == 0
        assert "No training is needed" in capsys.readouterr().out
        assert staleness.check_staleness(storage).version == version
        for file in served.WEB_FOLDER.iterdir():
            S3FileStorage(Clients("eu-west-1"), "shop-web").put(f"demo/{file.name}", file)
        (item,) = Clients("eu-west-1").call("cloudfront", "list_distributions", {})["DistributionList"]["Items"]
    run = trained_shop.run
    held = run.split.held_out
    paths = [trained_shop.data / one.path for one in held]
    embeddings = np.asarray(keras_model(preprocessing.read_all(paths, run.preprocessing), training=False))
    prototypes = writer.load_prototypes(run, trained_shop.run_folder)
    similarities = answers.product_similarities(embeddings, prototypes, run.answer.owners, len(run.classes))
    address = f"http://{item['DomainName']}.localhost:{trained_shop.aws.url.rpartition(':')[2]}"
    said = _in_the_shop(address, paths, browser)

    expected = [run.classes[at] for at in similarities.argmax(axis=1)]
    assert np.mean([one == other for one, other in zip(said, expected, strict=True)]) >= writer.MIN_AGREEMENT
    assert np.mean([answer == one.product for answer, one in zip(said, held, strict=True)]) >= 0.85


def _in_the_shop(address: str, paths: list[Path], browser: Any) -> list[str]:
    """The first product that a browser names for each photo, with all it needs from the distribution."""
    said = []
    with open_page(browser, width=390) as seen:
        seen.open(f"{address}/demo/demo.html?model=/ml-models/current.json")
        seen.page.wait_for_selector("#photo:not([disabled])")
        for path in paths:
            seen.page.set_input_files("#photo", path)
            seen.page.wait_for_selector("#answer:not([hidden])")
            said.append(seen.page.inner_text("#products li:first-child span:first-child"))
    return said
