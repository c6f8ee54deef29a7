"""A Keras model, its export run with numpy, and its export in a real browser say the same of the same photos."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml import answers
from ml.answers import AnswerRule
from ml.evaluation import browser
from ml.export import exported_model, writer
from ml.training_run import Preprocessing
from orchestrator.problems import Problems
from tests.ml.finished_runs import make_run

pytestmark = [pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(600)]
SIZE = 32
CONTRACT = Preprocessing(("ring", "chain", "pearl"), SIZE)
RULE = AnswerRule(12.0, 4.0, (0, 0, 1, 2), (("ring", "chain"),))
PROTOTYPES = np.linalg.qr(np.random.default_rng(3).normal(size=(12, 4)))[0].T.astype(np.float32)
RUN = make_run("v1", CONTRACT, answer=RULE, embedding_size=12)


@pytest.fixture(scope="module")
def model() -> Any:
    """Every kind of layer that MobileNetV2 has, untrained."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    keras.utils.set_random_seed(7)
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3), alpha=0.35)
    for layer in base.layers:  # as if it had seen something: norms that fit, or nothing would come through
        if type(layer).__name__ == "BatchNormalization":
            layer.momentum = 0.0
    base(np.random.default_rng(1).uniform(-1, 1, (32, SIZE, SIZE, 3)).cumsum(axis=1) / 4, training=True)
    given = keras.Input((SIZE, SIZE, 3))
    seen = base(keras.layers.Rescaling(1 / 127.5, offset=-1)(given))
    seen = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(seen))
    projected = keras.layers.Dense(PROTOTYPES.shape[1], name="projection")(seen)
    return keras.Model(given, keras.layers.UnitNormalization(name="embedding")(projected))


def answers_of(model: Any, inputs: Any) -> Any:
    """What people should get, by Keras."""
    vectors = np.asarray(model(inputs, training=False))
    similarities = answers.product_similarities(vectors, PROTOTYPES, RULE.owners, 3)
    return answers.probabilities(similarities, RULE.scale, RULE.none)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Wide, tall and small ones, of smooth colours and of noise."""
    folder, paths = tmp_path_factory.mktemp("photos"), []
    for index, (width, height) in enumerate(((90, 61), (40, 133), (20, 20))):
        noise = np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)
        noise[:, : width // 2] = np.linspace(0, 255, height, dtype=np.uint8)[:, None, None] // np.uint8(1 + index)
        paths.append(folder / f"{index}.png")
        Image.fromarray(noise).save(paths[-1])
    return paths


def prepared(path: Path) -> Any:
    """A photo as the contract wants it, by Pillow."""
    with Image.open(path) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side))
        return np.asarray(square.resize((SIZE, SIZE), Image.Resampling.BILINEAR), dtype=np.float32)


def test_numpy_agrees_with_keras(model: Any, photos: list[Path], tmp_path: Path) -> None:
    """Embedding included; classes and contract travel along."""
    size = writer.write(model, RUN, PROTOTYPES, tmp_path, weights_type="float32")
    inputs = np.stack([prepared(path) for path in photos])
    told = exported_model.load(tmp_path)

    assert np.abs(told.answer(inputs) - answers_of(model, inputs)).max() < 1e-4
    assert np.allclose(told.answer(inputs).sum(axis=1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(told.predict(inputs)["embedding"], axis=1), 1, atol=1e-5)
    assert exported_model.load(tmp_path).products == CONTRACT.classes
    assert exported_model.load(tmp_path).document["preprocessing_hash"] == CONTRACT.hash
    assert size == sum(path.stat().st_size for path in tmp_path.iterdir())


@pytest.mark.skipif(browser.find_browser() is None, reason="needs chromium: it runs the exported model")
@pytest.mark.parametrize(("weights", "bound"), [("float32", 1e-4), ("float16", 5e-2), ("int8", 0.15)])
def test_a_browser_agrees_with_keras(
    model: Any, photos: list[Path], tmp_path: Path, weights: str, bound: float
) -> None:
    """From the same files, which it decodes, crops and shrinks itself; smaller weights within a wider bound."""
    writer.write(model, RUN, PROTOTYPES, tmp_path, weights_type=weights)
    wanted = answers_of(model, np.stack([prepared(path) for path in photos]))
    told = browser.predict_in_browser(tmp_path, photos)

    assert np.ptp(wanted, axis=0).max() > 1e-3, "photos that all look alike to the model would prove nothing"
    assert np.abs(told.answers - wanted).max() < bound
    exported = exported_model.load(tmp_path).answer(np.stack([prepared(path) for path in photos]))
    assert np.abs(told.answers - exported).max() < 1e-3, "a browser computes with the very weights"


IPHONE_CANVAS = """
const Unlimited = OffscreenCanvas;
globalThis.OffscreenCanvas = class extends Unlimited {
  constructor(width, height) { super(...(width * height > 16777216 ? [1, 1] : [width, height])); }
};
"""
"""Safari of an iPhone 15 draws nothing on larger canvases: calvintwr/blitz-hermite-resize#6 on GitHub, and others."""


@pytest.mark.skipif(browser.find_browser() is None, reason="needs chromium: it runs the exported model")
def test_photos_of_24_megapixels_are_read_on_an_iphone(model: Any, tmp_path: Path) -> None:
    """The square of 4284 x 5712 pixels is more than a canvas takes there; strips are not, and give the same pixels."""
    picture = Image.linear_gradient("L").resize((4284, 5712)).rotate(3, fillcolor=90)
    merged = Image.merge("RGB", (picture, picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM), picture))
    merged.save(tmp_path / "large.jpg", quality=80)
    web = shutil.copytree(browser.WEB_FOLDER, tmp_path / "web")
    (web / "predict.js").write_text((web / "predict.js").read_text() + IPHONE_CANVAS)
    writer.write(model, RUN, PROTOTYPES, tmp_path / "export")
    told = browser.predict_in_browser(tmp_path / "export", [tmp_path / "large.jpg"], web_folder=web)

    assert np.ptp(told.inputs) > 100
    assert np.abs(told.inputs[0] - prepared(tmp_path / "large.jpg")).max() <= 2


def test_bytes_are_smaller(model: Any, tmp_path: Path) -> None:
    """Nearly, in a network of this size: scales, and tensors that are small anyway, stay whole."""
    sizes = {name: writer.write(model, RUN, PROTOTYPES, tmp_path, weights_type=name) for name in writer.WEIGHT_DTYPES}

    assert sizes["int8"] < 0.7 * sizes["float16"] < 0.5 * sizes["float32"]


def test_what_is_not_whole_is_refused(model: Any, tmp_path: Path) -> None:
    """A contract of another model, missing files, weights of another export."""
    with pytest.raises(Problems, match=r"run\.json has 64 pixels"):
        writer.write(model, make_run("v1", Preprocessing(CONTRACT.classes, 64), answer=RULE), PROTOTYPES, tmp_path)
    with pytest.raises(Problems, match="and 3 prototypes of 12 numbers"):
        writer.write(model, RUN, PROTOTYPES[:3], tmp_path)
    with pytest.raises(Problems, match="no exported model in"):
        exported_model.load(tmp_path)
    writer.write(model, RUN, PROTOTYPES, tmp_path)
    document = json.loads((tmp_path / "model.json").read_bytes())
    (tmp_path / "model.json").write_text(json.dumps({**document, "answer": {}}))
    with pytest.raises(Problems, match="is not an exported model"):
        exported_model.load(tmp_path).answer(np.zeros((1, SIZE, SIZE, 3), dtype=np.float32))
    writer.write(model, RUN, PROTOTYPES, tmp_path)
    next(tmp_path.glob("weights-*.bin")).write_bytes(b"broken")
    with pytest.raises(Problems, match=r"does not match the checksum in model\.json"):
        exported_model.load(tmp_path)


def test_the_smallest_weights_that_say_the_same_are_chosen(model: Any, photos: list[Path], tmp_path: Path) -> None:
    """Bytes where they are enough; more where they would change the answers."""
    inputs = np.stack([prepared(path) for path in photos])
    size = writer.write_smallest(model, RUN, PROTOTYPES, tmp_path, inputs)
    assert exported_model.load(tmp_path).document["weights"]["type"] == "i1"
    vector = np.asarray(model(inputs, training=False))[0]
    aside = np.roll(vector, 1) - vector * (np.roll(vector, 1) @ vector)
    beside = np.stack([vector + 0.5 * aside, vector - 0.5 * aside, -vector])  # the photo is between two products
    beside /= np.linalg.norm(beside, axis=1, keepdims=True)
    sharp = make_run("v1", CONTRACT, answer=AnswerRule(3000.0, 4.0, (0, 1, 2)), embedding_size=12)
    sharp_size = writer.write_smallest(model, sharp, beside.astype(np.float32), tmp_path, inputs)
    assert exported_model.load(tmp_path).document["weights"]["type"] != "i1"
    assert sharp_size > size
