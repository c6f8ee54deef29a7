"""The report names what went wrong, with the photos; whatever products are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml import training_run
from ml.data.dataset import Photo
from ml.data.split import DatasetSplits
from ml.evaluation import report
from ml.evaluation.prototype_metrics import Evaluation
from ml.training.training_loop import EpochMetrics
from ml.training_run import Metrics, Preprocessing, Score, Split, TrainingRun
from tests.ml import sample_photos

NAMES = ("<b>aro</b> $x$", "cadena", "perla ñ")


@pytest.fixture
def sides(tmp_path: Path) -> DatasetSplits:
    """Two photos of each product; the first teaches."""
    photos = []
    for number, name in enumerate(NAMES):
        for shot in range(2):
            path = tmp_path / f"{number}-{shot}.jpg"
            path.write_bytes(sample_photos.draw_photo(number, shot))
            photos.append(Photo(name, path.name, "", 1, 9, 9, "0"))
    return DatasetSplits(NAMES, tuple(photos[::2]), (), tuple(photos[1::2]))


def test_the_worst_mistakes_come_first(sides: DatasetSplits, tmp_path: Path) -> None:
    """Surest first, each with its photo and one of what it was taken for; a photo that went leaves a gap."""
    said = np.array([[0.2, 0.7, 0.1], [0.05, 0.05, 0.9], [0.1, 0.1, 0.8]])
    (tmp_path / sides.held_out[0].path).unlink()
    metrics = Metrics(1 / 3, 1.0, 1.0, 1.0, {name: Score(1, int(name == NAMES[2])) for name in NAMES})
    measured = Evaluation(None, metrics, said, np.arange(3), NAMES, np.eye(3), np.ones(3, bool), 0.5)
    contract = Preprocessing(NAMES, 32)
    done = TrainingRun(
        "v1", "d", contract, contract.hash, Split(3, 0, ()), metrics, {"seed": 0}, {}, "", "2026", 1.0, 3, 0.5
    )
    epochs = [EpochMetrics("head", 1.0, 0.5, 1.1, 0.4, 0.1), EpochMetrics("top blocks", 0.8, 0.6, 1.0, 0.5, 0.1)]
    report.write(tmp_path, done, epochs, measured, sides, tmp_path)
    text = (tmp_path / training_run.REPORT_FILE).read_text()
    first, second = report.find_worst_mistakes(measured, sides, tmp_path)

    assert (first.product, first.predicted, first.predicted_percent, first.true_percent) == ("cadena", "perla ñ", 90, 5)
    assert (second.product, second.predicted, second.predicted_percent, second.true_percent) == (
        NAMES[0],
        "cadena",
        70,
        20,
    )
    assert first.photo.startswith("data:image/jpeg;base64,")
    assert second.photo == ""
    assert "&lt;b&gt;aro&lt;/b&gt; $x$" in text
    assert "<b>aro</b>" not in text
    assert text.count('class="gone"') == 1
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in report.CHART_FILES)
