"""The demo page in a real browser: a photo, its products, the time it took, and what can go wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import browser as served
from ml import demo, pictures
from ml import export as exports
from ml import run as runs
from ml.run import load
from tests.ml import shop, trained
from tests.state.pages.looking import Look, looking, violations

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
LOOKS = [(1280, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an export."""
    folder = tmp_path_factory.mktemp("demo")
    trained.photos(folder)
    trained.train(folder / "run", folder / "data")
    return exports.export(load(folder / "run"), folder / "run")


@contextmanager
def opened(given: Any, folder: Path, width: int = 1280, scheme: str = "light", query: str = "") -> Iterator[Look]:
    with served.serving([served.WEB, folder], {}, {}) as site, looking(given, width, scheme) as seen:
        seen.open(f"{site.address}/demo.html{query}")
        seen.page.wait_for_function("!document.getElementById('model').textContent.startsWith('Loading')")
        yield seen


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_photo_is_recognised(browser: Any, exported: Path, tmp_path: Path, look: tuple[int, str]) -> None:
    """The right product comes first, with the next ones and the time; the page fits, and axe finds nothing."""
    with opened(browser, exported, *look) as seen:
        page = seen.page
        assert "Model v1: 4 products" in page.inner_text("#model")
        assert violations(page) == []
        for product in (2, 0):
            (tmp_path / f"{product}.jpg").write_bytes(shop.photo(product, 3))
            page.set_input_files("#photo", tmp_path / f"{product}.jpg")
            page.wait_for_selector(f"#answer:not([hidden]) li:first-child span:text-is('p{product}')")
            assert page.locator("#products li").count() == 3
            assert "ms to recognise it" in page.inner_text("#timing")
            assert page.evaluate("document.getElementById('shown').naturalWidth") == 120
        assert seen.overflow == []
        assert violations(page) == []
        assert seen.complaints == []


def test_what_is_no_photo_is_told(browser: Any, exported: Path, tmp_path: Path) -> None:
    """And a photo chosen after it is recognised."""
    with opened(browser, exported) as seen:
        (tmp_path / "text.jpg").write_text("no picture")
        seen.page.set_input_files("#photo", tmp_path / "text.jpg")
        seen.page.wait_for_selector("#trouble:not([hidden])")
        assert seen.page.inner_text("#trouble") == "text.jpg cannot be read as a photo. Choose a JPEG, PNG or WebP."
        assert not seen.page.is_visible("#answer")
        (tmp_path / "photo.jpg").write_bytes(shop.photo(1, 3))
        seen.page.set_input_files("#photo", tmp_path / "photo.jpg")
        seen.page.wait_for_selector("#answer:not([hidden])")
        assert not seen.page.is_visible("#trouble")


def test_a_product_of_few_photos_is_known_by_its_prototype(browser: Any, exported: Path, tmp_path: Path) -> None:
    """It is no class; who is one is recognised as ever."""
    folder = shutil.copytree(exported.parent, tmp_path / "run")
    model = exports.loaded(folder)
    bones = type(model)(model.inputs[0], model.get_layer(runs.EMBEDDING_LAYER).output)
    done = replace(load(folder), few_photos=("p4",), prototype_threshold=0.9)
    vectors = []
    for product in range(5):
        for shot in range(2):
            (tmp_path / f"p{product}-{shot}.jpg").write_bytes(shop.photo(product, shot))
        paths = [tmp_path / f"p{product}-{shot}.jpg" for shot in range(2)]
        mean = np.asarray(bones(pictures.read_all(paths, done.preprocessing), training=False)).mean(axis=0)
        vectors.append(mean / np.linalg.norm(mean))
    names, trained_ones = [f"p{product}" for product in range(5)], [True] * 4 + [False]
    np.savez(folder / runs.PROTOTYPES, vectors=np.stack(vectors), products=np.array(names), trained=trained_ones)
    with opened(browser, exports.export(done, folder)) as seen:
        for name in ("p4", "p2"):
            seen.page.set_input_files("#photo", tmp_path / f"{name}-0.jpg")
            seen.page.wait_for_selector(f"#answer:not([hidden]) li:first-child span:text-is('{name}')")


def _gone(folder: Path) -> None:
    (folder / "model.json").unlink()


def _half(folder: Path) -> None:
    (weights,) = folder.glob("weights-*.bin")
    weights.write_bytes(weights.read_bytes()[:100])


def _no_json(folder: Path) -> None:
    (folder / "model.json").write_text("<html>")


def _of_later(folder: Path) -> None:
    document = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**document, "format": "orchestrator-layers/9"}))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [(_gone, "HTTP 404"), (_half, "is not whole"), (_no_json, "is not valid JSON"), (_of_later, "has format")],
)
def test_a_model_that_does_not_load_is_told(
    browser: Any, exported: Path, tmp_path: Path, spoil: Any, sentence: str
) -> None:
    """The page stands, says why, and takes no photo."""
    folder = shutil.copytree(exported, tmp_path / "export")
    spoil(folder)
    with opened(browser, folder, 390, "light") as seen:
        assert sentence in seen.page.inner_text("#trouble")
        assert seen.page.inner_text("#model") == "No model."
        assert seen.page.is_disabled("#photo")
        assert seen.overflow == []
        assert violations(seen.page) == []


def test_the_command_serves_it(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Until it is ended; without a model it says how to make one."""
    assert demo.main([str(exported.parent), "--port", "0"], wait=lambda: None) == 0
    assert "/demo.html; end with Ctrl-C." in capsys.readouterr().out
    assert demo.main([str(exported.parent.parent)], wait=lambda: None) == 1
    assert "holds no exported model" in capsys.readouterr().err
