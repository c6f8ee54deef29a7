"""Progress and the final report: first cause, what was done, what was not, what to type next."""

from __future__ import annotations

import io
import re

from pytest_regressions.file_regression import FileRegressionFixture

from orchestrator.planning.events import (
    BatchProgress,
    ChangeFinished,
    ChangeStarted,
    Event,
    ProbeFinished,
    ProbeStarted,
    StepCompleted,
    WaitStarted,
)
from orchestrator.render import apply_report
from orchestrator.render.progress import LineDisplay, ProgressState, TableDisplay
from orchestrator.render.style import Style
from orchestrator.vocabulary import Action, Actuation, Change, Health, Outcome, PlannedStep

CHANGES = tuple(
    Change(address, Action.CREATE, address, "bucket.files")
    for address in ("s3_bucket.files", "rds_instance.main", "s3_bucket_policy.files", "cloudfront_distribution.web")
)
DENIED = (
    "rds:CreateDBInstance: AccessDenied: User: arn:aws:sts::123456789012:assumed-role/deploy is not authorized to "
    "perform: rds:CreateDBInstance on resource: arn:aws:rds:eu-west-1:123456789012:db:shop-prod-main because no "
    "identity-based policy allows the rds:CreateDBInstance action (request 4f3c)"
)
OUTCOMES = (
    Outcome("rds_instance.main", Action.CREATE, Actuation.FAILED, reason=DENIED, seconds=0.4, request_id="4f3c"),
    Outcome("s3_bucket.files", Action.CREATE, Actuation.SUCCEEDED, seconds=1.234, steps_done=7),
    Outcome(
        "cloudfront_distribution.web",
        Action.CREATE,
        Actuation.SUCCEEDED,
        Health.PROGRESSING,
        "still InProgress after 900 s. Look at the distribution's errors in the console.",
        901.0,
    ),
    Outcome("s3_bucket_policy.files", Action.CREATE, Actuation.SKIPPED, reason="because rds_instance.main failed"),
)
EVENTS: tuple[Event, ...] = (
    ChangeStarted("s3_bucket.files", Action.CREATE, 0.0),
    StepCompleted("s3_bucket.files", PlannedStep("s3:CreateBucket"), 0.1),
    ChangeStarted("cloudfront_distribution.web", Action.CREATE, 0.0),
    WaitStarted("cloudfront_distribution.web", "wait until Status is Deployed", 2.0),
    *(ChangeFinished(outcome.address, outcome) for outcome in OUTCOMES),
)


def test_a_failed_run_is_explained(file_regression: FileRegressionFixture) -> None:
    """The first cause stands on top, the one next command at the end."""
    seen = apply_report.build_view(OUTCOMES, 902.4, "orchestrator apply -e prod", "orchestrator plan -e prod")

    file_regression.check(apply_report.render_text(seen, Style()), basename="report-failed")


def test_an_unwell_run_is_explained(file_regression: FileRegressionFixture) -> None:
    """Applied but not well: what to look at, and how to look again."""
    seen = apply_report.build_view(OUTCOMES[1:3], 902.4, "orchestrator apply -e prod", "orchestrator plan -e prod")

    file_regression.check(apply_report.render_text(seen, Style()), basename="report-unwell")


def test_a_good_run_is_one_line() -> None:
    """When all went well there is nothing to read."""
    seen = apply_report.build_view(OUTCOMES[1:2], 1.5, "orchestrator apply")

    assert apply_report.render_text(seen, Style()) == "Applied in 1.5s: 1 done.\n"


def test_elapsed_time_reads_well() -> None:
    """Tenths of a second up to a minute, then minutes and seconds."""
    assert [apply_report.format_duration(seconds) for seconds in (0.04, 59.94, 59.97, 245)] == [
        "0.0s",
        "59.9s",
        "1m00s",
        "4m05s",
    ]


def test_a_batch_shows_how_far_it_is() -> None:
    """Of a site's files, how many are there."""
    board = ProgressState(())
    row = board.handle_event(BatchProgress("s3_site.web", "pages", 1204, 2001, 3.0))

    assert row.detail == "1,204/2,001 pages"


def test_lines_are_one_a_resource(file_regression: FileRegressionFixture) -> None:
    """Without a terminal each resource gets one line when it ends."""
    lines: list[str] = []
    with LineDisplay(ProgressState(CHANGES), lines.append, Style()) as shown:
        for event in EVENTS:
            shown(event)

    assert len(lines) == len(CHANGES)
    file_regression.check("\n".join(lines), basename="progress-lines")


def test_actions_folds_lines_and_annotates_failures() -> None:
    """In GitHub Actions the lines are a group, and a failure is an error of the run."""
    lines: list[str] = []
    with LineDisplay(ProgressState(CHANGES), lines.append, Style(), is_github_actions=True) as shown:
        for event in EVENTS:
            shown(event)

    assert lines[0] == "::group::Apply 4 changes"
    assert f"::error title=rds_instance.main failed::{DENIED}" in lines
    assert lines[-1] == "::endgroup::"


def test_a_reader_that_goes_away_does_not_stop_the_run() -> None:
    """A closed pipe silences the display, and nothing else."""
    said: list[str] = []

    def write(line: str) -> None:
        said.append(line)
        raise BrokenPipeError

    with LineDisplay(ProgressState(CHANGES), write, Style()) as shown:
        for event in EVENTS:
            shown(event)

    assert len(said) == 1


def test_the_table_ends_whole() -> None:
    """On a terminal the last picture shows every resource, its status, its time and its reason."""
    stream = io.StringIO()
    with TableDisplay(ProgressState(CHANGES), stream, colour=False, width=100) as shown:
        for event in EVENTS:
            shown(event)
    last = stream.getvalue()

    for words in ("created", "failed", "unhealthy", "skipped", "4 of 4, 1 failed", "s3_bucket_policy.files"):
        assert words in last, words


def test_what_is_proved_is_told_as_lines_and_in_the_table() -> None:
    """What is asked and for how long; then what came of it, in its own words."""
    lines: list[str] = []
    stream = io.StringIO()
    asked = ProbeStarted("cdn.web /sales/42", "GET https://d1.example/sales/42 (timeout 20s)")
    with (
        LineDisplay(ProgressState(()), lines.append, Style()) as told,
        TableDisplay(ProgressState(()), stream, colour=False, width=120) as shown,
    ):
        for show in (told, shown):
            show(asked)
            show(ProbeFinished(asked.address, passed=False, observed="status 503, expected 200", seconds=20.0))
            show(asked)
            show(ProbeFinished(asked.address, passed=True, observed="", seconds=1.5))

    assert [line.split(maxsplit=1)[1] for line in lines] == [
        "probing    cdn.web /sales/42  GET https://d1.example/sales/42 (timeout 20s)",
        "failed     cdn.web /sales/42  status 503, expected 200",
        "probing    cdn.web /sales/42  GET https://d1.example/sales/42 (timeout 20s)",
        "passed     cdn.web /sales/42",
    ]
    assert re.search(r"passed +cdn\.web /sales/42 +1\.5s", stream.getvalue())
