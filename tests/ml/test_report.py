"""The report names what went wrong, with the photos; whatever products are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml import training_run
from ml.answers import AnswerRule
from ml.data.dataset import Photo
from ml.evaluation import report
from ml.evaluation.cross_validation import Evaluation, measure
from ml.training.training_loop import EpochMetrics
from ml.training_run import Preprocessing, Score
from tests.ml import sample_photos
from tests.ml.finished_runs import make_run

NAMES = ("<b>aro</b> $x$", "cadena", "perla ñ")
RULE = AnswerRule(12.0, 6.0, (0, 1, 2), groups=(NAMES[:2],))


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Photo, ...]:
    """One photo of each product."""
    made = []
    for number, name in enumerate(NAMES):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(sample_photos.draw_photo(number, 0))
        made.append(Photo(name, path.name, "", 1, 9, 9, "0"))
    return tuple(made)


def test_what_is_confused_is_shown_as_pictures(photos: tuple[Photo, ...], tmp_path: Path) -> None:
    """Surest mistakes and most frequent confusions first; a photo that went leaves a gap; names are only text."""
    studio = np.array([[0.2, 0.6, 0.1, 0.1], [0.05, 0.05, 0.85, 0.05], [0.1, 0.1, 0.75, 0.05]])
    phone = np.array([[0.1, 0.8, 0.1, 0]] * 2 + [[0.1, 0.1, 0.8, 0], [0.1, 0.8, 0.1, 0]] + [[0, 0, 1, 0]] * 2)
    truth = np.arange(3)
    (tmp_path / photos[0].path).unlink()
    measured = Evaluation(
        RULE, measure(studio, truth, NAMES), measure(phone, np.repeat(truth, 2), NAMES), photos, studio, phone
    )
    contract = Preprocessing(NAMES, 32)
    done = make_run("v1", contract, phone=measured.phone, studio=measured.studio, answer=RULE)
    report.write(tmp_path, done, [EpochMetrics("all photos", 1.0, 0.5, 0.1)], measured, photos, tmp_path)
    text = (tmp_path / training_run.REPORT_FILE).read_text()
    examples = {photo.product: photo for photo in photos}
    first, second = report.find_worst_mistakes(measured, NAMES, examples, tmp_path)
    pairs = report.find_confused_pairs(measured, NAMES, examples, tmp_path)

    assert (first.product, first.predicted, first.predicted_percent, first.true_percent) == ("cadena", "perla ñ", 85, 5)
    assert (second.product, second.predicted_percent, second.photo) == (NAMES[0], 60, "")
    assert first.photo.startswith("data:image/jpeg;base64,")
    assert [(pair.product, pair.predicted, pair.share, pair.are_lookalikes) for pair in pairs] == [
        (NAMES[0], "cadena", 100, True), ("cadena", "perla ñ", 50, False),
    ]  # fmt: skip
    assert "&lt;b&gt;aro&lt;/b&gt; $x$" in text
    assert "<b>aro</b>" not in text
    assert "Simulated phone photos: 6" in text
    assert "The shop&#39;s own photos: 3" in text


def test_products_are_listed_with_their_uncertainty(photos: tuple[Photo, ...]) -> None:
    """All of them; those that more photos would help most come first."""
    phone = measure(np.eye(3, 4)[[0, 0, 1, 2]], np.array([0, 1, 1, 1]), NAMES)
    rows = report.list_products(make_run("v1", Preprocessing(NAMES, 32), phone=phone), (*photos, photos[1]))

    assert [(row.product, row.photos, row.share) for row in rows] == [
        ("perla ñ", 1, None), ("cadena", 2, 33), (NAMES[0], 1, 100),
    ]  # fmt: skip
    assert (rows[1].low, rows[1].high) == (6, 80)
    assert report.confidence_interval(Score(0, 0)) == (0, 100)


def test_nothing_measured_is_said(photos: tuple[Photo, ...]) -> None:
    """No numbers stand for it."""
    nothing = training_run.Metrics(0.0, 0.0, 0.0, None, 0, {})
    done = make_run("v1", Preprocessing(NAMES, 32), phone=nothing, studio=nothing)
    text = report.render_page(done, [], [], [], report.list_products(done, photos))

    assert text.count("Not measured: every product has only one photo") == 2
    assert "0.0%" not in text
