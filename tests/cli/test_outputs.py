"""What programs read: JSON by published schemas, and exit codes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from orchestrator.cli import output_types
from orchestrator.cli.exit_codes import EXIT_CODES
from orchestrator.cli.main import cli, main
from orchestrator.problems import ExitCode
from tests import reference_tables

pytestmark = pytest.mark.xdist_group("whole-stack")
OUTPUTS = reference_tables.REFERENCE / "outputs"


def commands(group: click.Group = cli, words: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that can be typed, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        path = f"{words} {name}".strip()
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield path, command
        if isinstance(command, click.Group):
            yield from commands(command, path)


COMMANDS = dict(commands())
LISTS = [name for name, command in COMMANDS.items() if re.match(r"\s*List ", command.help or "")]


def formats(command: click.Command) -> list[str]:
    return [
        choice
        for option in command.params
        if "--format" in option.opts and isinstance(option.type, click.Choice)
        for choice in map(str, option.type.choices)
    ]


def test_every_list_has_json_with_a_schema() -> None:
    assert len(LISTS) >= 5
    assert [name for name in LISTS if "json" not in formats(COMMANDS[name])] == []
    assert [name for name in LISTS if name not in output_types.list_output_types()] == []
    assert [name for name in output_types.list_output_types() if "json" not in formats(COMMANDS[name])] == []


def test_every_command_has_json_but_those_that_pass_on_a_stream() -> None:
    """Both ways: a type of its own for each command that has data, the common result for all others."""
    streams = {name for name, command in COMMANDS.items() if "json" not in formats(command)}
    assert streams == {
        *("completion", "console database", "emulator", "exec", "history export", "logs", "mcp", "render", "serve")
    }
    page = (reference_tables.REFERENCE / "commands.md").read_text()
    assert [name for name in streams if f"`{name.removesuffix(' database')}`" not in page] == []
    assert [name for name, command in COMMANDS.items() if has_data(command)] == [
        name for name in COMMANDS if name in output_types.list_output_types()
    ]


def has_data(command: click.Command) -> bool:
    """Whether a command has a ``--format`` of its own."""
    return any("--format" in option.opts and option.expose_value for option in command.params)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "output", "problem"),
    [
        (["validate"], 0, "The manifests are valid.", ""),
        (["validate", "-e", "nowhere"], 1, "", "nowhere"),
        (["live", "123"], 1, "", "no complete release"),
        (["apply", "--target", "nothing"], 1, "", "nothing"),
    ],
)
def test_any_command_ends_with_one_document(
    arguments: list[str],
    exit_code: int,
    output: str,
    problem: str,
    stack: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*arguments, "--format", "json", "-f", str(stack)]) == exit_code
    result = json.loads(capsys.readouterr().out)

    jsonschema.validate(result, strict(output_types.build_schema("")), jsonschema.Draft202012Validator)
    assert result["command"] == f"orchestrator {arguments[0]}"
    assert result["exit_code"] == exit_code
    assert output in "\n".join(result["output"])
    assert [problem in found["message"] for found in result["problems"]] == [True] * bool(problem)


def test_a_problem_has_its_place_as_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("manifests", tmp_path / "manifests")
    file = tmp_path / "manifests" / "buckets.yaml"
    file.write_text(file.read_text() + "  versoning: true\n")
    assert main(["validate", "--format", "json", "-f", str(file.parent)]) == 1
    [problem] = json.loads(capsys.readouterr().out)["problems"]

    assert (Path(problem["file"]).name, problem["column"]) == (file.name, 3)
    assert problem["line"] == len(file.read_text().splitlines())


def test_the_published_schemas_are_those_of_the_types() -> None:
    """`python -m tests.reference_tables` writes them."""
    for name in ("", *output_types.list_output_types()):
        text = (OUTPUTS / reference_tables.output_file(name)).read_text()
        assert text == reference_tables.render_output_schema(name)
        jsonschema.Draft202012Validator.check_schema(json.loads(text))
    assert len(list(OUTPUTS.iterdir())) == len(output_types.list_output_types()) + 1


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("cost", []),
        ("drift", []),
        ("explain", ["bucket.spec.lifecycle"]),
        ("graph", []),
        ("outlook", ["--days", "3650"]),
        ("plan", []),
        ("prices show", []),
        ("releases", []),
        ("secret list", ["app"]),
        ("status", []),
    ],
)
def test_what_is_printed_is_what_the_schema_says(
    command: str, arguments: list[str], stack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a stack in an emulated AWS; nothing that the schema does not name is printed."""
    assert main([*command.split(" "), *arguments, "--format", "json", "-f", str(stack)]) == 0
    printed = json.loads(capsys.readouterr().out)
    schema = strict(json.loads((OUTPUTS / reference_tables.output_file(command)).read_text()))

    assert bool(printed) is (command != "releases")
    jsonschema.validate(printed, schema, jsonschema.Draft202012Validator)


def test_access_is_printed_by_its_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("manifests", tmp_path / "manifests")
    project = tmp_path / "manifests" / "project.yaml"
    project.write_text(project.read_text() + "  permissionsBoundary: true\n")
    monkeypatch.setenv("GITHUB_TOKEN", "")
    monkeypatch.setenv("PATH", "")  # nor a token of gh
    assert main(["bootstrap", "github", "--plan", "--format", "json", "-f", str(project.parent)]) == 0
    printed = json.loads(capsys.readouterr().out)

    assert len(printed["policies"]) > 2
    jsonschema.validate(printed, strict(output_types.build_schema("bootstrap")), jsonschema.Draft202012Validator)


def test_findings_are_printed_by_their_schema(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--timeout", "1", "--format", "json", "-f", str(stack)]) in (0, 1)
    printed = json.loads(capsys.readouterr().out)

    assert len(printed["findings"]) > 5
    jsonschema.validate(printed, strict(output_types.build_schema("doctor")), jsonschema.Draft202012Validator)


def test_tokens_are_printed_by_their_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = f"sqlite:///{tmp_path / 'state.db'}"
    assert main(["token", "create", "ci", "--database", database]) == 0
    capsys.readouterr()
    assert main(["token", "list", "--format", "json", "--database", database]) == 0
    [token] = json.loads(capsys.readouterr().out)

    assert token["name"] == "ci"
    jsonschema.validate([token], strict(output_types.build_schema("token list")), jsonschema.Draft202012Validator)


def strict(schema: Any) -> Any:
    """Return a schema whose objects have no members but those that it names."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in schema.items()}
    if "properties" in closed and "title" in closed:
        closed["additionalProperties"] = False
    return closed


def test_exit_codes_in_the_reference_are_those_that_the_help_names() -> None:
    """Both ways: each number of a help's "Exits ..." sentences is in the table, and each code of the table exists."""
    named, borrowers = {}, []
    for name, command in COMMANDS.items():
        help_text = " ".join((command.help or "").split())
        sentences = re.findall(r"[^.]*\b[Ee]xits? [^.]*", help_text)
        numbers = {
            int(number) for sentence in sentences for number in re.findall(r"(?:[Ee]xits? |; |, |or )(\d)\b", sentence)
        }
        named[name] = numbers - {ExitCode.OK, ExitCode.FAILED}
        for other in re.findall(r"exit codes of `(?:orchestrator )?([a-z ]+)`", help_text):
            assert EXIT_CODES[name].keys() == EXIT_CODES[other].keys(), f"{name} has not the exit codes of {other}"
            borrowers.append(name)
    tabled = {name: set(map(int, codes)) for name, codes in EXIT_CODES.items()}

    assert tabled.keys() <= COMMANDS.keys()
    assert len(borrowers) >= 4
    assert sum(map(len, named.values())) > 10
    assert {
        name: codes - tabled.get(name, set()) for name, codes in named.items() if codes - tabled.get(name, set())
    } == {}
