"""The everyday verbs: what runs where, what it printed, and which component needs which."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from orchestrator.aws import Clients
from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from orchestrator.runs import service_logs
from tests.cli.conftest import ByHand, Run, Shown
from tests.proofs import real_stack

pytestmark = pytest.mark.xdist_group("whole-stack")


@pytest.fixture
def by_hand(stack: Path) -> ByHand:
    """Call the AWS of the whole stack beside the orchestrator; what a test changes, it changes back."""
    return lambda service, operation, **parameters: real_stack.clients().call(service, operation, parameters)


def show(capsys: pytest.CaptureFixture[str], *arguments: str) -> Shown:
    capsys.readouterr()
    return Shown(main(list(arguments)), *capsys.readouterr())


def test_status_names_addresses_health_drift_lock_and_cost(
    stack: Path, capsys: pytest.CaptureFixture[str], by_hand: ByHand
) -> None:
    shown = show(capsys, "status", "-f", str(stack))

    assert shown.code == 0, shown.err
    lines = shown.out.splitlines()
    assert lines[0] == "joiabagur/prod (account 123456789012, eu-west-1)"
    assert any(line.split()[:2] == ["database.main", "healthy"] for line in lines)
    assert any("cdn.web" in line and "https://" in line for line in lines)
    assert any("containerservice.api" in line and "https://" in line for line in lines)
    assert "Release: none yet" in lines
    assert "Lock: free" in lines
    assert "Cost: about 58.99 USD a month idle, before VAT and traffic" in lines

    by_hand("rds", "stop_db_instance", DBInstanceIdentifier="joiabagur-prod-main")
    stopped = show(capsys, "status", "-f", str(stack), "--format", "json")

    assert stopped.code == 2
    components = {item["component"]: item for item in json.loads(stopped.out)["components"]}
    assert components["database.main"]["health"] != "healthy"
    assert components["cdn.web"]["health"] == "healthy"
    by_hand("rds", "start_db_instance", DBInstanceIdentifier="joiabagur-prod-main")


def test_status_before_the_first_apply(run: Run, aws: Emulator) -> None:
    shown = run("status")

    assert shown.code == 2
    assert "drifted" in shown.out
    assert "Cost:" not in shown.out


def put_lines(by_hand: ByHand, group: str, *messages: str, at: float | None = None) -> None:
    moment = int((time.time() if at is None else at) * 1000)
    by_hand("logs", "create_log_stream", logGroupName=group, logStreamName=f"instance/{moment}-{len(messages)}")
    events = [{"timestamp": moment + place, "message": message} for place, message in enumerate(messages)]
    by_hand(
        "logs",
        "put_log_events",
        logGroupName=group,
        logStreamName=f"instance/{moment}-{len(messages)}",
        logEvents=events,
    )


def log_group(stack: Path) -> str:
    from orchestrator.planning import pipeline

    desired = pipeline.load_desired(stack, None, include_artefacts=False)
    return service_logs.find_log_group(desired, "api", Clients(desired.scope.region))


def test_logs_are_printed_in_order_without_secrets(
    stack: Path, capsys: pytest.CaptureFixture[str], by_hand: ByHand
) -> None:
    group = log_group(stack)
    put_lines(by_hand, group, "an hour old", at=time.time() - 3600)
    put_lines(by_hand, group, "started", "ERROR Password=hunter2; \x1b[31mred", "ready")

    recent = show(capsys, "logs", "api", "-f", str(stack))
    matched = show(capsys, "logs", "containerservice.api", "--grep", "ERROR", "-f", str(stack))
    older = show(capsys, "logs", "api", "--since", "2h", "-f", str(stack))

    assert [line.partition(" ")[2] for line in recent.out.splitlines()][::2] == ["started", "ready"]
    assert len(matched.out.splitlines()) == 1
    assert "hunter2" not in recent.out
    assert "\x1b" not in recent.out
    assert len(older.out.splitlines()) == 4
    assert older.out.index("an hour old") < older.out.index("started")


def test_following_shows_new_lines_once(stack: Path, by_hand: ByHand) -> None:
    group = "/followed"
    by_hand("logs", "create_log_group", logGroupName=group)
    put_lines(by_hand, group, "one")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        put_lines(by_hand, group, f"line {len(pauses)}", f"more {len(pauses)}")

    query = service_logs.LogQuery(time.time() - 60, follow=True)
    lines = service_logs.read_lines(Clients("eu-west-1"), group, query, pause=pause)

    assert [next(lines).text for _ in range(5)] == ["one", "line 1", "more 1", "line 2", "more 2"]
    assert pauses == [service_logs.POLL_SECONDS] * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["logs", "web"], "`web` is not a service"),
        (["logs", "api", "--since", "soon"], "such as 10m"),
        (["logs", "api", "--grep", "("], "is not a valid regular expression"),
    ],
)
def test_what_cannot_be_shown_is_said(
    stack: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    shown = show(capsys, *arguments, "-f", str(stack))

    assert shown.code == 1
    assert words in shown.err


def graph(capsys: pytest.CaptureFixture[str], folder: Path, output_format: str) -> str:
    shown = show(capsys, "graph", "-f", str(folder), "--format", output_format)
    assert shown.code == 0, shown.err
    return shown.out


def test_a_graph_has_every_component_and_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real_stack.load_stack(tmp_path / "stack")
    drawn: dict[str, Any] = json.loads(graph(capsys, tmp_path / "stack", "json"))
    needs = {tuple(edge) for edge in drawn["needs"]}

    assert len(drawn["components"]) == 9
    assert {
        ("cdn.web", "bucket.web"),
        ("containerservice.api", "bucket.files"),
        ("secret.app", "database.main"),
    } <= needs
    assert all(component in drawn["components"] for edge in needs for component in edge)
    assert graph(capsys, tmp_path / "stack", "mermaid").count("-->") == len(needs)
    assert graph(capsys, tmp_path / "stack", "dot").count("->") == len(needs)


def test_a_graph_is_an_image_that_needs_no_other_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each component is a box inside of the image; no two boxes meet; those that need each other share a line."""
    real_stack.load_stack(tmp_path / "stack")
    drawn: dict[str, Any] = json.loads(graph(capsys, tmp_path / "stack", "json"))
    image = ET.fromstring(graph(capsys, tmp_path / "stack", "svg"))
    namespace = "{http://www.w3.org/2000/svg}"
    boxes = [{name: int(value) for name, value in box.items()} for box in image.iter(f"{namespace}rect")]
    lines = {frozenset(edge) for edge in drawn["needs"]}

    assert sorted(str(text.text) for text in image.iter(f"{namespace}text")) == sorted(drawn["components"])
    assert len([path for path in image.iter(f"{namespace}path") if path.get("marker-end")]) == len(lines)
    assert len({(box["x"], box["y"]) for box in boxes}) == len(boxes) == len(drawn["components"])
    assert max(box["x"] + box["width"] for box in boxes) < int(image.attrib["width"])
    assert max(box["y"] + box["height"] for box in boxes) < int(image.attrib["height"])
