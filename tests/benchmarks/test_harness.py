"""The harness itself: arithmetic, the table, the copies. Nothing is timed."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.artefacts.sites import folder
from tests.benchmarks import __main__ as bench
from tests.benchmarks import report_parts, stack_copies
from tests.benchmarks.compared_tools import MIRROR_VARIABLE, PEER_FOLDER, ToolUnavailableError, prepare_terraform
from tests.benchmarks.process import measure
from tests.benchmarks.read_chain import count_sequential_calls
from tests.benchmarks.report_page import describe_measurement, render_page
from tests.benchmarks.sections import MANIFESTS
from tests.benchmarks.site import files as site_files
from tests.benchmarks.table import Row, format_megabytes, format_seconds, median_ratio, render_markdown
from tests.benchmarks.training import accuracy
from tests.benchmarks.training.accuracy import OURS, Score


def spans(*times: tuple[float, float | None]) -> list[dict[str, Any]]:
    return [{"started": started, "ended": ended} for started, ended in times]


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], 0),
        (spans((0, 1), (0, 1), (0, 1)), 1),
        (spans((0, 1), (1, 2), (2, 3)), 3),
        (spans((0, 3), (0, 1), (1, 2), (2.5, 4)), 3),
        (spans((0, 1), (1, None)), 1),
    ],
)
def test_depth_is_the_most_calls_that_do_not_overlap(calls: list[dict[str, Any]], expected: int) -> None:
    """Side by side counts once, one after the other counts each, in flight counts not at all."""
    assert count_sequential_calls(calls) == expected


def test_paired_runs_give_the_median_of_their_ratios() -> None:
    """A slow minute of the machine weighs on both halves of a pair, and so on neither."""
    assert median_ratio([1, 10, 1], [10, 100, 20]) == pytest.approx(0.1)


def test_runs_that_cannot_be_paired_give_the_ratio_of_medians() -> None:
    """Three of ours against one of theirs."""
    assert median_ratio([1, 2, 30], [20]) == pytest.approx(0.1)


def test_values_are_told_with_the_digits_that_mean_something() -> None:
    """Milliseconds below a second, a tenth above ten."""
    assert (
        format_seconds([0.1234]),
        format_seconds([1.234]),
        format_seconds([12.34]),
        format_megabytes([87_000_000]),
    ) == (
        "123 ms",
        "1.23 s",
        "12.3 s",
        "87 MB",
    )


def test_the_table_says_what_is_met_missed_and_not_measured() -> None:
    """A bound is inclusive; without a ratio nothing is claimed."""
    rows = [
        Row("a", "1 s", "10 s", 0.1, 0.1, "5"),
        Row("b", "3 s", "1 s", 3.0, 2, "5"),
        Row("c", "1 s", "terraform is not on PATH", None, 0.1, "5"),
        Row("d", "1 s", "2 s", 0.5, None),
    ]

    assert render_markdown(rows).splitlines()[2:] == [
        "| a | 1 s | 10 s | 0.100 | <= 0.1 | yes | 5 |",
        "| b | 3 s | 1 s | 3.00 | <= 2 | **no** | 5 |",
        "| c | 1 s | terraform is not on PATH | - | <= 0.1 | - | 5 |",
        "| d | 1 s | 2 s | 0.500 | - | - |  |",
    ]


def test_a_process_is_measured_whole(tmp_path: Path) -> None:
    """Its own time, memory, exit code and output, in an environment without the machine's accounts."""
    script = (
        "import os, sys; held = bytearray(200_000_000); print(sorted(k for k in os.environ if 'AWS' in k)); sys.exit(3)"
    )
    sample = measure([sys.executable, "-c", script], cwd=tmp_path, environment={"AWS_REGION": "eu-west-1"})

    assert (sample.exit_code, sample.output) == (3, "['AWS_REGION']\n")
    assert sample.peak > 200_000_000
    assert sample.cpu > 0
    assert sample.wall > 0


def test_copies_are_the_stack_under_other_names(tmp_path: Path) -> None:
    """Each kind as often as asked, no name twice, and a copy refers to its own copies."""
    stack_copies.write_copies(MANIFESTS, tmp_path / "many", copies=3, services=2)
    documents = list(yaml.safe_load_all((tmp_path / "many" / "stack.yaml").read_text()))
    kinds = Counter(document["kind"] for document in documents)
    named = [(document["kind"], document["metadata"]["name"]) for document in documents]
    second = next(each for each in documents if named[documents.index(each)] == ("ContainerService", "api-1"))

    assert kinds == Counter(Project=1, Budget=1, Bucket=9, Database=3, Secret=3, Cdn=3, ContainerService=2)
    assert len(set(named)) == len(named)
    assert second["spec"]["access"] == ["bucket.files-1", "secret.app-1", "database.main-1"]
    assert second["spec"]["image"]["repository"] == "joiabagur-api-1"


def test_a_missing_terraform_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table says so, and measures the rest."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ToolUnavailableError, match="terraform is not on PATH"):
        prepare_terraform(tmp_path)


def test_a_missing_provider_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which variable has to name what."""
    executable = tmp_path / "terraform"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)

    with pytest.raises(ToolUnavailableError, match=MIRROR_VARIABLE):
        prepare_terraform(tmp_path / "work")


def test_the_peer_names_no_place_of_this_machine() -> None:
    """Endpoint, keys and mirror come from the environment."""
    assert [
        file.name for file in PEER_FOLDER.glob("*.tf") if "http://" in file.read_text() or "/opt" in file.read_text()
    ] == []


@pytest.mark.parametrize(
    ("given", "quick", "only"),
    [([], False, None), (["--quick", "--only", "plan"], True, ["plan"]), (["--only", "start"], False, ["start"])],
)
def test_the_command_line_is_understood(given: list[str], quick: bool, only: list[str] | None) -> None:
    """One run of each, or some parts only."""
    asked = bench.parse_arguments(given)

    assert (asked.quick, asked.only) == (quick, only)


def test_the_page_says_how_to_measure_again() -> None:
    """The command stands above the parts, date and machine above each table."""
    text = render_page("the table")

    assert [part in text for part in ("`make bench`", "the table")] == [True, True]
    assert "CPU cores" in describe_measurement()


def test_a_part_is_measured_again_and_the_others_stay() -> None:
    """On the page with its own date, and in the comparison as rows of one table, whatever was there before."""
    rows = {name: [Row(f"{name} row", "1 s", "2 s", 0.5, 1)] for name in ("start", "plan")}
    old = {name: report_parts.render_part(name, rows[name], "", "Measured on Monday.") for name in rows}
    new = {
        **report_parts.read_parts(render_page(report_parts.join_parts(old))),
        "plan": report_parts.render_part("plan", [], "of 32", "Measured on Friday."),
    }
    readme = "before <!-- benchmarks -->\nWhy.\n\n| measure | old |\n| x |\n<!-- /benchmarks --> after"

    assert report_parts.read_parts(render_page(report_parts.join_parts(new))) == new
    assert new["start"] == old["start"]
    once = report_parts.insert_table(readme, old)
    assert [("start row" in once, "plan row" in once), ("Why." in once, "old" in once)] == [(True, True), (True, False)]
    assert report_parts.insert_table(once, old) == once
    assert "plan row" not in report_parts.insert_table(once, new)
    assert (once[:6], once[-5:]) == ("before", "after")


def test_both_pages_show_the_same_measurements() -> None:
    """The table of the comparison has the rows of docs/benchmarks.md."""
    comparison = bench.COMPARISON.read_text()

    assert report_parts.insert_table(comparison, report_parts.read_parts(bench.PAGE.read_text())) == comparison


def test_a_site_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    """A fresh build differs in nothing; ten changed files are ten other ones."""
    site_files.write_site(tmp_path / "a", 60)
    site_files.write_site(tmp_path / "b", 60)
    site_files.write_site(tmp_path / "c", 60, 10)
    a, b, c = (folder.scan(tmp_path / name) for name in "abc")

    assert a.digest == b.digest
    assert len(a.files) == 60
    assert len({(path, file.sha256) for path, file in c.files.items() if a.files.get(path) != file}) == 10
    assert [path for path, file in a.files.items() if file.entry] == ["index.html"]


def test_recognition_is_compared_with_the_best_other_method() -> None:
    """The best of each number, not of one method; a lead of under 5 points is a miss, and so is any other target."""
    scores = [
        Score("n x 4", "phone", "untrained, nearest photo", 0.30, 0.70, 0.5),
        Score("n x 4", "phone", "Keras fine-tune", 0.50, 0.60, 0.9),
        Score("n x 4", "easy", "Keras fine-tune", 0.99, 0.99, 0.9),
        Score("n x 4", "phone", OURS, 0.56, 0.74, 0.79, 0.06, 0.05, 100.0),
    ]
    rows = list(accuracy.compare(scores, "n x 4", "phone"))

    assert [(row.ours, row.theirs, row.is_met) for row in rows] == [
        ("56.0%", "50.0% (Keras fine-tune)", True),
        ("74.0%", "70.0% (untrained, nearest photo)", False),
        ("0.79", "target: 0.80", False),
        ("0.060", "target: 0.05; perfect percentages: 0.050", False),
    ]
    assert str(scores[-1]) == f"| n x 4 | phone | {OURS} | 56.0% | 74.0% | 0.060 (0.050) | 0.79 | 100 s |"


def test_recognition_is_measured_on_photos_that_are_given(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nobody else's are in the repository."""
    with pytest.raises(SystemExit):
        bench.parse_arguments(["--only", "recognition"])
    assert "--only recognition needs --photos FOLDER" in capsys.readouterr().err

    assert bench.parse_arguments(["--only", "recognition", "--photos", str(tmp_path)]).photos == tmp_path
