"""The whole way, against an emulated AWS: bucket, photos, training, validation, upload, CloudFront, browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml import browser as served
from ml import download_photos, upload_model, validate_model
from orchestrator import catalogue
from orchestrator.aws import Clients
from orchestrator.cli.main import main
from orchestrator.emulator import Emulator, start
from orchestrator.storage.s3 import S3FileStorage
from tests.ml import shop, trained
from tests.state.pages.looking import looking

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]
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


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The stack of the manifests, applied."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/shop.yaml").write_text(MANIFESTS)
    with start(settle_seconds=0) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield emulator


def test_from_photos_to_an_answer_in_the_shop(aws: Emulator, tmp_path: Path, browser: Any, capsys: Any) -> None:
    """What a shop owner types, in the order of the README; the browser then loads the model over the distribution."""
    assert main(["apply", "-e", "prod", "--auto-approve"]) == 0
    storage = S3FileStorage(Clients("eu-west-1"), "shop-files")
    shop.fill(storage, trained.PRODUCTS, trained.SHOTS)
    assert main(["model", "status", "-e", "prod", "--detailed-exitcode"]) == 2

    assert download_photos.main(["-e", "prod"]) == 0
    trained.train(tmp_path / "runs/v1", tmp_path / "data")
    assert validate_model.main(["runs/v1", "-e", "prod"]) == 0
    told = capsys.readouterr().out
    assert "it says the same everywhere" in told
    next_one = re.findall(r"Next: python -m ml\.upload_model (.*)", told)[-1].split()
    assert upload_model.main(next_one) == 0
    assert "Model v1 is in use now" in capsys.readouterr().out
    assert main(["model", "status", "-e", "prod", "--detailed-exitcode"]) == 0
    assert "No training is needed" in capsys.readouterr().out
    assert catalogue.status(storage).version == "v1"

    answers = _in_the_shop(aws, tmp_path, browser)
    assert answers == {f"p{product}": f"p{product}" for product in range(trained.PRODUCTS)}


def _in_the_shop(aws: Emulator, folder: Path, browser: Any) -> dict[str, str]:
    """What a browser says of photos that no training has seen, with all it needs from the distribution."""
    for file in served.WEB.iterdir():
        S3FileStorage(Clients("eu-west-1"), "shop-web").put(f"demo/{file.name}", file)
    (item,) = Clients("eu-west-1").call("cloudfront", "list_distributions", {})["DistributionList"]["Items"]
    address = f"http://{item['DomainName']}.localhost:{aws.url.rpartition(':')[2]}"
    answers = {}
    with looking(browser, width=390) as seen:
        seen.open(f"{address}/demo/demo.html?model=/ml-models/current.json")
        seen.page.wait_for_selector("#photo:not([disabled])")
        for product in range(trained.PRODUCTS):
            path = folder / f"new-{product}.jpg"
            path.write_bytes(shop.photo(product, 3))
            seen.page.set_input_files("#photo", path)
            first = seen.page.wait_for_selector(f"#answer:not([hidden]) li:first-child span:text-is('p{product}')")
            answers[f"p{product}"] = first.inner_text()
    return answers
