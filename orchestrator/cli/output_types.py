"""Types of the JSON that commands print, and their JSON Schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def list_output_types() -> Mapping[str, Any]:
    """Return the type of what each command prints with ``--format json``, by its words."""
    from orchestrator.bootstrap.workflow_roles import AccessDocument
    from orchestrator.cost.deadlines import Deadline
    from orchestrator.cost.price_list import Price
    from orchestrator.doctor.finding_report import DoctorDocument
    from orchestrator.doctor.upgrade_check import UpgradeReport
    from orchestrator.manifest.explain import FieldDescription
    from orchestrator.model_registry.registry import ModelSummary
    from orchestrator.model_registry.staleness import ModelStatus
    from orchestrator.render.component_graph import ComponentGraph
    from orchestrator.render.cost_report import CostDocument
    from orchestrator.render.drift import DriftDocument
    from orchestrator.render.release_contents import ReleaseContents
    from orchestrator.render.release_list import ReleaseRow
    from orchestrator.render.status_view import EnvironmentStatus
    from orchestrator.runs.external_values import StoredValue
    from orchestrator.state.server.access import TokenInfo
    from orchestrator.vocabulary import Plan

    return {
        "bootstrap": AccessDocument,
        "cost": CostDocument,
        "doctor": DoctorDocument,
        "drift": DriftDocument,
        "explain": list[FieldDescription],
        "graph": ComponentGraph,
        "model list": list[ModelSummary],
        "model status": ModelStatus,
        "outlook": list[Deadline],
        "plan": Plan,
        "prices show": dict[str, Price],
        "releases": list[ReleaseRow],
        "releases show": ReleaseContents,
        "secret list": list[StoredValue],
        "status": EnvironmentStatus,
        "token list": list[TokenInfo],
        "upgrade": UpgradeReport,
    }


def build_schema(command: str) -> dict[str, Any]:
    """Return the JSON Schema of a command's JSON output; "" means the commands without data of their own.

    Raises KeyError if there is no such command.
    """
    import msgspec

    from orchestrator.cli.command_result import CommandResult

    schema = msgspec.json.schema(list_output_types()[command] if command else CommandResult)
    title = f"Output of `orchestrator {command or 'COMMAND'} --format json`"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}
