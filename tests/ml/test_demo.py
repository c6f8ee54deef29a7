"""The demo page in a real browser: a photo, its products, the time it took, and what can go wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ml import demo
from ml.evaluation import browser as served
from ml.export import writer
from tests.ml import composed_photos
from tests.ml.conftest import TrainedShop
from tests.state.pages.page_view import PageView, find_accessibility_violations, open_page

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(600)]
LOOKS = [(1280, "light"), (390, "dark")]


@pytest.fixture
def exported(trained_shop: TrainedShop) -> Path:
    """The folder of an export."""
    return trained_shop.run_folder / writer.EXPORT_FOLDER


def shot(trained_shop: TrainedShop, product: int) -> Path:
    """A photo of a product, from the data set."""
    return trained_shop.data / f"photos/p{product:02d}/01.jpg"


@contextmanager
def opened(given: Any, folder: Path, width: int = 1280, scheme: str = "light", query: str = "") -> Iterator[PageView]:
    with served.serve([served.WEB_FOLDER, folder], {}, {}) as site, open_page(given, width, scheme) as seen:
        seen.open(f"{site.address}/demo.html{query}")
        seen.page.wait_for_function("!document.getElementById('model').textContent.startsWith('Loading')")
        yield seen


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_photo_is_recognised(browser: Any, trained_shop: TrainedShop, exported: Path, look: tuple[int, str]) -> None:
    """The right product comes first, with the next ones and the time; the page fits, and axe finds nothing."""
    with opened(browser, exported, *look) as seen:
        page = seen.page
        assert f"Model {trained_shop.run.version}: 5 products" in page.inner_text("#model")
        assert find_accessibility_violations(page) == []
        for product in (2, 0):
            page.set_input_files("#photo", shot(trained_shop, product))
            page.wait_for_selector(f"#answer:not([hidden]) li:first-child span:text-is('p{product:02d}')")
            assert page.locator("#products li").count() == 4, "three products and none of them"
            assert page.locator("#products li.none").count() == 1
            shares = [
                float(text.rstrip("%")) for text in page.locator("#products li span:last-child").all_inner_texts()
            ]
            assert shares == sorted(shares, reverse=True)
            assert sum(shares) <= 100.3
            assert page.inner_text("#decision") != ""
            assert "ms to recognise it" in page.inner_text("#timing")
            page.wait_for_function("document.getElementById('shown').naturalWidth === 176")
        assert seen.overflow == []
        assert find_accessibility_violations(page) == []
        assert seen.errors == []


def test_what_is_no_photo_is_told(browser: Any, trained_shop: TrainedShop, exported: Path, tmp_path: Path) -> None:
    """And a photo chosen after it is recognised."""
    with opened(browser, exported) as seen:
        (tmp_path / "text.jpg").write_text("no picture")
        seen.page.set_input_files("#photo", tmp_path / "text.jpg")
        seen.page.wait_for_selector("#trouble:not([hidden])")
        assert seen.page.inner_text("#trouble") == (
            "Cannot read text.jpg: this browser cannot read the file as a photo. Choose a JPEG, PNG or WebP file."
        )
        assert not seen.page.is_visible("#answer")
        seen.page.set_input_files("#photo", shot(trained_shop, 1))
        seen.page.wait_for_selector("#answer:not([hidden])")
        assert not seen.page.is_visible("#trouble")


def test_a_product_of_few_photos_is_recognised(
    browser: Any, trained_shop: TrainedShop, exported: Path, tmp_path: Path
) -> None:
    """In a photo that nobody has seen, as one of many photos is."""
    composed_photos.compose_photo(4, 50).save(tmp_path / "new.png")
    with opened(browser, exported) as seen:
        for name, path in (("p04", tmp_path / "new.png"), ("p02", shot(trained_shop, 2))):
            seen.page.set_input_files("#photo", path)
            seen.page.wait_for_selector(f"#answer:not([hidden]) li:first-child span:text-is('{name}')")


def test_without_workers_or_simd_the_answer_is_the_same(
    browser: Any, trained_shop: TrainedShop, exported: Path
) -> None:
    """Old browsers have neither; the page asks the slow way, and says the same."""
    seen_answers = []
    for script in ("", "delete self.Worker", "delete self.WebAssembly; delete self.Worker",
                   "delete self.OffscreenCanvas; delete self.Worker; delete self.WebAssembly"):  # fmt: skip
        with opened(browser, exported) as seen:
            if script:
                seen.page.add_init_script(script)
                seen.page.reload()
                seen.page.wait_for_selector("#photo:enabled")
            seen.page.set_input_files("#photo", shot(trained_shop, 1))
            seen.page.wait_for_selector("#answer:not([hidden])")
            seen_answers.append(seen.page.locator("#products li").all_inner_texts())
            assert seen.errors == []
    assert all(one == seen_answers[0] for one in seen_answers)


def test_a_photo_is_taken_by_keyboard(browser: Any, trained_shop: TrainedShop, exported: Path) -> None:
    """The camera is asked for with a file dialog, which phones answer with their camera."""
    with opened(browser, exported, 390) as seen:
        seen.page.focus("#camera")
        assert seen.page.get_attribute("#camera", "capture") == "environment"
        seen.page.set_input_files("#camera", shot(trained_shop, 2))
        seen.page.wait_for_selector("#answer:not([hidden]) li:first-child span:text-is('p02')")
        assert seen.errors == []


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
    [
        (_gone, "HTTP 404"),
        (_half, "is incomplete"),
        (_no_json, "is not valid JSON"),
        (_of_later, "has the unsupported format"),
    ],
)
def test_a_model_that_does_not_load_is_told(
    browser: Any, exported: Path, tmp_path: Path, spoil: Any, sentence: str
) -> None:
    """The page stands, says why, and takes no photo."""
    folder = shutil.copytree(exported, tmp_path / "export")
    spoil(folder)
    with opened(browser, folder, 390, "light") as seen:
        assert sentence in seen.page.inner_text("#trouble")
        assert seen.page.inner_text("#model") == "Model not loaded."
        assert seen.page.is_disabled("#photo")
        assert seen.overflow == []
        assert find_accessibility_violations(seen.page) == []


def test_the_command_serves_it(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Until it is ended; without a model it says how to make one."""
    assert demo.main([str(exported.parent), "--port", "0"], wait_for_stop=lambda: None) == 0
    assert "/demo.html. Press Ctrl-C to stop." in capsys.readouterr().out
    assert demo.main([str(tmp_path)], wait_for_stop=lambda: None) == 1
    assert "no exported model in" in capsys.readouterr().err
