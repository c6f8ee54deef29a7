"""How long a change usually takes: remembered on this machine, and shown while one goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.planning.events import ChangeFinished, ChangeStarted, WaitStarted
from orchestrator.render.progress import LineDisplay, ProgressState
from orchestrator.render.style import Style
from orchestrator.runs import usual_durations
from orchestrator.vocabulary import Action, Actuation, Outcome


def outcome(seconds: float, address: str = "rds_instance.main", actuation: Actuation = Actuation.SUCCEEDED) -> Outcome:
    return Outcome(address, Action.CREATE, actuation, seconds=seconds)


def test_the_usual_duration_is_the_median_of_the_last_ones(tmp_path: Path) -> None:
    """Of all names of a type; neither failures nor what took no time counts, and old ones are forgotten."""
    path = tmp_path / "orchestrator" / "durations.json"
    usual_durations.remember(path, [outcome(9000.0)] * 3)
    for seconds in (500, 510, 520, 530, 540, 550, 560, 570):
        usual_durations.remember(path, [outcome(seconds, f"rds_instance.n{seconds}")])
    usual_durations.remember(path, [outcome(3000.0, actuation=Actuation.FAILED), outcome(0.2, "s3_bucket.files")])

    assert usual_durations.read_usual_seconds(path) == {"rds_instance create": 540.0}
    assert [file.name for file in path.parent.iterdir()] == ["durations.json"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b"\xff", None])
def test_a_file_that_cannot_be_read_is_no_failure(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "durations.json"
    if content is not None:
        path.write_bytes(content)

    assert usual_durations.read_usual_seconds(path) == {}
    usual_durations.remember(path, [outcome(60.0)])
    assert usual_durations.read_usual_seconds(path) == {"rds_instance create": 60.0}


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "orchestrator").write_text("a file")

    path = tmp_path / "orchestrator" / "durations.json"
    usual_durations.remember(path, [outcome(60.0)])

    assert usual_durations.read_usual_seconds(path) == {}
    assert [file.name for file in tmp_path.iterdir()] == ["orchestrator"]


def test_a_wait_says_what_for_and_how_long_it_usually_takes(tmp_path: Path) -> None:
    """While it goes on; what is over says how long it took, and that is remembered."""
    path, now = tmp_path / "durations.json", [0.0]
    lines: list[str] = []
    usual_durations.remember(path, [outcome(570.0), outcome(2.0, "s3_bucket.files")])
    progress = ProgressState((), lambda: now[0], usual_durations.read_usual_seconds(path))
    display = usual_durations.DurationRecorder(LineDisplay(progress, lines.append, Style()), path)
    with display:
        for address in ("rds_instance.main", "s3_bucket.web"):
            display(ChangeStarted(address, Action.CREATE, 0.0))
            display(WaitStarted(address, "the instance to be available", 0.0))
        now[0] = 130.0
        database, bucket = (row.description for row in progress.list_running())
        display(ChangeFinished("rds_instance.main", outcome(600.0)))

    assert database == "the instance to be available (usually 9m30s)"
    assert bucket == "the instance to be available"
    assert "usually" not in lines[-1]
    assert usual_durations.read_usual_seconds(path)["rds_instance create"] == 585.0
