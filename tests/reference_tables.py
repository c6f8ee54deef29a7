"""Write the tables of docs/reference from commands, schemas and workflows: ``python -m tests.reference_tables``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from orchestrator.cli.main import COMMANDS, cli

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
WORKFLOWS = ("plan", "deploy", "rollback", "drift")
KINDS = ("project", "bucket", "database", "secret", "containerservice", "cdn", "budget")


def render_commands() -> str:
    """Return every command and subcommand with its help line."""
    rows = ["| command | what it does |", "|---|---|"]
    for name, summary in COMMANDS.items():
        rows.append(f"| `orchestrator {name}` | {summary} |")
        command = cli.get_command(click.Context(cli), name)
        if isinstance(command, click.Group):
            context = click.Context(command)
            for subcommand_name in command.list_commands(context):
                subcommand = command.get_command(context, subcommand_name)
                help_text = _first_paragraph((subcommand and subcommand.help) or "")
                rows.append(f"| `orchestrator {name} {subcommand_name}` | {help_text} |")
    return "\n".join(rows)


def render_kinds() -> str:
    """Return every manifest kind with its description and the fields of its ``spec``."""
    rows = ["| kind | what it declares | fields of `spec` (required in bold) |", "|---|---|---|"]
    for name in KINDS:
        schema = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text())
        spec = schema["properties"]["spec"]
        required = spec.get("required", [])
        fields = ", ".join(f"**{field}**" if field in required else field for field in spec["properties"])
        rows.append(f"| `{schema['properties']['kind']['const']}` | {schema['description']} | {fields} |")
    return "\n".join(rows)


def render_workflows() -> str:
    """Return the inputs and outputs of every reusable workflow."""
    return "\n\n".join(map(_render_workflow, WORKFLOWS))


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "commands": ("commands.md", render_commands),
    "kinds": ("manifests.md", render_kinds),
    "workflows": ("workflows.md", render_workflows),
}
"""Marker, page and content of every generated table."""


def insert_table(page: str, marker: str, table: str) -> str:
    """Return ``page`` with ``table`` between the markers.  Raises ValueError if it has none."""
    pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no <!-- {marker} --> ... <!-- /{marker} -->")
    return pattern.sub(lambda match: f"{match[1]}{table}\n{match[2]}", page)


def _first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def _render_workflow(name: str) -> str:
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text()
    workflow: dict[Any, Any] = yaml.safe_load(text)
    interface = workflow[True]["workflow_call"]  # YAML 1.1 reads `on` as true
    summary = text.partition("\n")[0].removeprefix("# ")
    return "\n".join(
        [
            f"### {name}.yml",
            "",
            summary,
            "",
            "| input | type | default | what it is |",
            "|---|---|---|---|",
            *_render_inputs(interface["inputs"]),
            "",
            "| output | what it is |",
            "|---|---|",
            *(f"| `{output}` | {entry['description']} |" for output, entry in interface["outputs"].items()),
        ]
    )


def _render_inputs(inputs: dict[str, Any]) -> Iterator[str]:
    for name, entry in inputs.items():
        default = "" if entry["default"] == "" else f"`{json.dumps(entry['default']).strip(chr(34))}`"
        yield f"| `{name}` | {entry['type']} | {default} | {entry['description']} |"


def main() -> None:
    for marker, (file, render) in TABLES.items():
        path = REFERENCE / file
        path.write_text(insert_table(path.read_text(), marker, render()))


if __name__ == "__main__":
    main()
