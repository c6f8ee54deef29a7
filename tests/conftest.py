"""What every test is promised: no AWS, no GitHub, no clock of its own, and under CI no silent skip.

Sockets are closed but for loopback (pyproject.toml). Nothing here patches: the environment is all that is set.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import emulator_use

AWAY = {
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}
FOREIGN = ("AWS_", "GITHUB_", "ORCHESTRATOR_")
LOUD = ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "PYTHONWARNINGS")

_SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("dev", max_examples=20, deadline=None, suppress_health_check=_SLOW)
settings.register_profile(
    "ci", max_examples=100, deadline=None, suppress_health_check=_SLOW, derandomize=True, database=None, print_blob=True
)
settings.load_profile("ci" if os.environ.get("CI") == "true" else os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def foreign(environ: Mapping[str, str]) -> list[str]:
    """The variables through which the machine's own accounts and terminal would reach a test."""
    return [name for name in environ if name.startswith(FOREIGN) or name in LOUD]


def pytest_configure() -> None:
    """Before any import or session fixture can look at them."""
    for name in foreign(os.environ):
        del os.environ[name]
    os.environ.update(AWAY)
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="orchestrator-tests-")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it puts into the background
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Four workers on two processors: much of a test's time is waiting, for a process, a page, or AWS to settle.

    What starts no server does not wait, and each worker collects all tests.
    """
    processors = os.cpu_count() or 1
    return processors if _leaves_out_real_parts(config) else processors * 2


REAL_PARTS = (
    "browser", "postgres", "tests/github/", "tests/emulator/", "tests/state/pages/", "tests/doctor/", "tests/proofs/",
    "tests/state/test_openapi.py",
)  # fmt: skip
"""Parts of the ids of tests that need a browser, a database server, a runner, a container or an emulated AWS."""


def _leaves_out_real_parts(config: pytest.Config) -> bool:
    return "not real_parts" in str(config.getoption("markexpr"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out folders and files of which no test would run: to import them is half of the time."""
    name = f"{collection_path.relative_to(config.rootpath).as_posix()}{'/' if collection_path.is_dir() else ''}"
    return True if _leaves_out_real_parts(config) and name in REAL_PARTS else None


SERVER_FIXTURES = {
    "aws", "browser", "cluster", "database", "emulator", "filled", "house", "hub", "office", "postgres", "running",
    "service", "shared", "shop", "store",
}  # fmt: skip
"""Fixtures that start a server: an emulated AWS, the state service on a database, a stand-in of GitHub, a browser."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what `make fast` leaves out."""
    is_served = SERVER_FIXTURES & set(getattr(item, "fixturenames", ()))
    if is_served or any(part in item.nodeid for part in REAL_PARTS) or emulator_use.starts_emulator(item):
        item.add_marker("real_parts")


WEEKLY = (
    "test_install_lines.py::",
    "test_release_run.py::",
    "command_blocks/test_command_blocks.py::test_every_line_works_on_a_terminal",
    "cli/test_completion.py::test_each_shell_completes_values[fish]",
    "cli/test_completion.py::test_each_shell_completes_values[zsh]",
    "cli/test_review.py::test_a_service_that_is_away_takes_no_more_than_the_comparison",
    "cli/test_terminal.py::test_the_demo_tells_its_story",
    "github/test_deploy.py::test_a_strict_project_wants_every_change_reviewed",
    "github/test_deploy.py::test_merges_in_a_row",
    "github/test_deploy.py::test_what_moved_and_is_safe_goes_ahead",
    "github/test_drift.py::test_reverted_and_drifted_again",
    "github/test_matrix.py::test_one_comment_of_what_changed",
    "github/test_plan.py::test_a_change_of_pages_alone_is_not_no_change",
    "ml/test_stages.py::test_mixed_precision_learns",
    "ml/test_stages.py::test_several_devices_learn_together",
    "ml/test_train_model.py::test_wherever_it_is_stopped_it_goes_on",
    "planning/test_hand_edits.py::test_every_hand_edit_is_seen[ministack]",
    "planning/test_adoption.py::test_every_type_is_adopted_with_what_somebody_has_set_on_it[moto",
    "planning/test_adoption.py::TestOwnNames::test_what_exists_is_found_under_its_own_name[moto",
    "planning/test_adoption.py::TestOwnNames::test_without_adopt_nothing_of_it_is_touched[moto",
    "planning/test_renaming.py::test_renaming_changes_marks_only[moto",
    "proofs/test_convergence.py::test_every_update_converges",
    "proofs/test_crash_anywhere.py::test_a_killed_run_is_healed_by_the_next[destroy 0/12-ministack",
    "proofs/test_crash_anywhere.py::test_a_killed_run_is_healed_by_the_next[restore snapshot 0/12-ministack",
    "proofs/test_crash_anywhere.py::test_a_killed_run_is_healed_by_the_next[restore time 0/12-ministack",
    "proofs/test_crash_anywhere.py::test_a_killed_run_is_healed_by_the_next[rotate secret",
    "proofs/test_crash_anywhere.py::test_a_killed_run_is_healed_by_the_next[upgrade database",
    "proofs/test_faults.py::test_an_apply_under_throttling_converges[ministack",
    "proofs/test_generated.py::test_whatever_is_valid_converges[ministack",
    "recovery/test_database_life.py::",
    "recovery/test_migrate_database.py::test_a_killed_copy_is_finished_by_the_next_run[build indexes",
    "recovery/test_migrate_database.py::test_a_killed_copy_is_finished_by_the_next_run[copy definitions",
    "recovery/test_migrate_database.py::test_a_killed_copy_is_finished_by_the_next_run[set sequences",
    "recovery/test_migrate_database.py::test_a_killed_copy_is_finished_by_the_next_run[verify the copy",
    "release/test_builds.py::test_a_deploy_that_is_stopped_while_a_program_runs_says_so[build_image-2",
    "release/test_faults.py::test_a_fault_at_any_step_of_a_deploy_leads_back[2]",
    "release/test_interruptions.py::test_a_deploy_ends_at_once_in_every_phase[copying, throttled-SIGINT",
    "release/test_interruptions.py::test_a_deploy_ends_at_once_in_every_phase[going back",
    "release/test_interruptions.py::test_a_deploy_ends_at_once_in_every_phase[locking, throttled-SIGTERM",
    "release/test_interruptions.py::test_a_deploy_ends_at_once_in_every_phase[probing-SIGTERM",
    "release/test_interruptions.py::test_a_deploy_ends_at_once_in_every_phase[reading",
    "release/test_interruptions.py::test_a_deploy_ends_at_once_in_every_phase[rolling back, locking",
    "release/test_interruptions.py::test_a_deploy_ends_at_once_in_every_phase[rolling back, throttled-SIGINT",
    "release/test_interruptions.py::test_a_deploy_ends_at_once_in_every_phase[rolling back, waiting",
    "release/test_interruptions.py::test_a_deploy_ends_at_once_in_every_phase[uploading",
    "release/test_interruptions.py::test_a_deploy_ends_at_once_in_every_phase[waiting",
    "release/test_interruptions.py::test_a_deploy_ends_at_once_in_every_phase[writing",
    "release/test_random_histories.py::test_what_is_served_is_one_commit_and_can_come_back[11]",
    "release/test_rotate_secret.py::test_what_does_not_work_is_taken_back",
    "release/test_site.py::test_killed_anywhere_the_site_before_comes_back_whole",
    "recovery/test_migrate_database.py::test_a_private_database_of_an_app_runner_service_is_filled",
    "release/test_story_express.py::",
    "test_readme.py::test_every_command_prints_what_the_page_shows[docs/how-to/deploy-sites",
    "test_readme.py::test_every_command_prints_what_the_page_shows[docs/how-to/deploy-to-aws",
    "test_readme.py::test_every_command_prints_what_the_page_shows[docs/how-to/pinned-content",
    "test_readme.py::test_every_command_prints_what_the_page_shows[docs/how-to/rename-components",
    "test_readme.py::test_every_command_prints_what_the_page_shows[docs/how-to/resolve-drift",
    "test_readme.py::test_every_command_prints_what_the_page_shows[docs/how-to/roll-back",
    "scaffold/test_first_deploy.py::test_a_team_s_first_weeks[dotnet",
    "scaffold/test_first_deploy.py::test_a_team_s_first_weeks[sveltekit",
    "state/pages/test_browser.py::test_the_other_colours_are_as_legible[(390",
)
"""Beginnings of long tests that run each week and with ``ALL_PROOFS=true`` only, beside others of their kind that
always run: the whole suite has to end within 20 minutes on two processors.
"""


def is_weekly(node_id: str) -> bool:
    return node_id.removeprefix("tests/").startswith(WEEKLY)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let groups of tests be groups: pytest-xdist 3.8 writes them where pytest looks no more since 9.2.

    Otherwise each worker trains its own model and starts its own emulators.
    """
    if os.environ.get("ALL_PROOFS") != "true":
        config.hook.pytest_deselected(items=[item for item in items if is_weekly(item.nodeid)])
        items[:] = [item for item in items if not is_weekly(item.nodeid)]
    for item in items:
        grouped = vars(item).pop("_nodeid", None)
        if grouped and hasattr(item, "_id"):
            item._id = type(item._id).parse(grouped)


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test leaves in the environment does not reach the next."""
    for name in set(foreign(os.environ)) - AWAY.keys():
        monkeypatch.delenv(name)
    for name, value in AWAY.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def _no_log_of_another_test() -> Iterator[None]:
    """A command that ran in this process has sent the log to its terminal, which is closed when its test ends."""
    yield
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.get_name() == "orchestrator.logs"]:
        root.removeHandler(handler)
        root.setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A chromium.  One a process: playwright can be started but once."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


def refuse_missing_tool(report: pytest.TestReport | pytest.CollectReport, *, ci: bool) -> None:
    """Under CI a test that skips because it "needs" something has failed: .ci/run has to install it."""
    if not (ci and report.skipped and isinstance(report.longrepr, tuple)):
        return
    path, line, reason = report.longrepr
    if reason.removeprefix("Skipped: ").startswith("needs "):
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: {reason}; CI may not skip it: .ci/run has to install that"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_missing_tool(report, ci=os.environ.get("CI") == "true")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_missing_tool(report, ci=os.environ.get("CI") == "true")
    return report
