"""Agents ask over the Model Context Protocol: real client, real process; nothing that they ask can write."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from orchestrator.cli.main import COMMANDS
from orchestrator.emulator import Emulator
from orchestrator.runs.agent_tools import READ_ONLY_COMMANDS, AgentTools

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

TOOLS = {"validate", "explain", "render", "plan", "drift", "status", "releases", "cost", "outlook", "graph"}


def ask(manifests: Path, aws: Emulator, *questions: tuple[str, dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """Start `orchestrator mcp`, list its tools, ask; return the tools by name, and the answers."""
    environment = {**aws.environment, "PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "orchestrator", "mcp", "-f", str(manifests)], env=environment
    )

    async def talk() -> tuple[dict[str, Any], list[str]]:
        async with Client(stdio_client(server)) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            answers = [await client.call_tool(name, arguments) for name, arguments in questions]
            return tools, ["".join(getattr(part, "text", "") for part in answer.content) for answer in answers]

    with ThreadPoolExecutor(1) as pool:  # a browser of another test may have a loop in this thread
        return pool.submit(anyio.run, talk).result()


def list_forbidden(aws: Emulator) -> list[str]:
    """The calls that wrote, or that returned a secret."""
    return [call.name for call in aws.calls if call.access != "read" or call.reads_secret]


def test_every_tool_answers_and_only_reads(manifests: Path, aws: Emulator) -> None:
    questions = [("validate", {}), ("explain", {"path": "bucket.spec.lifecycle"}), ("render", {"environment": "prod"})]
    questions += [(name, {"environment": "prod"}) for name in ("plan", "drift", "status", "outlook", "graph")]
    questions += [("cost", {})]  # the only environment

    tools, answers = ask(manifests, aws, *questions)
    said = dict(zip((name for name, _ in questions), answers, strict=True))

    assert set(tools) == TOOLS
    assert all(tool.description and tool.annotations.read_only_hint for tool in tools.values())
    assert "valid" in said["validate"]
    assert "KIND:     Bucket" in said["explain"]
    assert "kind: Bucket" in said["render"]
    assert json.loads(said["plan"])["changes"]
    assert json.loads(said["cost"])["region"] == "eu-west-1"
    assert len(aws.calls) > 10
    assert list_forbidden(aws) == []


HOSTILE = ("--out=stolen.json", "prod --accept=all", "-e", "../prod", "prod\x00", "")


def test_no_value_becomes_an_option(manifests: Path, aws: Emulator, tmp_path: Path) -> None:
    """What an agent was talked into asking changes nothing, and writes no file."""
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    questions: list[tuple[str, dict[str, Any]]] = [("plan", {"environment": value}) for value in HOSTILE]
    questions += [("explain", {"path": value or "--help"}) for value in HOSTILE]
    _, answers = ask(manifests, aws, *questions)

    assert len(answers) == 12
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert list_forbidden(aws) == []


def test_no_command_that_writes_is_among_them() -> None:
    writing = {"apply", "deploy", "rollback", "destroy", "unpin", "unlock", "blame", "bootstrap", "init", "secret"}

    assert READ_ONLY_COMMANDS == TOOLS
    assert set(COMMANDS) >= READ_ONLY_COMMANDS
    assert not READ_ONLY_COMMANDS & writing


def test_a_tool_knows_neither_the_state_service_nor_github(manifests: Path, aws: Emulator) -> None:
    """Otherwise a drift report would be a write."""
    environ = {**aws.environment, "ORCHESTRATOR_STATE_URL": "http://127.0.0.1:9", "GITHUB_TOKEN": "ghp_" + "a" * 36}
    tools = AgentTools(manifests, {**environ, "PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin"})

    answer = tools.drift("prod")

    assert "127.0.0.1:9" not in answer
    assert "ghp_" not in answer
    assert json.loads(answer.partition("\n(exit code")[0])["coverage"] > 70
