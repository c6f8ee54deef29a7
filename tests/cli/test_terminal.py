"""On a real terminal, and as a process of its own: asking, the table, the emulator, the demo."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.demo import lost_table
from orchestrator.demo.infrastructure import DemoError, redirect_aws_clients
from orchestrator.emulator import Emulator, Faults

COMMAND = [sys.executable, "-m", "orchestrator"]


def on_a_terminal(arguments: list[str], typed: str, environ: Mapping[str, str]) -> tuple[int, str]:
    """Exit code and everything shown, escapes and all, by a command whose three streams are one terminal."""
    ours, theirs = pty.openpty()
    surroundings = {**os.environ, **environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    process = subprocess.Popen([*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=surroundings)
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    try:
        while chunk := os.read(ours, 65_536):
            shown += chunk
    except OSError:  # how Linux says that the other side has closed
        pass
    os.close(ours)
    return process.wait(), shown.decode()


def test_apply_asks_and_shows_a_table(aws: Emulator, manifests: Path) -> None:
    """`yes` applies: the plan, the question with the account, a table that is drawn in place, the sum."""
    code, shown = on_a_terminal(["apply", "-f", str(manifests)], "yes\n", aws.environment)

    assert code == 0
    assert re.search(r"Apply 3 changes to shop/\w+ in account 123456789012\? Only 'yes' is accepted:", shown)
    assert "\x1b[?25l" in shown
    assert re.search(r"created.*s3_bucket\.files", shown)
    assert re.search(r"Applied in \d+\.\ds: 3 done", shown)


def test_anything_else_is_a_no(aws: Emulator, manifests: Path) -> None:
    """Nothing is done, and the exit code says that it is not done."""
    code, shown = on_a_terminal(["apply", "-f", str(manifests)], "y\n", aws.environment)

    assert code == 1
    assert "nothing was changed" in shown


def test_destroy_wants_the_name(aws: Emulator, manifests: Path) -> None:
    """`yes` is not enough to delete an environment."""
    text = (manifests / "shop.yaml").read_text()
    (manifests / "shop.yaml").write_text(text.split("---")[0] + _BUDGET)
    on_a_terminal(["apply", "-f", str(manifests)], "yes\n", aws.environment)
    code, shown = on_a_terminal(["destroy", "-f", str(manifests)], "yes\n", aws.environment)

    assert code == 1
    assert re.search(r"Delete 1 resource in shop/\w+ in account 123456789012\? Type '\w+' to confirm:", shown)


def test_an_interrupted_apply_goes_on_later(aws: Emulator, manifests: Path) -> None:
    """Ctrl-C ends after the calls under way, says what was done and how to go on; the next run does the rest."""
    aws.faults = Faults(latency_ms=150)
    command = [*COMMAND, "apply", "--auto-approve", "-f", str(manifests), "--log-format", "json"]
    surroundings = {**os.environ, **aws.environment}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings
    ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    aws.faults = Faults()

    assert '"change_started"' in first
    assert process.returncode == 130
    assert "continues from the state of AWS" in out
    assert "Traceback" not in err
    assert main(["apply", "--auto-approve", "-f", str(manifests)]) == 0
    assert main(["plan", "--detailed-exitcode", "-f", str(manifests)]) == 0


_BUDGET = """---
apiVersion: orchestrator/v1
kind: Budget
metadata: {name: monthly}
spec: {limit: 60, alerts: [20], email: [ops@example.com]}
"""


def test_the_emulator_says_how_to_use_it() -> None:
    """It prints lines a shell can take, serves, and ends quietly when interrupted."""
    command = [*COMMAND, "emulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)

    assert re.match(r"# An empty emulated AWS listens on http://127\.0\.0\.1:\d+\. Press Ctrl-C to stop it\.", lines[0])
    assert re.match(r"export AWS_ENDPOINT_URL=http://127\.0\.0\.1:\d+", lines[1])
    assert (process.returncode, err) == (0, "")


def test_a_taken_port_is_a_problem(aws: Emulator) -> None:
    """With the way out."""
    port = aws.url.rpartition(":")[2]
    done = subprocess.run([*COMMAND, "emulator", "--port", port], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "--port 0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: the application runs there")
def test_the_demo_tells_its_story(manifests: Path) -> None:
    """Without a terminal it goes through every chapter, ends by itself, and says what to try.

    Its image is put together without a builder: ``tests/release/test_story.py`` builds the same one.
    """
    surroundings = {**os.environ, "AWS_PROFILE": "production", "AWS_ENDPOINT_URL_S3": "https://s3.example.com"}
    surroundings["ORCHESTRATOR_BUILDER"] = "docker"  # which the demo does not ask
    command = [*COMMAND, "demo", "-f", str(manifests)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings)
    chapters = re.findall(r"^\d+\. (\w+)", done.stdout, re.MULTILINE)

    assert done.returncode == 0, done.stdout + done.stderr
    healed = ["Validate", "Plan", "Apply", "Plan", "Manual", "Detect", "Apply", "Plan"]
    has_database = not lost_table.unsupported_reason()
    recovered = ["Create", "Drop", "Restore"] if has_database else []
    assert chapters == [*healed, "Deploy", "Deploy", "Deploy", "Roll", *recovered]
    assert done.stdout.count("The table was restored: 1000 sales, the last of 20") == has_database
    assert re.findall(r"^Version (\d) is live: http://", done.stdout, re.MULTILINE) == ["1", "2", "2", "1"]
    tabs = re.findall(
        r"^  200  /assets/\S+, requested by a browser tab opened with version (\d)$", done.stdout, re.MULTILINE
    )
    assert tabs == ["1", "1", "2"], "a tab survives a deploy, a failed one and a rollback"
    assert re.search(r"^Failed: .+\. Rolled back to release 2 \(recorded as release 4\)", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^  404  /ml-models/no-such-model.json$", done.stdout, re.MULTILINE)) == 4
    assert "~ versioning: false in AWS, true in the manifests" in done.stdout
    assert "Next steps" in done.stdout
    assert "Traceback" not in done.stderr
    runs = re.findall(r"^Recording this run: http://127\.0\.0\.1:\d+/runs/\S+$", done.stderr, re.MULTILINE)
    assert len(runs) == 6 + 2 * has_database  # two applies, three deploys, one rollback; an apply and a restore
    assert "See the dashboard" not in done.stdout  # which has ended with the demo


KEEP = """
import os
from orchestrator.demo import local_state_service
from orchestrator.runs.settings import Settings
with local_state_service.run_state_service(os.environ) as address:
    local_state_service.wait_for_interrupt(Settings(), address)
"""


def test_on_a_terminal_the_demos_dashboard_stays_until_ctrl_c() -> None:
    """It says where, answers there, and Ctrl-C ends it quietly."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", KEEP]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown = b""
    while b"press Ctrl-C to stop it" not in shown:
        shown += os.read(ours, 65_536)
    found = re.search(rb"the dashboard: (http://127\.0\.0\.1:\d+)", shown)
    assert found is not None
    with urllib.request.urlopen(found[1].decode(), timeout=10) as answer:
        assert b"No environments yet" in answer.read()
    process.send_signal(signal.SIGINT)

    assert process.wait(20) == 0
    os.close(ours)


def test_the_demo_stays_on_this_machine() -> None:
    """An endpoint elsewhere ends it, and nothing of the user's own AWS stays in its environment."""
    environ = {"AWS_PROFILE": "production", "AWS_ENDPOINT_URL_S3": "https://s3.example.com", "HOME": "/root"}

    with pytest.raises(DemoError, match="not on this machine"):
        redirect_aws_clients("https://sts.amazonaws.com", {}, environ)
    redirect_aws_clients("http://127.0.0.1:1", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, environ)

    assert environ.keys() == {"HOME", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"}
