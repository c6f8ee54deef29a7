"""A real MobileNetV2 learns to tell real photos apart; what it leaves is whole, and a browser says the same."""

from __future__ import annotations

import re
import shutil
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import train_model, training_run
from ml.atomic_files import sha256
from ml.data import dataset, preprocessing
from ml.evaluation import browser
from ml.export import exported_model, writer
from tests.ml import composed_photos, small_disk
from tests.ml.conftest import WORDS, TrainedShop

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(600)]
CLASSES, FEW, LATER = 4, 4, 5
"""Products that are classes, the number of the one with few photos, and of one that training never heard of."""


def test_it_recognises_photos_it_never_saw(trained_shop: TrainedShop, keras_model: Any) -> None:
    """As often as it says, when asked again."""
    done = trained_shop.run
    held = done.split.held_out
    answers = np.asarray(
        keras_model(preprocessing.read_all([trained_shop.data / one.path for one in held], done.preprocessing))
    )
    right = [done.classes[at] == one.product for at, one in zip(answers.argmax(axis=1), held, strict=True)]

    assert done.metrics.top1 >= 0.85
    assert done.metrics.prototypes >= 0.85
    assert done.metrics.top1 == pytest.approx(np.mean(right))
    assert done.classes == ("p00", "p01", "p02", "p03")
    assert {one.product for one in held} == set(done.classes)
    assert sum(score.photos for score in done.metrics.per_product.values()) == len(held)


def test_what_it_leaves_is_whole(trained_shop: TrainedShop) -> None:
    """All that ``ml.run`` says, with checksums; nothing of the way there but the features."""
    done = trained_shop.run

    assert done.data_hash == dataset.load(trained_shop.run_folder).hash == dataset.load(trained_shop.data).hash
    assert done.files.keys() == {path.name for path in trained_shop.run_folder.iterdir() if path.is_file()} - {
        training_run.RUN_FILE
    }
    assert all(sha256(trained_shop.run_folder / name) == sums for name, sums in done.files.items())
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", done.version)
    assert done.config["weights_hash"] == sha256(composed_photos.find_weights())
    assert done.config["fine_epochs"] == 1
    assert done.tools.keys() == {"tensorflow", "keras", "numpy", "pillow"}
    assert not list((trained_shop.folder / "runs/.training").iterdir())
    known = {one.sha256 for one in dataset.load(trained_shop.run_folder).photos} - {
        one.sha256 for one in done.split.held_out
    }
    assert len(known) == done.split.train + done.split.validation + 3


def test_products_with_few_photos_are_recognised(trained_shop: TrainedShop, keras_model: Any, tmp_path: Path) -> None:
    """By three photos that were there, or by two of a product that came later; in photos that nobody has seen."""
    import keras

    done = trained_shop.run
    bones = keras.Model(keras_model.inputs[0], keras_model.get_layer(training_run.EMBEDDING_LAYER).output)

    def vectors(number: int, shots: range) -> Any:
        paths = [tmp_path / f"{number}-{shot}.png" for shot in shots]
        for path, shot in zip(paths, shots, strict=True):
            composed_photos.compose_photo(number, shot).save(path)
        return np.asarray(bones(preprocessing.read_all(paths, done.preprocessing), training=False))

    with np.load(trained_shop.run_folder / training_run.PROTOTYPES_FILE) as found:
        known, products, trained = found["vectors"], found["products"].tolist(), found["trained"].tolist()
    added = vectors(LATER, range(2)).mean(axis=0)
    known = np.vstack([known, added / np.linalg.norm(added)])
    products.append("later")
    near = {number: vectors(number, range(50, 58)) @ known.T for number in (0, FEW, LATER)}

    assert done.few_photos == ("p04",)
    assert trained == [True] * CLASSES + [False]
    assert np.allclose(np.linalg.norm(known, axis=1), 1, atol=1e-4)
    assert (near[0].argmax(axis=1) == 0).mean() >= 0.85
    for number, name in ((FEW, "p04"), (LATER, "later")):
        assert (near[number].argmax(axis=1) == products.index(name)).mean() >= 0.75, name
        assert (near[number].max(axis=1) > done.prototype_threshold).mean() >= 0.6, name


def test_the_export_says_the_same(trained_shop: TrainedShop, keras_model: Any) -> None:
    """With numpy and in a browser, of held-out photos."""
    done = trained_shop.run
    paths = [trained_shop.data / one.path for one in done.split.held_out][:4]
    inputs = preprocessing.read_all(paths, done.preprocessing).astype(np.float32)
    wanted = np.asarray(keras_model(inputs, training=False))
    told = exported_model.load(trained_shop.run_folder / writer.EXPORT_FOLDER)

    assert told.document["version"] == done.version
    assert np.abs(told.predict(inputs)["probabilities"] - wanted).max() < 1e-4
    if browser.find_browser() is None:
        pytest.skip("needs chromium: it runs the exported model")
    assert (
        np.abs(
            browser.predict_in_browser(trained_shop.run_folder / writer.EXPORT_FOLDER, paths).probabilities - wanted
        ).max()
        < 1e-4
    )


def changed(data: Path) -> None:
    """One photo is gone, one is another."""
    first, second = sorted((data / "photos/p00").iterdir())[:2]
    first.unlink()
    second.write_bytes(b"another")


def emptied(data: Path) -> None:
    dataset.save(dataset.build(()), data)


def only_one_product(data: Path) -> None:
    dataset.save(dataset.build(tuple(one for one in dataset.load(data).photos if one.product == "p00")), data)


def one_photo(data: Path) -> None:
    dataset.save(dataset.build(dataset.load(data).photos[:1]), data)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (changed, r"2 of 51 photos in .* do not match .*00\.jpg: No such file.*01\.jpg has changed"),
        (emptied, "the dataset contains no photos"),
        (only_one_product, "at least two products with 8 photos.*found p00: 14 photos"),
        (one_photo, "at least two products with 8 photos.*found p00: 1 photos"),
        (shutil.rmtree, r"no dataset in .*: dataset\.json does not exist"),
    ],
)
def test_photos_that_teach_nothing_are_told(
    trained_shop: TrainedShop, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Any, sentence: str
) -> None:
    """In a sentence with a way out, before anything is begun."""
    data = shutil.copytree(trained_shop.data, tmp_path / "data")
    spoil(data)
    assert train_model.main(["--data", str(data), "--runs", str(tmp_path / "runs"), *WORDS]) == 1
    told = capsys.readouterr().err

    assert re.search(sentence, told), told
    assert "hint: " in told
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ("imagenet", "cannot download the ImageNet weights(.|\n)*--weights PATH"),
        ("nothing.h5", "cannot read the weights .*nothing.h5: No such file"),
        ("text.h5", "cannot read .*text.h5 as MobileNetV2 weights"),
        ("other.keras", "other.keras does not contain MobileNetV2 weights of width 1.0: layer 'Conv1' needs"),
    ],
)
def test_weights_that_are_none_are_told(
    trained_shop: TrainedShop, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    weights: str, sentence: str,
) -> None:  # fmt: skip
    """Those of nobody, of another network, of a server that cannot be reached."""
    import keras

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "text.h5").write_text("no weights")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras, about NumPy
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    given = weights if weights == "imagenet" else str(tmp_path / weights)
    words = ["--data", str(trained_shop.data), "--runs", str(tmp_path / "runs"), "--weights", given, "--size", "96"]
    assert train_model.main(words) == 1
    assert re.search(sentence, told := capsys.readouterr().err), told


@contextmanager
def stopped(runs: Path, sign: str) -> Iterator[None]:
    """Ctrl-C as soon as a file that matches ``sign`` lies in the folder of runs; again while nobody hears it."""
    over, main = threading.Event(), threading.main_thread().ident
    assert main is not None

    def wait() -> None:
        while not over.wait(0.01):
            if any(runs.glob(sign)):
                signal.pthread_kill(main, signal.SIGINT)
                over.wait(5)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watcher = threading.Thread(target=wait)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        signal.signal(signal.SIGINT, before)


def test_wherever_it_is_stopped_it_goes_on(
    trained_shop: TrainedShop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C before anything, after the head, while the run is written; then a disk that fills."""
    runs = tmp_path / "runs"
    shutil.copytree(trained_shop.folder / "runs/.features", runs / ".features")
    words = ["--data", str(trained_shop.data), "--runs", str(runs), *WORDS]
    for sign in (".training/*/began.json", ".training/*/head.npz", "2*/model.keras"):
        with stopped(runs, sign):
            assert train_model.main(words) == 130
        told = capsys.readouterr().err
        assert "Interrupted. Completed work is kept." in told
        assert f"hint: continue with: python -m ml.train_model --data {trained_shop.data}" in told
        assert not [*runs.glob("2*/run.json"), *runs.rglob("*.part*")]
    with small_disk.limit_file_size(1_000_000):
        assert train_model.main(words) == 1
    told = capsys.readouterr().err
    assert "File too large" in told
    assert "hint: run again: python -m ml.train_model" in told
    assert not [*runs.glob("2*/run.json"), *runs.rglob("*.part*")]

    assert train_model.main(words) == 0
    (place,) = runs.glob("2*")
    done = training_run.load(place)
    assert done.metrics.top1 == pytest.approx(trained_shop.run.metrics.top1, abs=0.11)
    assert (done.config["head_epochs"], done.config["fine_epochs"]) == (trained_shop.run.config["head_epochs"], 1)
    assert not list((runs / ".training").iterdir())


def test_numbers_that_are_none_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """By the option they were given for."""
    for option, value in product(("--views", "--epochs", "--batch"), ("0", "-1", "x")):
        with pytest.raises(SystemExit) as ended:
            train_model.main([option, value])
        assert ended.value.code == 2
        assert f"argument {option}" in capsys.readouterr().err


def test_the_report_shows_what_there_is(trained_shop: TrainedShop) -> None:
    """One file that needs no other, of this training."""
    done = trained_shop.run
    text = (trained_shop.run_folder / training_run.REPORT_FILE).read_text()

    assert f"<h1>Training {done.version}</h1>" in text
    assert text.count("data:image/png;base64,") == 2
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert "Products with few photos" in text
