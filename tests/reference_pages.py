"""Render the reference of commands' options, IAM permissions, and the state service's API, events and metrics."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import click
import prometheus_client

from orchestrator.bootstrap.permission_rules import PermissionRule
from orchestrator.bootstrap.resource_permissions import DISCOVERY_RULES, RULES_BY_TYPE
from orchestrator.cli.main import COMMANDS, cli
from orchestrator.state.protocol import records
from orchestrator.state.server import app
from orchestrator.state.server.service_metrics import ServiceMetrics
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store

COMMON = ("manifests", "environment", "verbose", "log_format", "no_color", "help")
"""Parameters that every command has; the page names them once."""
USED_BY = {
    "read": "plan, deploy",
    "write": "deploy",
    "destroy": "deploy, with `deletionPolicy: delete`",
    "adopt-read": "plan and deploy, with `adopt: true`",
    "adopt": "deploy, with `adopt: true`",
}
EVENT_KINDS = {
    "started": "A change, a probe or another step began.",
    "step": "A step of it began: `what` says which, `done` of `total` are done.",
    "waiting": "It waits for AWS; `what` says for what.",
    "progress": "It goes on; `done` of `total`, such as bytes or files, are done.",
    "finished": "It ended, after `seconds`, with an `outcome`.",
}


def render_options() -> str:
    """Return a section for every command and subcommand: how to call it, its arguments and options."""
    return "\n\n".join(_render_command(f"orchestrator {name}", command) for name, command in _list_commands())


def _list_commands() -> Iterator[tuple[str, click.Command]]:
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        if isinstance(command, click.Group):
            context = click.Context(command)
            found = [(child, command.get_command(context, child)) for child in command.list_commands(context)]
            yield from ((f"{name} {child}", subcommand) for child, subcommand in found if subcommand is not None)
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield name, command


def _render_command(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    rows = [_render_parameter(parameter, context) for parameter in command.params if parameter.name not in COMMON]
    summary = " ".join((command.help or "").partition("\n\n")[0].split())
    lines = [f"### {name}", "", summary, "", f"`{name.removeprefix('orchestrator ')} {usage}`"]
    if rows:
        lines += ["", "| argument or option | default | what it is |", "|---|---|---|", *rows]
    return "\n".join(lines)


def _render_parameter(parameter: click.Parameter, context: click.Context) -> str:
    if not isinstance(parameter, click.Option):
        return f"| `{parameter.make_metavar(context)}` |  |  |"
    value = "" if parameter.is_flag else f" {parameter.make_metavar(context)}"
    default = parameter.default
    is_shown = default not in (None, "", (), False) and not callable(default) and "UNSET" not in str(default).upper()
    shown = f"`{default}`" if is_shown else ""
    return f"| `{_cell(', '.join(parameter.opts) + value)}` | {_cell(shown)} | {_cell(parameter.help or '')} |"


def render_permissions() -> str:
    """Return, by resource type, the IAM actions, on what, and which role has them."""
    rules: Iterable[tuple[str, tuple[PermissionRule, ...]]] = (("", DISCOVERY_RULES), *sorted(RULES_BY_TYPE.items()))
    rows = ["| resource | IAM actions | on | role |", "|---|---|---|---|"]
    for name, of_type in rules:
        shown = f"`{name}`" if name else "every project"
        for rule in of_type:
            condition = ", under a condition" if rule.condition else ""
            arns = ", ".join(f"`{arn}`" for arn in rule.arns)
            actions = ", ".join(f"`{action}`" for action in rule.actions)
            rows.append(f"| {shown} | {actions} | {arns}{condition} | {USED_BY[rule.access_level]} |")
    return "\n".join(rows)


def render_api() -> str:
    """Return every operation of the state service's API."""
    document: dict[str, Any] = app.create_app(Settings(), Store(None)).openapi()  # type: ignore[arg-type]
    rows = ["| operation | what it does |", "|---|---|"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            description = " ".join((operation.get("description") or operation.get("summary", "")).split())
            query = [item["name"] for item in operation.get("parameters", []) if item["in"] == "query"]
            more = f" Query: {', '.join(f'`{name}`' for name in query)}." if query else ""
            rows.append(f"| `{method.upper()} {path}` | {_cell(description)}{more} |")
    return "\n".join(rows)


def render_events() -> str:
    """Return the kinds of events of a run, and their fields."""
    kinds = get_args(records.EventKind)
    assert set(kinds) == EVENT_KINDS.keys()
    rows = ["| event | what happened |", "|---|---|", *(f"| `{kind}` | {EVENT_KINDS[kind]} |" for kind in kinds)]
    fields = inspect.get_annotations(records.StepEvent)
    rows += ["", "| field | type |", "|---|---|"]
    return "\n".join([*rows, *(f"| `{name}` | {_cell(str(kind))} |" for name, kind in fields.items())])


def render_metrics() -> str:
    """Return the metrics, as Prometheus names them."""
    metrics = ServiceMetrics()
    metrics.count_request("GET", "/healthz", 200, 0.001)
    text = prometheus_client.generate_latest(metrics.registry).decode()
    types = dict(re.findall(r"^# TYPE (\S+) (\w+)", text, re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (\S+) (.+)", text, re.MULTILINE))
    rows = ["| metric | type | labels | what it is |", "|---|---|---|---|"]
    for name, kind in types.items():
        if kind == "gauge" and name.endswith("_created"):
            continue
        sample = re.search(rf"^{name}(?:_bucket|_count)?\{{([^}}]*)\}}", text, re.MULTILINE)
        labels = re.findall(r"(\w+)=", sample[1]) if sample else []
        rows.append(f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {helps[name]} |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
