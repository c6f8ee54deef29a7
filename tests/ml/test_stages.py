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

from ml.data import preprocessing
from ml.data.dataset import Photo
from ml.data.split import DatasetSplits
from ml.evaluation import prototype_metrics
from ml.training import augmentation, feature_cache, hardware, network, training_loop
from ml.training.feature_cache import FeatureExtractor
from ml.training.hardware import Hardware
from ml.training.network import Network
from ml.training.training_loop import Checkpoint, EpochMetrics, StageConfig, TrainingRows
from ml.training_run import Preprocessing, Score
from orchestrator.problems import Problems
from tests.ml import composed_photos, sample_photos

pytestmark = [pytest.mark.tensorflow, pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(600)]
CONTRACT = Preprocessing(("a", "b"), 32)
PLAN = StageConfig("head", 6, 9, 0.05, batch_size=8, seed=3, checkpoint_interval_seconds=0.0)


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
    """The first is the photo as it is; the same seed gives the same, another gives others; none is far off."""
    path = tmp_path / photos[1].path
    made = augmentation.make_views(path, CONTRACT, "seed", 6)

    assert (made[0] == preprocessing.read(path, CONTRACT)).all()
    assert (made == augmentation.make_views(path, CONTRACT, "seed", 6)).all()
    assert (made[1:] != augmentation.make_views(path, CONTRACT, "other", 6)[1:]).any(axis=(1, 2, 3)).all()
    assert len({one.tobytes() for one in made}) == 6
    colours = made.reshape(6, -1, 3).mean(axis=1)
    assert np.abs(colours - colours[0]).max() < 70


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
    where = hardware.detect("cpu")
    straight, stopped, fresh = small(keras), small(keras), small(keras)
    learn, check = rows(40, 1), rows(16, 2)
    wanted = training_loop.train(straight, PLAN, learn, check, tmp_path / "a.npz", where, lambda _: None)

    def interrupt(done: EpochMetrics) -> None:
        if len(Checkpoint.load(tmp_path / "b.npz").epochs) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training_loop.train(stopped, PLAN, learn, check, tmp_path / "b.npz", where, interrupt)
    got = training_loop.train(fresh, PLAN, learn, check, tmp_path / "b.npz", where, lambda _: None)

    assert [one.validation_loss for one in got] == pytest.approx([one.validation_loss for one in wanted], rel=1e-5)
    assert len(got) == 6
    for one, other in zip(straight.get_weights(), fresh.get_weights(), strict=True):
        assert np.allclose(one, other, atol=1e-5)
    assert wanted[-1].validation_loss < wanted[0].validation_loss


def test_several_devices_learn_together(keras: Any, tmp_path: Path) -> None:
    """Through TensorFlow's strategy for several GPUs, here with one processor."""
    import tensorflow as tf

    where = Hardware(tf.distribute.MirroredStrategy(["/cpu:0"]), 0, False)
    with where.strategy.scope():
        model = small(keras)
    done = training_loop.train(model, PLAN, rows(40, 1), rows(16, 2), tmp_path / "a.npz", where, lambda _: None)

    assert done[-1].validation_loss < done[0].validation_loss
    assert len(Checkpoint.load(tmp_path / "a.npz").variables) > len(model.weights)


def test_it_stops_when_others_are_no_longer_recognised_better(keras: Any, tmp_path: Path) -> None:
    """With the weights that it began with, where none are better."""
    model = small(keras)
    before = model.get_weights()
    plan = replace(PLAN, patience=2, baseline_loss=0.0)
    done = training_loop.train(
        model, plan, rows(24, 1), rows(16, 2), tmp_path / "a.npz", hardware.detect("cpu"), lambda _: None
    )

    assert len(done) == 2
    assert all((one == other).all() for one, other in zip(before, model.get_weights(), strict=True))


def test_a_torn_checkpoint_is_a_new_beginning(tmp_path: Path) -> None:
    """As is none."""
    Checkpoint([EpochMetrics("head", 1, 0, 1, 0, 1)], [np.ones(2)], [np.zeros(3)]).save(tmp_path / "a.npz")
    assert Checkpoint.load(tmp_path / "a.npz").epochs[0].stage == "head"
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    assert Checkpoint.load(tmp_path / "a.npz").epochs == Checkpoint.load(tmp_path / "none.npz").epochs == []


@pytest.fixture(scope="module")
def mixed(keras: Any) -> Network:
    """Of float16 where it is safe; how far off that is depends on the head, which is drawn by lot."""
    keras.utils.set_random_seed(1)
    return network.build(str(composed_photos.find_weights()), 96, 3, 8, mixed_precision=True)


def test_only_what_is_above_the_cut_learns(mixed: Network) -> None:
    """The head, then the convolutions of the crown as well; what batch norms have seen stays what it was."""

    def learns(model: Any) -> set[str]:
        return {one.path for one in model.trainable_variables}

    mixed.freeze(top_blocks=True)
    head = {f"{layer}/{name}" for layer in ("projection", "probabilities") for name in ("kernel", "bias")}
    assert learns(mixed.top_model) == head
    mixed.freeze(top_blocks=False)
    crown = learns(mixed.top_model) - head
    assert {name.split("/")[1] for name in crown} == {"kernel"}
    assert "Conv_1/kernel" in crown
    assert {name.rpartition("_")[0] for name in crown} == {"Conv", "block_14", "block_15", "block_16"}
    assert not learns(mixed.trunk)


def test_mixed_precision_ends_in_float32(mixed: Network) -> None:
    """What is trained in halves answers in whole numbers, and almost the same."""
    whole = network.build_final_model(mixed, 96)
    photo = np.stack(
        [np.asarray(composed_photos.compose_photo(number, 1, 96), dtype=np.float32) for number in range(2)]
    )
    halves = mixed.top_model(mixed.trunk(photo))

    assert {layer.dtype_policy.name for layer in whole.layers} == {"float32"}
    assert str(mixed.trunk(photo).dtype).endswith("float16'>")
    assert np.asarray(halves).dtype == np.float32
    assert np.abs(np.asarray(whole(photo)) - np.asarray(halves)).max() < 0.05


def test_mixed_precision_learns(mixed: Network, tmp_path: Path) -> None:
    """Crown and head, with losses scaled so that no gradient vanishes; what is kept is float32."""
    labels = np.arange(12) % 3
    photos = np.stack([np.asarray(composed_photos.compose_photo(at % 3, at, 96), dtype=np.uint8) for at in range(12)])
    inputs = np.asarray(mixed.trunk(photos), dtype=np.float32)
    learn = TrainingRows(inputs.__getitem__, labels, training_loop.compute_sample_weights(labels, 3))
    mixed.freeze(top_blocks=False)
    plan = replace(PLAN, batch_size=4, learning_rate=1e-4)
    done = training_loop.train(
        mixed.top_model, plan, learn, learn, tmp_path / "a.npz", hardware.detect("cpu"), lambda _: None
    )

    assert min(one.validation_loss for one in done[1:]) < done[0].validation_loss
    assert "LossScale" in type(mixed.top_model.optimizer).__name__
    assert {one.dtype for one in Checkpoint.load(tmp_path / "a.npz").best_weights} == {np.dtype("float32")}


@given(photos=st.integers(1, 40), views=st.integers(1, 4), first=st.integers(0, 9))
def test_an_epoch_takes_one_variation_of_each_photo(photos: int, views: int, first: int) -> None:
    """Every photo once, in another order; as many epochs as there are variations take all of them."""
    labels = np.repeat(np.arange(photos), views)
    rows = TrainingRows(labels.__getitem__, labels, np.ones(len(labels)), views)
    epochs = [rows.shuffle(3, number) for number in range(first, first + views)]

    assert all(sorted(labels[one]) == list(range(photos)) for one in epochs)
    assert sorted(np.concatenate(epochs)) == list(range(photos * views))


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
def test_prototypes_know_their_products(seed: int) -> None:
    """Numbers as they follow from answers; a threshold between the product itself and strangers."""
    draws = np.random.default_rng(seed)
    around = np.eye(3, 8)

    def near(names: str) -> Any:
        places = np.array(["abn".index(one) for one in names])
        return around[places] + draws.normal(0, 0.05, (len(names), 8))

    learned, held, few = (tuple(stand_in(one) for one in names) for names in ("ab", "aabb", "n"))
    sides = DatasetSplits(("a", "b"), learned, (), held, few)
    said = np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.0, 1.0]])
    seen = near("aabb")
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    found = prototype_metrics.evaluate(sides, (*learned, *few), near("abn"), said, seen, None)

    assert (found.metrics.top1, found.metrics.top3, found.metrics.prototypes) == (0.75, 1.0, 1.0)
    assert found.metrics.per_product == {"a": Score(2, 1), "b": Score(2, 2)}
    assert found.products == ("a", "b", "n")
    assert found.trained.tolist() == [True, True, False]
    assert 0.2 < found.threshold < 0.97


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
