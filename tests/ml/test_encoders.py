"""Encoders by one contract: published weights recognise what ImageNet's labels say, a file of one's own is trained,
exported and run by a browser, and what is none is named before a training begins.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml import download_photos, train_model, training_run
from ml.answers import AnswerRule
from ml.data import preprocessing
from ml.evaluation import browser
from ml.export import exported_model, writer
from ml.tensorflow_import import import_keras, quiet_stderr
from ml.training import efficientnet_lite, encoders, torch_checkpoint
from ml.training_run import Preprocessing
from orchestrator.problems import Problems
from orchestrator.storage.local import LocalFileStorage
from tests.ml import composed_photos, sample_photos
from tests.ml.finished_runs import make_run

pytestmark = [pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(600)]
SIZE = 96
IMAGENET_LABELS = {
    "coffee.png": {967: "espresso"},
    "chelsea.png": {281: "tabby", 282: "tiger cat", 285: "Egyptian cat"},
}
"""Indices and names of ILSVRC 2012's classes, which the checkpoint's last layer was trained on."""


@pytest.fixture(scope="module")
def keras() -> Any:
    return import_keras()


def test_published_weights_recognise_what_they_were_trained_on(keras: Any) -> None:
    """A cup of coffee and a cat, by the last layer of the checkpoint, which our encoder leaves out."""
    weights = efficientnet_lite.find_weights()
    tensors = torch_checkpoint.read(weights)
    base = efficientnet_lite.build_base(weights, 224)
    names = list(IMAGENET_LABELS)
    pictures = np.stack([
        preprocessing.crop_and_resize(composed_photos.load_photograph(name), Preprocessing(("a", "b"), 224))
        for name in names
    ])  # fmt: skip
    averages = np.asarray(base(pictures.astype(np.float32) / 127.5 - 1, training=False)).mean(axis=(1, 2))
    logits = averages @ tensors["_fc.weight"].T + tensors["_fc.bias"]

    assert logits.shape == (2, 1000)
    for name, best in zip(names, logits.argmax(axis=1).tolist(), strict=True):
        assert best in IMAGENET_LABELS[name], f"{name}: class {best}"


def test_encoders_are_cut_where_the_fewest_numbers_pass(keras: Any) -> None:
    """Block 13 of 16 in MobileNetV2, as it was fixed before there was a choice; the same kind of place in others."""
    mobilenet = encoders.build("mobilenet_v2", "none", SIZE)
    lite = encoders.build("efficientnet_lite0", "none", SIZE)

    assert encoders.find_cut_layer(mobilenet) == "block_13_project_BN"
    assert encoders.find_cut_layer(lite) == "block_11_project_bn"
    assert lite.get_layer("block_11_project_bn").output.shape[1:] == (3, 3, 192)


def make_encoder(keras: Any, size: int = SIZE) -> Any:
    """A residual network of one's own, with kernels of all sides that a browser has a fast path for, and of others."""
    layers = keras.layers
    keras.utils.set_random_seed(5)
    photo = keras.Input((size, size, 3))
    values = layers.ReLU()(layers.Conv2D(16, 3, 4, "same", bias_initializer="random_normal", name="stem")(photo))
    for side, stride in ((3, 1), (5, 2), (7, 1), (5, 1)):
        values = layers.DepthwiseConv2D(side, stride, "same", name=f"wide_{side}_{stride}")(values)
        values = layers.Conv2D(24 + side, 1, activation="relu6")(values)  # 29 and 31: no multiple of four channels
    narrow = layers.Conv2D(20, 1, name="narrow")(values)
    deep = layers.Conv2D(20, 1, activation="relu", name="deep")(layers.DepthwiseConv2D(3, padding="same")(narrow))
    return keras.Model(photo, layers.Conv2D(64, 1, activation="relu6")(layers.Add()([narrow, deep])))


def save(model: Any, path: str | Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras, about NumPy
        model.save(path)


def test_a_file_of_ones_own_is_trained_and_exported(
    keras: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It keeps its layers up to the narrowest, and what it answers in a browser is what it answers here."""
    save(make_encoder(keras), tmp_path / "own.keras")
    sample_photos.fill_storage(LocalFileStorage(tmp_path / "bucket"), 3, 4)
    data = ["--data", str(tmp_path / "data")]
    assert download_photos.main([*data, "--local", str(tmp_path / "bucket")]) == 0
    options = ["--runs", str(tmp_path / "runs"), "--size", str(SIZE), "--views", "2", "--epochs", "1"]
    assert train_model.main([*data, *options, "--encoder", str(tmp_path / "own.keras")]) == 0, capsys.readouterr().err
    (folder,) = (tmp_path / "runs").glob("2*")
    run = training_run.load(folder)

    assert (run.config["encoder"], run.config["fine_tuned_above"]) == ("own.keras", "narrow")
    trained, given = writer.load_keras_model(folder), make_encoder(keras)
    (base,) = [layer for layer in trained.layers if hasattr(layer, "layers")]
    for name, kept in (("stem", True), ("wide_5_2", True), ("narrow", True), ("deep", False)):
        same = np.allclose(base.get_layer(name).get_weights()[0], given.get_layer(name).get_weights()[0])
        assert same is kept, name
    paths = sorted((tmp_path / "data").rglob("*.jpg"))[:3]
    inputs = preprocessing.read_all(paths, run.preprocessing).astype(np.float32)
    shown = exported_model.load(folder / "web").answer(inputs)
    if browser.find_browser() is None:
        pytest.skip("needs chromium: it runs the exported model")
    answered = browser.predict_in_browser(folder / "web", paths)
    assert np.ptp(answered.embeddings, axis=0).max() > 1e-3, "photos that all look alike would prove nothing"
    assert np.abs(answered.answers - shown).max() < 1e-3


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("missing.keras", [], "cannot read the encoder .*missing.keras: No such file"),
        ("text.keras", [], "cannot read the encoder .*text.keras"),
        ("small.keras", [], r"has input \(64, 64, 3\) .*photos are \(96, 96, 3\)(.|\n)*--size"),
        ("classifier.keras", [], r"and output \(5,\).*must be a feature map"),
        ("swish.keras", [], "does not support activation 'silu'"),
        ("own.keras", ["--weights", "none"], "--weights cannot be used with an encoder file"),
        ("efficientnet_lite0", ["--weights", "text.keras"], "cannot read .*text.keras as a PyTorch checkpoint"),
        ("efficientnet_lite0", ["--weights", "hostile.pth"], "cannot read .*hostile.pth as a PyTorch checkpoint"),
    ],
)
def test_what_is_no_encoder_is_named_before_a_training(
    keras: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    name: str, options: list[str], sentence: str,
) -> None:  # fmt: skip
    """Files that are missing, of something else, of another size, or of layers that browsers do not run."""
    monkeypatch.chdir(tmp_path)
    layers = keras.layers
    Path("text.keras").write_text("no model")
    Path("hostile.pth").write_bytes(hostile_checkpoint())
    if name == "own.keras":
        save(make_encoder(keras), name)
    if name == "small.keras":
        save(make_encoder(keras, 64), name)
    if name == "classifier.keras":
        head = [layers.GlobalAveragePooling2D(), layers.Dense(5)]
        save(keras.Sequential([keras.Input((SIZE, SIZE, 3)), *head]), name)
    if name == "swish.keras":
        save(keras.Sequential([keras.Input((SIZE, SIZE, 3)), layers.Conv2D(4, 3, 8, activation="silu")]), name)
    sample_photos.fill_storage(LocalFileStorage(tmp_path / "bucket"), 2, 2)
    assert download_photos.main(["--data", "data", "--local", "bucket"]) == 0
    encoder = str(tmp_path / name) if "." in name else name
    code = train_model.main(["--data", "data", "--size", str(SIZE), "--encoder", encoder, *options])
    message = capsys.readouterr().err

    assert code == 1
    assert re.search(sentence, message), message
    assert "hint: " in message
    assert not list(Path("runs").glob("2*"))


class Hostile:
    """What a pickle can do: name a function, and have it called."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("was-run",)


def hostile_checkpoint() -> bytes:
    stream = io.BytesIO()
    values: tuple[Any, ...] = (torch_checkpoint.MAGIC_NUMBER, 1001, {}, {"weight": Hostile()}, [])
    for value in values:
        pickle.dump(value, stream, protocol=2)
    return stream.getvalue()


def test_checkpoints_run_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is none of a tensor's is refused, before it is called."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile.pth").write_bytes(hostile_checkpoint())
    with pytest.raises(Problems, match=r"it refers to (posix|os|nt)\.mkdir"):
        torch_checkpoint.read(tmp_path / "hostile.pth")

    assert not (tmp_path / "was-run").exists()


def test_tensorflow_starts_without_a_word() -> None:
    """In a process of its own: its libraries write when they are loaded, past Python."""
    command = "from ml.tensorflow_import import import_keras; import_keras().layers.Dense(2); print('ready')"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, env=environment, timeout=300, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "ready\n", "")


@quiet_stderr()
def fail_to_load() -> None:
    os.write(2, b"libcuda.so.1 is missing\n")
    raise ImportError("tensorflow")


def test_what_is_said_before_a_failure_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    """The reason why a library cannot be loaded is in what it writes."""
    with quiet_stderr():
        os.write(2, b"noise\n")
    with pytest.raises(ImportError):
        fail_to_load()

    assert capfd.readouterr().err == "libcuda.so.1 is missing\n"


def test_a_mixed_export_is_smaller_than_half_floats(keras: Any, tmp_path: Path) -> None:
    """For a shop whose answers bytes would change: of MobileNetV2, under 4 MB, which float16 is not."""
    given = keras.Input((SIZE, SIZE, 3))
    base = encoders.build("mobilenet_v2", str(composed_photos.find_weights()), SIZE)
    values = keras.layers.GlobalAveragePooling2D()(base(keras.layers.Rescaling(1 / 127.5, offset=-1)(given)))
    vectors = keras.layers.UnitNormalization(name="embedding")(keras.layers.Dense(128, name="projection")(values))
    model, prototypes = keras.Model(given, vectors), np.eye(2, 128, dtype=np.float32)
    run = make_run("v1", Preprocessing(("a", "b"), SIZE), answer=AnswerRule(12.0, 4.0, (0, 1)), embedding_size=128)
    sizes, errors = {}, {}
    picture = np.asarray(Image.fromarray(np.arange(SIZE * SIZE * 3).reshape(SIZE, SIZE, 3).astype(np.uint8)))[None]
    wanted = np.asarray(model(picture.astype(np.float32), training=False))
    for name in ("int8", "mixed", "float16"):
        sizes[name] = writer.write(model, run, prototypes, tmp_path, weights_type=name)
        vector = exported_model.load(tmp_path).predict(picture.astype(np.float32))["embedding"]
        errors[name] = float(np.abs(vector - wanted).max())

    assert sizes["int8"] < sizes["mixed"] < 4_000_000 < sizes["float16"]
    assert errors["float16"] < errors["mixed"] < errors["int8"]
