"""A finished training run, as far as a test cares; the rest is filled in."""

from __future__ import annotations

from typing import Any

from ml.answers import AnswerRule
from ml.training_run import HeldOut, Metrics, Preprocessing, Score, Split, TrainingRun

METRICS = Metrics(0.9, 1.0, 0.04, 0.8, 10, {"ring": Score(10, 9)})


def make_run(version: str, contract: Preprocessing, **more: Any) -> TrainingRun:
    """A run of a model of that contract, whose every product has one prototype."""
    values: dict[str, Any] = {
        "version": version, "data_hash": "data", "preprocessing": contract, "preprocessing_hash": contract.hash,
        "split": Split(1, (HeldOut("photos/ring/1.jpg", "ring", "0" * 64),)), "phone": METRICS, "studio": METRICS,
        "learned_similarity": 1.0, "answer": AnswerRule(12.0, 6.0, tuple(range(len(contract.classes)))), "config": {},
        "tools": {}, "commit": "", "trained_at": "2026-11-24T10:15:00Z", "seconds": 1.0, "embedding_size": 8,
    }  # fmt: skip
    return TrainingRun(**{**values, **more})
