"""The stages of a training by themselves, on networks of a few numbers: they stop anywhere and go on as if not."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ml import answers
from ml.data import preprocessing
from ml.data.dataset import Photo
from ml.evaluation import cross_validation
from ml.training import augmentation, feature_cache, hardware, network, phone_simulation, training_loop
from ml.training.feature_cache import FeatureExtractor
from ml.training.hardware import Hardware
from ml.training.network import Network
from ml.training.training_loop import Checkpoint, EpochMetrics, StageConfig, TrainingRows
from ml.training_run import Preprocessing
from orchestrator.problems import Problems
from tests.ml import composed_photos, sample_photos

pytestmark = [pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(600)]
CONTRACT = Preprocessing(("a", "b"), 32)
PLAN = StageConfig("all photos", 6, 0.05, batch_size=8, seed=3, checkpoint_interval_seconds=0.0)
LOSS = "sparse_categorical_crossentropy"


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    return keras


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    """Six of them, in files."""
    made = []
    for number in range(6):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(sample_photos.draw_photo(number, 1))
        made.append(Photo("ring", path.name, f"{number:064x}", 1, 9, 9, "0" * 16))
    return made


class Interrupted(FeatureExtractor):
    """Ctrl-C after the second batch."""

    def iter_pixels(self, photos: Sequence[Photo], views: int) -> Iterator[Any]:
        for number, batch in enumerate(super().iter_pixels(photos, views)):
            if number == 2:
                raise KeyboardInterrupt
            yield batch


def test_features_are_computed_once(keras: Any, photos: list[Photo], tmp_path: Path) -> None:
    """What was computed before a Ctrl-C is kept; a torn shard and a new photo are computed; others are not."""
    given = keras.Input((32, 32, 3))
    trunk = keras.Model(given, keras.layers.AveragePooling2D(8)(given))
    whole = FeatureExtractor(trunk, tmp_path, CONTRACT, 0, batch_size=2, shard_rows=2)
    stopped = Interrupted(trunk, tmp_path, CONTRACT, 0, batch_size=2, shard_rows=2)
    with pytest.raises(KeyboardInterrupt):
        stopped.fill(feature_cache.open_cache(tmp_path / "runs", {"size": 32}), photos[:5], 2)
    before = feature_cache.open_cache(tmp_path / "runs", {"size": 32})

    assert before.locations.keys() == set(feature_cache.list_entries(photos[:2], 2))
    assert whole.fill(before, photos[:5], 2) == 3
    assert whole.fill(feature_cache.open_cache(tmp_path / "runs", {"size": 32}), photos, 2) == 1
    assert not feature_cache.open_cache(tmp_path / "runs", {"size": 64}).locations
    torn = next(before.folder.glob("*.npy"))
    torn.write_bytes(torn.read_bytes()[:-20])
    again = feature_cache.open_cache(tmp_path / "runs", {"size": 32})
    assert whole.fill(again, photos, 2) == 1
    kept = again.read(feature_cache.list_entries(photos, 2))
    wanted = np.concatenate(
        [augmentation.make_views(tmp_path / one.path, CONTRACT, f"0:{one.sha256}", 2) for one in photos]
    )
    assert np.allclose(kept, np.asarray(trunk(wanted.astype(np.float32))), rtol=1e-3, atol=0.2)


def test_a_photo_that_cannot_be_read_is_named(keras: Any, photos: list[Photo], tmp_path: Path) -> None:
    """Those before it are kept."""
    given = keras.Input((32, 32, 3))
    whole = FeatureExtractor(keras.Model(given, keras.layers.AveragePooling2D(8)(given)), tmp_path, CONTRACT, 0, 2, 2)
    (tmp_path / "5.jpg").write_bytes(b"no photo")
    cache = feature_cache.open_cache(tmp_path / "runs", {})
    with pytest.raises(Problems, match=r"cannot read .*5\.jpg as a photo"):
        whole.fill(cache, photos, 1)
    assert set(feature_cache.list_entries(photos[:2], 1)) <= cache.locations.keys()


def test_a_disk_that_is_too_small_is_told(tmp_path: Path) -> None:
    """Before anything is computed, with what is needed and what there is."""
    feature_cache.require_disk_space(tmp_path, 1)
    with pytest.raises(Problems, match=r"not enough disk space in .*: features need 1000000000 MB(.|\n)*--runs FOLDER"):
        feature_cache.require_disk_space(tmp_path, 10**15)


def test_variations_are_of_the_same_photo(photos: list[Photo], tmp_path: Path) -> None:
    """The first is the photo as it is; the same seed gives the same, another gives others."""
    path = tmp_path / photos[1].path
    made = augmentation.make_views(path, CONTRACT, "seed", 6)

    assert (made[0] == preprocessing.read(path, CONTRACT)).all()
    assert (made == augmentation.make_views(path, CONTRACT, "seed", 6)).all()
    assert (made[1:] != augmentation.make_views(path, CONTRACT, "other", 6)[1:]).any(axis=(1, 2, 3)).all()
    assert len({one.tobytes() for one in made}) == 6
    turned = augmentation.make_views(path, replace(CONTRACT, channels="BGR"), "seed", 3)
    assert (turned == made[:3, :, :, ::-1]).all()


def studio_photo() -> tuple[Image.Image, Any]:
    """A red ring before a smooth grey, and where it is."""
    y, x = np.mgrid[-1:1:200j, -1:1:240j]
    ring = np.abs(np.hypot(x, y) - 0.4) < 0.1
    background = 200 + 20 * y[..., None] + np.random.default_rng(1).normal(0, 1, (200, 240, 3))
    pixels = np.where(ring[..., None], np.array([200.0, 20.0, 30.0]), background)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), ring


def test_a_product_is_cut_out_of_a_smooth_background() -> None:
    """Its inside is background as well; before a busy one nothing is cut."""
    photo, ring = studio_photo()
    mask = phone_simulation.cut_out(photo)
    assert mask is not None
    found = np.asarray(mask) > 127
    assert mask.size == photo.size
    assert found[ring].mean() > 0.95
    assert found[~ring].mean() < 0.08
    busy = np.random.default_rng(2).integers(0, 256, (200, 240, 3), dtype=np.uint8)
    assert phone_simulation.cut_out(Image.fromarray(busy)) is None
    assert phone_simulation.cut_out(Image.new("RGB", (200, 200), "white")) is None


def test_a_simulated_phone_photo_shows_the_product_elsewhere() -> None:
    """On another background: the product's colour stays, the studio's goes."""
    photo, _ = studio_photo()
    mask = phone_simulation.cut_out(photo)
    made = [phone_simulation.simulate(photo, mask, 64, np.random.default_rng(seed)) for seed in range(12)]
    reddish = [(one[..., 0].astype(int) - one[..., 1:].max(axis=-1) > 25).mean() for one in made]
    corners = np.stack([one[0, 0].astype(float) for one in made])

    assert all(one.shape == (64, 64, 3) and one.dtype == np.uint8 for one in made)
    assert sum(share > 0.02 for share in reddish) >= 9
    assert corners.std(axis=0).min() > 20


def small(keras: Any) -> Any:
    """A head with dropout, whose course depends on its random numbers as well."""
    keras.utils.set_random_seed(1)
    given = keras.Input((4,))
    hidden = keras.layers.Dropout(0.3, seed=5)(keras.layers.Dense(8, activation="relu")(given))
    return keras.Model(given, keras.layers.Dense(2, activation="softmax")(hidden))


def rows(count: int, seed: int) -> TrainingRows:
    inputs = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    labels = (inputs[:, 0] + inputs[:, 1] > 0).astype(np.int64)
    return TrainingRows(inputs.__getitem__, labels, training_loop.compute_sample_weights(labels, 2))


def test_a_stage_that_was_interrupted_ends_the_same(keras: Any, tmp_path: Path) -> None:
    """The same weights and the same epochs as without a Ctrl-C, wherever it came."""
    straight, stopped, fresh = (
        training_loop.compile_model(small(keras), LOSS, hardware.detect("cpu")) for _ in range(3)
    )
    learn = rows(40, 1)
    wanted = training_loop.train(straight, PLAN, learn, tmp_path / "a.npz", lambda _: None)

    def interrupt(done: EpochMetrics) -> None:
        if len(Checkpoint.load(tmp_path / "b.npz").epochs) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training_loop.train(stopped, PLAN, learn, tmp_path / "b.npz", interrupt)
    got = training_loop.train(fresh, PLAN, learn, tmp_path / "b.npz", lambda _: None)

    assert [one.loss for one in got] == pytest.approx([one.loss for one in wanted], rel=1e-5)
    assert len(got) == 6
    for one, other in zip(straight.model.get_weights(), fresh.model.get_weights(), strict=True):
        assert np.allclose(one, other, atol=1e-5)
    assert wanted[-1].loss < wanted[0].loss


def test_a_second_stage_begins_anew(keras: Any, tmp_path: Path) -> None:
    """From the given weights, with nothing that the optimizer remembers of the first; only dropout draws anew."""
    model = small(keras)
    before = model.get_weights()
    compiled = training_loop.compile_model(model, LOSS, hardware.detect("cpu"))
    first = training_loop.train(compiled, PLAN, rows(40, 1), tmp_path / "a.npz", lambda _: None)
    model.set_weights(before)
    second = training_loop.train(compiled, PLAN, rows(40, 1), tmp_path / "b.npz", lambda _: None)

    assert second[0].loss == pytest.approx(first[0].loss, rel=0.2)
    assert second[0].loss > 1.5 * first[-1].loss
    assert len(second) == len(first)


def test_several_devices_learn_together(keras: Any, tmp_path: Path) -> None:
    """Through TensorFlow's strategy for several GPUs, here with one processor."""
    import tensorflow as tf

    where = Hardware(tf.distribute.MirroredStrategy(["/cpu:0"]), 0, False)
    with where.strategy.scope():
        model = small(keras)
    compiled = training_loop.compile_model(model, LOSS, where)
    done = training_loop.train(compiled, PLAN, rows(40, 1), tmp_path / "a.npz", lambda _: None)

    assert done[-1].loss < done[0].loss
    assert len(Checkpoint.load(tmp_path / "a.npz").variables) > len(model.weights)


def test_a_torn_checkpoint_is_a_new_beginning(tmp_path: Path) -> None:
    """As is none."""
    Checkpoint([EpochMetrics("all photos", 1, 0, 1)], [np.zeros(3)]).save(tmp_path / "a.npz")
    assert Checkpoint.load(tmp_path / "a.npz").epochs[0].stage == "all photos"
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    assert Checkpoint.load(tmp_path / "a.npz").epochs == Checkpoint.load(tmp_path / "none.npz").epochs == []


@pytest.fixture(scope="module")
def mixed(keras: Any) -> Network:
    """Of float16 where it is safe; how far off that is depends on the head, which is drawn by lot."""
    keras.utils.set_random_seed(1)
    return network.build("mobilenet_v2", str(composed_photos.find_weights()), 96, 3, 8, mixed_precision=True)


def test_only_what_is_above_the_cut_learns(mixed: Network) -> None:
    """The convolutions of the crown, projection and proxies; what batch norms have seen stays what it was."""
    mixed.freeze()
    learns = {one.path for one in mixed.top_model.trainable_variables}
    head = {"projection/kernel", "projection/bias", "proxies/kernel"}
    assert head < learns
    crown = learns - head
    assert {name.split("/")[1] for name in crown} == {"kernel"}
    assert "Conv_1/kernel" in crown
    assert {name.rpartition("_")[0] for name in crown} == {"Conv", "block_14", "block_15", "block_16"}
    assert not mixed.trunk.trainable_variables


def test_mixed_precision_ends_in_float32(mixed: Network) -> None:
    """What is trained in halves embeds in whole numbers, and almost the same."""
    whole = network.build_final_model(mixed, "mobilenet_v2", 96)
    photo = np.stack(
        [np.asarray(composed_photos.compose_photo(number, 1, 96), dtype=np.float32) for number in range(2)]
    )
    halves = np.asarray(mixed.embed(np.asarray(mixed.trunk(photo), dtype=np.float32)))

    assert {layer.dtype_policy.name for layer in whole.layers} == {"float32"}
    assert str(mixed.trunk(photo).dtype).endswith("float16'>")
    assert halves.dtype == np.float32
    assert np.abs(np.asarray(whole(photo)) - halves).max() < 0.05


def test_mixed_precision_learns(mixed: Network, tmp_path: Path) -> None:
    """With losses scaled so that no gradient vanishes; what is kept is float32."""
    labels = np.arange(12) % 3
    photos = np.stack([np.asarray(composed_photos.compose_photo(at % 3, at, 96), dtype=np.uint8) for at in range(12)])
    inputs = np.asarray(mixed.trunk(photos), dtype=np.float32)
    learn = TrainingRows(inputs.__getitem__, labels, training_loop.compute_sample_weights(labels, 3))
    mixed.freeze()
    network.initialise_head(mixed, np.asarray(mixed.compute_averages(inputs), dtype=np.float32), labels)
    compiled = training_loop.compile_model(mixed.top_model, network.margin_loss, hardware.detect("cpu"))
    plan = replace(PLAN, batch_size=4, learning_rate=3e-4)
    done = training_loop.train(compiled, plan, learn, tmp_path / "a.npz", lambda _: None)

    assert done[-1].loss < done[0].loss
    assert "LossScale" in type(mixed.top_model.optimizer).__name__
    proxies = mixed.head.get_layer("proxies").get_weights()[0]
    assert proxies.dtype == np.float32
    assert np.allclose(np.linalg.norm(proxies, axis=0), 1, atol=1e-3)


@given(counts=st.lists(st.integers(1, 30), min_size=2, max_size=6))
def test_products_count_the_same_however_many_photos_they_have(counts: list[int]) -> None:
    """Unless one had to count more than ten times as much."""
    labels = np.repeat(np.arange(len(counts)), counts)
    weights = training_loop.compute_sample_weights(labels, len(counts))
    each = [weights[labels == at].sum() for at in range(len(counts))]

    assert weights.max() <= 10
    if weights.max() < 10:
        assert each == pytest.approx([len(labels) / len(counts)] * len(counts), rel=1e-4)


def stand_in(name: str) -> Photo:
    """A photo of which only the product matters."""
    return Photo(name, f"{name}.jpg", name, 1, 1, 1, "0")


@settings(max_examples=10)
@given(seed=st.integers(0, 99))
def test_cross_validation_measures_what_people_see(seed: int) -> None:
    """Every product is answered, one of a single photo too; lookalikes are a group, strangers none of ours."""
    draws = np.random.default_rng(seed)
    names = ("amber", "aro-gold", "aro-rose", "pearl")
    around = np.eye(4, 8) + np.array([[0], [0], [0.9], [0]]) * np.eye(4, 8)[[1, 1, 1, 1]]

    def views(products: Sequence[str], count: int) -> Any:
        made = around[[names.index(one) for one in products]][:, None] + draws.normal(
            0, 0.06, (len(products), count, 8)
        )
        return made / np.linalg.norm(made, axis=2, keepdims=True)

    learned = tuple(stand_in(one) for one in ("amber", "aro-gold", "aro-gold", "aro-rose", "pearl", "pearl"))
    measured = tuple(stand_in(one) for one in ("aro-gold", "aro-rose", "amber", "pearl") * 6)
    prototypes, owners = cross_validation.build_prototypes(
        learned, views([one.product for one in learned], 3), names, limit=2
    )
    fold = cross_validation.answer_fold(
        (measured, views([one.product for one in measured], 3)), ((), np.empty((0, 3, 8))), prototypes, owners, 4
    )
    found = cross_validation.evaluate([fold], names, owners)

    assert owners == (0, 0, 1, 1, 2, 2, 3, 3)
    assert np.allclose(np.linalg.norm(prototypes, axis=1), 1, atol=1e-5)
    assert (found.studio.photos, found.phone.photos) == (24, 48)
    assert found.phone.top3 == 1.0
    assert found.phone.ece < 0.15
    assert found.phone.separation is not None
    assert found.phone.separation > 0.9
    assert np.allclose(found.phone_answers.sum(axis=1), 1, atol=1e-5)
    assert found.rule.groups in {(), (("aro-gold", "aro-rose"),)}


def test_none_of_ours_is_measured_on_products_that_were_not_learned() -> None:
    """A model that parts what it has learned, and takes all else for some of that: by its own photos it is perfect."""
    draws = np.random.default_rng(1)
    names = tuple(f"p{at}" for at in range(8))

    def views(directions: Sequence[int]) -> Any:
        made = np.eye(8, 12)[list(directions)][:, None] + draws.normal(0, 0.05, (len(directions), 4, 12))
        return made / np.linalg.norm(made, axis=2, keepdims=True)

    photos = tuple(stand_in(name) for name in names * 3)
    prototypes, owners = cross_validation.build_prototypes(photos, views(list(range(8)) * 3), names)
    known = (photos[:6] * 3, views(list(range(6)) * 3))
    unknown = (photos[6:8] * 9, views(list(range(6)) * 3))
    nobody = ((), np.empty((0, 4, 12)))
    honest, by_its_own = (
        cross_validation.evaluate(
            [cross_validation.answer_fold(known, others, prototypes, owners, 8)], names, owners
        ).phone
        for others in (unknown, nobody)
    )

    assert (honest.photos, honest.per_product.keys()) == (54, dict.fromkeys(names[:6]).keys())
    assert honest.separation == pytest.approx(0.5, abs=0.15)
    assert by_its_own.separation == pytest.approx(1.0, abs=0.02)


def test_nothing_to_measure_is_no_number() -> None:
    """A shop with one photo of each product has a rule, and no metrics."""
    found = cross_validation.evaluate([], ("a", "b"), (0, 1))
    assert (found.phone.photos, found.studio.photos) == (0, 0)
    shown = answers.probabilities(np.array([[0.9, 0.1]]), found.rule.scale, found.rule.none)
    assert shown[0].argmax() == 0


def test_too_little_memory_is_told(tmp_path: Path) -> None:
    """Before anything is computed; a machine that does not say is believed."""
    (tmp_path / "meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 400000 kB\n")
    with pytest.raises(Problems, match="not enough memory: 390 MB available"):
        hardware.require_memory(tmp_path / "meminfo")
    hardware.require_memory(tmp_path / "none")
    assert hardware.is_out_of_memory(MemoryError())
    assert not hardware.is_out_of_memory(ValueError("shape"))


def test_a_gpu_that_is_not_there_is_told() -> None:
    """When it was asked for."""
    with pytest.raises(Problems, match="TensorFlow found no GPU"):
        hardware.detect("gpu")
    assert "no GPU" in str(hardware.detect())
