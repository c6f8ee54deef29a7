"""Whether botocore would send a recorded call, with stand-ins for what only AWS can tell.  Knows botocore's models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.validate import ParamValidator

from orchestrator.steps import ApiCall
from orchestrator.values import Unknown, reveal


def find_violations(call: ApiCall) -> str:
    """What botocore has against a call; empty when it would send it."""
    model = _load_model(call.service)
    operations = {xform_name(name): name for name in model.operation_names}
    if call.operation not in operations:
        return f"{call.service} has no operation {call.operation}"
    shape = model.operation_model(operations[call.operation]).input_shape
    if shape is None:
        return "" if not call.parameters else "takes no parameters"
    report = ParamValidator().validate(_fill_unknowns(reveal(call.parameters), shape), shape)
    return str(report.generate_report())


@cache
def _load_model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _fill_unknowns(value: Any, shape: Any) -> Any:
    """``value`` with every Unknown replaced by the least that fits its place."""
    if isinstance(value, Unknown):
        return _make_placeholder(shape)
    if isinstance(value, Mapping) and shape.type_name == "structure":
        return {
            key: _fill_unknowns(item, shape.members[key]) if key in shape.members else item
            for key, item in value.items()
        }
    if isinstance(value, Mapping) and shape.type_name == "map":
        return {key: _fill_unknowns(item, shape.value) for key, item in value.items()}
    if isinstance(value, list | tuple) and shape.type_name == "list":
        return [_fill_unknowns(item, shape.member) for item in value]
    return reveal(value)


def _make_placeholder(shape: Any) -> Any:
    match shape.type_name:
        case "structure":
            return {name: _make_placeholder(shape.members[name]) for name in shape.required_members}
        case "list":
            return [_make_placeholder(shape.member)] * int(shape.metadata.get("min", 0))
        case "map":
            return {}
        case "integer" | "long" | "float" | "double":
            return shape.metadata.get("min", 1)
        case "boolean":
            return True
        case "timestamp":
            return 0
        case "blob":
            return b"known after apply"
        case _:
            return "known-after-apply".ljust(int(shape.metadata.get("min", 0)), "-")
