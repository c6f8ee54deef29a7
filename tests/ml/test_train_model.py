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

from ml import answers, train_model, training_run
from ml.atomic_files import sha256
from ml.data import dataset, preprocessing
from ml.evaluation import browser
from ml.export import exported_model, writer
from ml.training import run_writer
from tests.ml import composed_photos, small_disk
from tests.ml.conftest import WORDS, TrainedShop

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(600)]
FEW = 4
"""Number of the product with three photos; all others have ten or more."""


def test_it_recognises_photos_it_never_saw(trained_shop: TrainedShop, tmp_path: Path) -> None:
    """Of every product, one with three photos too; what no product is, less surely than products are."""
    done = trained_shop.run
    model = exported_model.load(trained_shop.run_folder / writer.EXPORT_FOLDER)

    def answer(number: int) -> Any:
        paths = [tmp_path / f"{number}-{shot}.png" for shot in range(50, 58)]
        for path, shot in zip(paths, range(50, 58), strict=True):
            composed_photos.compose_photo(number, shot).save(path)
        return model.answer(preprocessing.read_all(paths, done.preprocessing).astype(np.float32))

    shown = {number: answer(number) for number in (0, 2, FEW, 7, 8)}

    assert done.classes == model.products == ("p00", "p01", "p02", "p03", "p04")
    for number in (0, 2, FEW):
        assert (shown[number][:, :-1].argmax(axis=1) == number).mean() >= 0.75, number
    known, strange = (np.concatenate([shown[one][:, -1] for one in numbers]) for numbers in ((0, 2), (7, 8)))
    assert known.mean() < strange.mean()


def test_its_numbers_are_of_all_products(trained_shop: TrainedShop) -> None:
    """Cross-validated: every photo once as it is, and as often as it was simulated."""
    done = trained_shop.run
    photos = {one.path for one in dataset.load(trained_shop.data).photos}

    assert {one.path for one in done.split.held_out} <= photos
    assert {one.product for one in done.split.held_out} == set(done.classes)
    assert done.split.learned == len(photos)
    assert done.studio.photos == len(done.split.held_out) >= len(photos) - 3
    assert done.phone.photos == done.studio.photos * (int(str(done.config["views"])) - 1)
    assert done.studio.top1 >= 0.8
    assert done.phone.separation is not None
    assert done.learned_similarity > 0.9
    assert sum(score.photos for score in done.studio.per_product.values()) == done.studio.photos


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
    assert done.tools.keys() == {"tensorflow", "keras", "numpy", "pillow"}
    assert not list((trained_shop.folder / "runs/.training").iterdir())


def test_the_export_says_the_same(trained_shop: TrainedShop, keras_model: Any) -> None:
    """With numpy and in a browser, what the trained model with its prototypes says."""
    done = trained_shop.run
    paths = [trained_shop.data / one.path for one in done.split.held_out][:4]
    inputs = preprocessing.read_all(paths, done.preprocessing).astype(np.float32)
    similarities = answers.product_similarities(
        np.asarray(keras_model(inputs, training=False)), writer.load_prototypes(done, trained_shop.run_folder),
        done.answer.owners, len(done.classes),
    )  # fmt: skip
    wanted = answers.probabilities(similarities, done.answer.scale, done.answer.none)
    told = exported_model.load(trained_shop.run_folder / writer.EXPORT_FOLDER)

    assert told.document["version"] == done.version
    assert told.document["weights"]["bytes"] < 4_000_000, "a shop of five products, whose percentages are steep"
    assert np.abs(told.answer(inputs) - wanted).max() < 0.12
    if browser.find_browser() is None:
        pytest.skip("needs chromium: it runs the exported model")
    seen = browser.predict_in_browser(trained_shop.run_folder / writer.EXPORT_FOLDER, paths)
    assert np.abs(seen.answers - told.answer(inputs)).max() < 1e-2


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
        (only_one_product, "photos of one product only: p00"),
        (one_photo, "photos of one product only: p00"),
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


# A write that Ctrl-C ends leaves numpy's file to the garbage collector, which closes it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_wherever_it_is_stopped_it_goes_on(
    trained_shop: TrainedShop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C before anything, after the head, while the run is written; then a disk that fills."""
    runs = tmp_path / "runs"
    shutil.copytree(trained_shop.folder / "runs/.features", runs / ".features")
    words = ["--data", str(trained_shop.data), "--runs", str(runs), *WORDS]
    for sign in (".training/*/began.json", ".training/*/fold-1-of-2.npz", "2*/model.keras"):
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
    assert done.studio.top1 == pytest.approx(trained_shop.run.studio.top1, abs=0.11)
    assert not list((runs / ".training").iterdir())
    capsys.readouterr()

    assert train_model.main(words) == 0  # nothing is new: no second version of the same weights
    told = capsys.readouterr().out
    assert f"{place} was trained from the same photos with the same settings" in told
    assert f"Next: python -m ml.validate_model {place} --data {trained_shop.data}" in told
    assert list(runs.glob("2*")) == [place]
    (place / training_run.PROTOTYPES_FILE).unlink()
    assert run_writer.find_run(runs, str(done.config["fingerprint"])) is None


def test_numbers_that_are_none_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """By the option they were given for."""
    for option, value in product(("--epochs", "--batch"), ("0", "-1", "x")):
        with pytest.raises(SystemExit) as ended:
            train_model.main([option, value])
        assert ended.value.code == 2
        assert f"argument {option}" in capsys.readouterr().err


def test_the_report_shows_what_there_is(trained_shop: TrainedShop) -> None:
    """One file that needs no other, of this training."""
    done = trained_shop.run
    text = (trained_shop.run_folder / training_run.REPORT_FILE).read_text()

    assert f"<h1>Training {done.version}</h1>" in text
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    assert "Simulated phone photos:" in text
    assert all(name in text for name in done.classes)
