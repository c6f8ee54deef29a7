"""A Keras model, its export run with numpy, and its export in a real browser say the same of the same photos."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml.evaluation import browser
from ml.export import exported_model, writer
from ml.training_run import Preprocessing
from orchestrator.problems import Problems

pytestmark = [pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(600)]
SIZE = 32
CONTRACT = Preprocessing(("ring", "chain", "pearl"), SIZE)


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
    vectors = keras.layers.UnitNormalization(name="embedding")(seen)
    head = keras.layers.Dense(3, activation="softmax", kernel_initializer=keras.initializers.RandomNormal(stddev=4))
    return keras.Model(given, head(vectors))


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
    size = writer.write(model, CONTRACT, tmp_path, version="v1")
    inputs = np.stack([prepared(path) for path in photos])
    answers = exported_model.load(tmp_path).predict(inputs)

    assert np.abs(answers["probabilities"] - np.asarray(model(inputs, training=False))).max() < 1e-4
    assert np.allclose(np.linalg.norm(answers["embedding"], axis=1), 1, atol=1e-5)
    assert exported_model.load(tmp_path).classes == CONTRACT.classes
    assert exported_model.load(tmp_path).document["preprocessing_hash"] == CONTRACT.hash
    assert size == sum(path.stat().st_size for path in tmp_path.iterdir())


@pytest.mark.skipif(browser.find_browser() is None, reason="needs chromium: it runs the exported model")
@pytest.mark.parametrize(("weights", "bound"), [("float32", 1e-4), ("float16", 5e-2)])
def test_a_browser_agrees_with_keras(
    model: Any, photos: list[Path], tmp_path: Path, weights: str, bound: float
) -> None:
    """From the same files, which it decodes, crops and shrinks itself; halved weights within a wider bound."""
    writer.write(model, CONTRACT, tmp_path, weights_type=weights)
    wanted = np.asarray(model(np.stack([prepared(path) for path in photos]), training=False))
    told = browser.predict_in_browser(tmp_path, photos)

    assert np.ptp(wanted, axis=0).max() > 1e-3, "photos that all look alike to the model would prove nothing"
    assert np.abs(told.probabilities - wanted).max() < bound


def test_what_is_not_whole_is_refused(model: Any, tmp_path: Path) -> None:
    """A contract of another model, missing files, weights of another export."""
    with pytest.raises(Problems, match=r"run\.json says 64 pixels"):
        writer.write(model, Preprocessing(CONTRACT.classes, 64), tmp_path)
    with pytest.raises(Problems, match="no exported model in"):
        exported_model.load(tmp_path)
    writer.write(model, CONTRACT, tmp_path)
    next(tmp_path.glob("weights-*.bin")).write_bytes(b"broken")
    with pytest.raises(Problems, match=r"does not match the checksum in model\.json"):
        exported_model.load(tmp_path)
