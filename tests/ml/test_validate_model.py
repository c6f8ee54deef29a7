"""A trained model is measured, held against its export and a browser, and compared with the one in use."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import training_run, validate_model
from ml.evaluation import browser
from ml.export.exported_model import ExportedModel
from ml.validate_model import ValidationResult
from orchestrator import canonical_json
from orchestrator.model_registry import publish_checks, registry
from orchestrator.model_registry.registry import LEARNED_FILE, ModelMetadata
from orchestrator.problems import Problems
from orchestrator.storage.local import LocalFileStorage
from tests.ml import fast_training, sample_photos, small_disk

pytestmark = [pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(600)]
NEEDS = pytest.mark.skipif(browser.find_browser() is None, reason="needs chromium: it runs the exported model")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bucket, its data set, and a training, all in one folder that no test changes."""
    folder = tmp_path_factory.mktemp("shop")
    fast_training.make_photos(folder)
    fast_training.train(folder / "runs/v1", folder / "data")
    return folder


@pytest.fixture
def mine(shop: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(shop, tmp_path / "shop")


def words(folder: Path, *more: str, version: str = "v1") -> list[str]:
    return [str(folder / "runs" / version), "--data", str(folder / "data"), "--local", str(folder / "bucket"), *more]


def validate(folder: Path, *more: str, web: Path = browser.WEB_FOLDER, version: str = "v1") -> ValidationResult:
    return validate_model.validate(validate_model.build_parser().parse_args(words(folder, *more, version=version)), web)


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON file."""
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


@NEEDS
def test_a_good_model_passes(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Keras, numpy and a browser agree; what was found is told, and kept by the schema for the upload."""
    assert validate_model.main(words(mine)) == 0
    told = capsys.readouterr().out
    for line in (
        "Model v1: 4 products, 32 photos.", "On 32 simulated phone photos, cross-validated: top-1",
        "Parity: passed", "Not compared: no model is in use.", "ms per photo in a browser",
        "Next: python -m ml.upload_model",
    ):  # fmt: skip
        assert line in told
    known = canonical_json.load((mine / "runs/v1/web/metadata.json").read_bytes(), ModelMetadata)
    assert known.parity.is_consistent
    assert known.parity.browser is not None
    assert known.verdict.says == "first"
    assert set(known.files) >= {"model.json", "catalogue.json", "learned.json"}
    assert len(json.loads((mine / "runs/v1/web" / LEARNED_FILE).read_text())) == 32
    assert sum(score.photos for score in known.metrics.per_product.values()) == 32


ANSWER_FAULT = "answer: the list of products, its percentages or 'none' differ"
FAULTS = {
    "scaling: inputs are": ("return resizePhoto(bitmap, this.contract);",
                            "return resizePhoto(bitmap, this.contract).map(x => x / 127.5 - 1);"),
    "channel order: BGR instead of RGB": ("if (channels === 'BGR')", "if (channels === 'RGB')"),
    "resize: ": ("const scale = from / to, support = Math.max(scale, 1)", "const scale = from / to, support = 1"),
    "crop: ": ("contract.fit === 'centre-crop' ?", "contract.fit === 'never' ?"),
    "transparency: the background is black": ("context.fillStyle = 'white'", "context.fillStyle = 'black'"),
    "preparation: ": ("imageOrientation: 'from-image'", "imageOrientation: 'flipY'"),
    ANSWER_FAULT: ("if (cosine > similarities[", "if (cosine < similarities["),
    f"{ANSWER_FAULT} ": ("none: exponentials[classes.length] / sum", "none: 0"),
    f" {ANSWER_FAULT}": ("products.sort((a, b) => b.probability - a.probability)", "products.sort((a, b) => 0)"),
}  # fmt: skip


@NEEDS
@pytest.mark.parametrize("name", FAULTS)
def test_a_browser_that_prepares_photos_otherwise_is_caught(mine: Path, tmp_path: Path, name: str) -> None:
    """And what it does is named."""
    web = shutil.copytree(browser.WEB_FOLDER, tmp_path / "web")
    text = (web / "predict.js").read_text()
    right, wrong = FAULTS[name]
    assert right in text
    (web / "predict.js").write_text(text.replace(right, wrong))
    found = validate(mine, web=web)

    assert not found.can_upload
    assert found.metadata.parity.fault.startswith(name.strip())
    assert found.metadata.parity.fault.endswith("(browser)")
    assert found.metadata.parity.exported is not None
    assert found.metadata.parity.exported < 0.1


def _pack(web: Path, change: Callable[[bytearray, dict[str, Any]], None]) -> None:
    """Change the export's weights, with the checksum that belongs to them."""
    document = json.loads((web / "model.json").read_bytes())
    path = web / document["weights"]["file"]
    data = bytearray(path.read_bytes())
    change(data, document)
    path.write_bytes(data)
    document["weights"]["sha256"] = hashlib.sha256(data).hexdigest()
    (web / "model.json").write_text(json.dumps(document))


def _rescaled(folder: Path, factor: float, offset: float) -> None:
    """Give the export's rescaling other numbers."""

    def change(data: bytearray, document: dict[str, Any]) -> None:
        (op,) = [op for op in document["ops"] if op["kind"] == "affine"]
        for name, value in (("weights", factor), ("bias", offset)):
            at, (count,) = op[name]["at"], op[name]["shape"]
            data[at : at + 4 * count] = np.full(count, value, dtype="<f4").tobytes()

    _pack(folder / "runs/v1/web", change)


def _noise_for_prototypes(folder: Path) -> None:
    def change(data: bytearray, document: dict[str, Any]) -> None:
        at, shape = document["answer"]["prototypes"]["at"], document["answer"]["prototypes"]["shape"]
        noise = np.random.default_rng(1).normal(size=shape)
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        data[at : at + 2 * noise.size] = noise.astype("<f2").tobytes()

    _pack(folder / "runs/v1/web", change)


def _answer(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    edit(folder / "runs/v1/web/model.json", lambda said: change(said["answer"]))


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda mine: _rescaled(mine, 1 / 255, 0.0), "scaling: the network receives x / 255"),
        (lambda mine: _rescaled(mine, 1.0, 0.0), "scaling: the network receives unscaled values"),
        (lambda mine: _contract(mine, channels="BGR"), "channel order: the export has BGR, training used RGB"),
        (lambda mine: _contract(mine, resize="nearest"), "resize: the export has nearest, training used triangle"),
        (lambda mine: _contract(mine, scaling="x / 255"), "scaling: the export has x / 255"),
        (lambda mine: _contract(mine, classes=["p1", "p2", "p3", "p0"]), "classes"),
        (_noise_for_prototypes, "answer: the export's prototypes differ"),
        (lambda mine: _answer(mine, lambda said: said.update(none=-50.0)), "answer: the export's none differs"),
        (lambda mine: _answer(mine, lambda said: said.update(scale=60.0)), "answer: the export's scale differs"),
        (lambda mine: _answer(mine, lambda said: said["owners"].reverse()), "answer: the export's owners differs"),
    ],
)
def test_an_export_that_is_another_model_is_caught(mine: Path, spoil: Callable[[Path], None], name: str) -> None:
    """Scaling that went missing within, and a contract that says otherwise."""
    validate(mine, "--no-browser")
    spoil(mine)
    found = validate(mine, "--no-browser").metadata.parity

    assert found.fault.startswith(name), found
    assert not found.is_consistent


def _contract(folder: Path, **values: Any) -> None:
    edit(folder / "runs/v1/web/model.json", lambda said: said["preprocessing"].update(values))


def test_a_training_that_saw_other_photos_is_caught(mine: Path) -> None:
    """Where all agree and none is right, because the training turned the colours: training's own numbers tell."""
    path = mine / "runs/v1/run.json"
    contract = training_run.load(path.parent).preprocessing
    wrong = {**json.loads(canonical_json.dump(contract)), "channels": "BGR"}
    edit(path, lambda said: said.update(preprocessing=wrong, preprocessing_hash=canonical_json.digest(wrong)))
    found = validate(mine, "--no-browser")

    assert found.metadata.parity.fault.startswith("channel order: RGB instead of BGR")
    assert not found.can_upload


@pytest.mark.parametrize(
    ("old", "new", "says"), [(True, False, "better"), (False, True, "worse"), (False, False, "same")]
)
def test_it_is_compared_with_the_one_in_use(
    mine: Path, capsys: pytest.CaptureFixture[str], old: bool, new: bool, says: str
) -> None:
    """On the same photos, that neither has learned from."""
    fast_training.train(mine / "runs/v2", mine / "data", "v2", is_degraded=old)
    fast_training.train(mine / "runs/v3", mine / "data", "v3", is_degraded=new)
    storage = LocalFileStorage(mine / "bucket")
    first = validate(mine, "--no-browser", version="v2")
    registry.publish(storage, first.folder, first.metadata, None)
    capsys.readouterr()
    code = validate_model.main(words(mine, "--no-browser", version="v3"))
    told = capsys.readouterr().out

    assert code == (1 if says == "worse" else 0), told
    assert "Compared with the model in use, v2, on 32 simulated phone photos" in told
    assert f"Verdict: {says}." in told


def test_a_lost_product_is_refused_by_name(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Though all others are recognised as before; one whose photos are gone from the shop is none."""
    storage = LocalFileStorage(mine / "bucket")
    first = validate(mine, "--no-browser")
    registry.publish(storage, first.folder, first.metadata, None)
    fast_training.train(mine / "runs/v2", mine / "data", "v2", products=2)
    for number in range(fast_training.SHOTS):
        storage.delete(f"product-photos/p3/{number}.jpg")
    capsys.readouterr()

    assert validate_model.main(words(mine, "--no-browser", version="v2")) == 1
    told = capsys.readouterr().out
    assert "LOST: this model does not recognise 1 product that v1 recognises from its photos: p2." in told
    assert "Do not upload this model" in told
    known = canonical_json.load((mine / "runs/v2/web/metadata.json").read_bytes(), ModelMetadata)
    assert known.verdict.lost == ("p2",)
    with pytest.raises(Problems, match=r"model v2 does not recognise 1 product \(p2\)"):
        publish_checks.check_publishable(known, registry.read_pointer(storage), "", validate_command="validate")


def test_own_phone_photos_are_the_headline(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the cross-validated numbers; what no product's folder holds should be none of ours."""
    for folder, product in (("p0", 0), ("p1", 1), ("none", 9)):
        (tmp_path / "test" / folder).mkdir(parents=True)
        for shot in range(2):
            (tmp_path / "test" / folder / f"{shot}.jpg").write_bytes(sample_photos.draw_photo(product, 50 + shot))
    assert validate_model.main(words(mine, "--no-browser", "--test", str(tmp_path / "test"))) == 0
    told = capsys.readouterr().out
    assert "On 4 test photos: top-1" in told
    assert "Trained products distinguished from other products:" in told
    assert "On 32 of the shop's own photos, cross-validated" in told
    (tmp_path / "test/p0/0.jpg").write_text("no photo")
    assert validate_model.main(words(mine, "--no-browser", "--test", str(tmp_path / "test"))) == 1
    assert "1 test photos cannot be used" in capsys.readouterr().err


def test_a_model_of_before_is_still_read(mine: Path) -> None:
    """One with classes and few-photo products, as they were published: compared, and its products not forgotten."""
    document = {
        "format": "orchestrator-layers/1", "outputs": {"probabilities": "said", "embedding": "seen"},
        "preprocessing": {"classes": ["p0", "p1"]}, "weights": {"type": "f4"},
        "ops": [{"kind": "input", "name": "seen", "in": [], "out": 0, "shape": [2]},
                {"kind": "softmax", "name": "said", "in": [0], "out": 1, "shape": [2]}],
        "nearest": {"vectors": [0, [3, 2]], "products": ["p0", "p1", "p9"], "trained": [True, True, False],
                    "threshold": 0.9},
    }  # fmt: skip
    model = ExportedModel(document, np.array([1, 0, 0, 1, 0.7, 0.7], dtype=np.float32))
    shown = model.answer(np.array([[1.0, 0.1], [0.7, 0.7]], dtype=np.float32))

    assert model.products == ("p0", "p1", "p9")
    assert shown.argmax(axis=1).tolist() == [0, 2]
    assert np.all(shown.sum(axis=1) <= 1 + 1e-6)


def _no_run(folder: Path) -> None:
    shutil.rmtree(folder / "runs/v1")


def _no_photos(folder: Path) -> None:
    shutil.rmtree(folder / "data/photos")


def _torn(folder: Path) -> None:
    (folder / "runs/v1/run.json").write_text('{"version": "v1"')


def _other_model(folder: Path) -> None:
    (folder / "runs/v1/model.keras").write_bytes(b"PK")


def _strange_pointer(folder: Path) -> None:
    (folder / "bucket/ml-models").mkdir(parents=True)
    (folder / "bucket/ml-models/current.json").write_text('{"version": "lost"}')


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_no_run, "no finished training run in"),
        (_no_photos, "all 32 photos of training run v1 are missing or changed in"),
        (_torn, "is not valid JSON"),
        (_other_model, "model.keras was changed or deleted after training"),
        (_strange_pointer, "cannot read the model in use, lost"),
    ],
)
def test_what_cannot_be_validated_is_told(
    mine: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], sentence: str
) -> None:
    """In a sentence with a way out; nothing is kept as if it had been validated."""
    spoil(mine)
    assert validate_model.main(words(mine, "--no-browser")) == 1
    told = capsys.readouterr().err

    assert sentence in told
    assert "hint: " in told
    assert not (mine / "runs/v1/web/metadata.json").exists()


def test_a_disk_that_fills_is_told(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing half is kept; with room the same command ends well."""
    with small_disk.limit_file_size(100):
        assert validate_model.main(words(mine, "--no-browser")) == 1
    told = capsys.readouterr().err
    assert "File too large" in told
    assert "hint: run again: python -m ml.validate_model" in told
    assert not [*mine.rglob("*.part*"), *mine.rglob("metadata.json")]
    assert validate_model.main(words(mine, "--no-browser")) == 0


def test_photos_that_went_are_counted(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others do."""
    gone = training_run.load(mine / "runs/v1").split.held_out[0]
    (mine / "data" / gone.path).unlink()
    assert validate_model.main(words(mine, "--no-browser")) == 0
    assert "31 photos (1 more are missing or changed)" in capsys.readouterr().out


def test_nothing_says_where_the_model_in_use_is(mine: Path) -> None:
    """Then it can be done without, when that is said."""
    given = validate_model.build_parser().parse_args(words(mine)[:3])
    with pytest.raises(Problems, match="no storage selected"):
        validate_model.validate(given)
    assert validate(mine, "--no-browser", "--no-compare").metadata.verdict.says == "first"
