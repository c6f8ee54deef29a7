"""Write the tables of docs/reference from commands, schemas and workflows: ``python -m tests.reference_tables``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from orchestrator import components, resources
from orchestrator.cli import output_types
from orchestrator.cli.exit_codes import EXIT_CODES
from orchestrator.cli.main import COMMANDS, cli
from orchestrator.cost import price_list
from orchestrator.manifest import expand, explain, reference_resolver
from orchestrator.planning import pipeline
from tests import reference_pages
from tests.cost.priced_stacks import find_unpriced

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
WORKFLOWS = ("plan", "deploy", "promote", "rollback", "drift", "secret", "hibernate")
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


def render_exit_codes() -> str:
    """Return the further exit codes of every command."""
    rows = ["| command | exit code | meaning |", "|---|--:|---|"]
    for name, codes in EXIT_CODES.items():
        rows += [f"| `orchestrator {name}` | {code} | {meaning} |" for code, meaning in codes.items()]
    return "\n".join(rows)


def render_outputs() -> str:
    """Return every command that prints JSON, with a link to its schema."""
    rows = ["| command, with `--format json` | schema |", "|---|---|"]
    rows += [
        f"| `{name}` | [{output_file(name)}](outputs/{output_file(name)}) |"
        for name in output_types.list_output_types()
    ]
    rows += [f"| all others | [{output_file('')}](outputs/{output_file('')}) |"]
    return "\n".join(rows)


def output_file(name: str) -> str:
    """Return the name of the schema of a command's JSON; that of "" is for commands without data of their own."""
    return f"{name.replace(' ', '-') or 'command-result'}.schema.json"


def render_output_schema(name: str) -> str:
    """Return the JSON Schema of a command's JSON."""
    return json.dumps(output_types.build_schema(name), indent=2, ensure_ascii=False) + "\n"


def render_kinds() -> str:
    """Return every manifest kind with its description and the fields of its ``spec``."""
    rows = ["| kind | what it declares | fields of `spec` (required in bold) |", "|---|---|---|"]
    for name in KINDS:
        schema = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text())
        spec = schema["properties"]["spec"]
        required = spec.get("required", [])
        fields = ", ".join(f"**{field}**" if field in required else field for field in spec["properties"])
        link = f"[`{schema['properties']['kind']['const']}`](kinds/{name}.md)"
        rows.append(f"| {link} | {schema['description']} | {fields} |")
    return "\n".join(rows)


def render_kind(name: str) -> str:
    """Return the page of one kind: its example, every field, and what other components can refer to."""
    schema = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text())
    kind = schema["properties"]["kind"]["const"]
    example = yaml.safe_dump(schema["examples"][0], sort_keys=False, width=110, allow_unicode=True).rstrip()
    rows = [_render_field(field) for field in explain.describe_fields(name) if field.path.startswith("spec.")]
    return "\n".join(
        [
            f"# {kind}",
            "",
            "<!-- Generated from the schema by python -m tests.reference_tables. -->",
            "",
            schema["description"],
            "",
            f"```yaml\n{example}\n```",
            "",
            "## Fields of `spec`",
            "",
            "Required fields are bold. `[]` marks the fields of a list's items.",
            "",
            "| field | type | default | what it is |",
            "|---|---|---|---|",
            *rows,
            "",
            "## References",
            "",
            *_render_exports(kind),
            "",
        ]
    )


def _render_field(field: explain.FieldDescription) -> str:
    path = field.path.removeprefix("spec.")
    name = f"**`{path}`**" if field.is_required else f"`{path}`"
    default = f"`{_cell(field.default)}`" if field.default else ""
    limits = [limit for limit in field.limits if not limit.startswith("matches ")]
    rule = f"It {field.rule}." if field.rule else f"Allowed: {'; '.join(limits)}." if limits else ""
    details = f"{field.description} {rule}".strip()
    example = f" Example: `{_cell(field.examples[0])}`" if field.examples and len(field.examples[0]) <= 60 else ""
    return f"| {name} | {_cell(field.type)} | {default} | {_cell(details)}{example} |"


def _render_exports(kind: str) -> Iterator[str]:
    manifest = pipeline.validate(ROOT / "manifests")
    component = next(item for item in expand.build_stack(manifest).components.values() if item.kind == kind)
    names = sorted(components.exports(component, manifest.scope))
    if kind == "Project":
        names = sorted(reference_resolver.project_exports(manifest.scope))
    handle = "project" if kind == "Project" else f"{kind.lower()}.NAME"
    if not names:
        yield f"No component can refer to a {kind}."
        return
    yield "Other components can use " + ", ".join(f"`${{{handle}.{name}}}`" for name in names) + "."


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def render_drift_coverage() -> str:
    """Return, by resource type, what drift compares, watches and does not look at."""
    rows = ["| resource | compared, and set back by apply | watched: reported, and left unchanged | not looked at |"]
    rows.append("|---|---|---|---|")
    for name in resources.list_types():
        properties = resources.load_properties(name)
        if properties is not None:
            unseen = "; ".join(f"{_join(names)}: {reason}" for reason, names in properties.not_looked_at.items())
            compared = _join(sorted(set(properties.owned.values())))
            rows.append(f"| `{name}` | {compared} | {_join(sorted(set(properties.watched.values())))} | {unseen} |")
    return "\n".join(rows)


def _join(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def render_workflows() -> str:
    """Return the inputs and outputs of every reusable workflow."""
    return "\n\n".join(map(_render_workflow, WORKFLOWS))


def render_prices() -> str:
    """Return, by region, how many prices are shipped, their dates, and what has none."""
    rows = ["| region | shipped prices | oldest and newest | without a price |", "|---|--:|---|---|"]
    for region, prices in sorted(price_list.load_shipped().regions.items()):
        dates = sorted(price.as_of for price in prices.values())
        unpriced = ", ".join(sorted(find_unpriced(region))) or "nothing"
        rows.append(f"| `{region}` | {len(prices)} | {dates[0]}, {dates[-1]} | {unpriced} |")
    return "\n".join(rows)


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "commands": ("commands.md", render_commands),
    "exit-codes": ("commands.md", render_exit_codes),
    "kinds": ("manifests.md", render_kinds),
    "drift": ("drift.md", render_drift_coverage),
    "prices": ("prices.md", render_prices),
    "outputs": ("commands.md", render_outputs),
    "workflows": ("workflows.md", render_workflows),
    "options": ("options.md", reference_pages.render_options),
    "permissions": ("permissions.md", reference_pages.render_permissions),
    "api": ("state-service-api.md", reference_pages.render_api),
    "events": ("state-service-api.md", reference_pages.render_events),
    "metrics": ("state-service-api.md", reference_pages.render_metrics),
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
            *(f"| `{output}` | {entry['description']} |" for output, entry in interface.get("outputs", {}).items()),
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
    for name in KINDS:
        path = REFERENCE / "kinds" / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(render_kind(name))
    for name in ("", *output_types.list_output_types()):
        path = REFERENCE / "outputs" / output_file(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(render_output_schema(name))


if __name__ == "__main__":
    main()
