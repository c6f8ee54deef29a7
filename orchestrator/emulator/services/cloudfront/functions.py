"""Emulate CloudFront Functions: an editable development stage and a published live stage. Runs no code."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState, Service
from orchestrator.emulator.services.cloudfront.entity import Entity, current_time, paginate_by_marker


@dataclass
class Function(Entity):
    """One function; the entity is its development stage, ``live`` the last published version."""

    code: bytes = b""
    arn: str = ""
    created_at: datetime = field(default_factory=current_time)
    live: Entity | None = None
    live_code: bytes = b""
    is_published: bool = False


class Functions(Service):
    """CloudFront Functions."""

    service = "cloudfront"
    is_complete = True

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._functions: dict[str, Function] = {}

    def create_function(self, params: Params, context: CallContext) -> Params:
        """Create a function in the development stage; refuse a name in use."""
        name = params["Name"]
        if name in self._functions:
            raise AwsError("FunctionAlreadyExists", f"A function with the name {name} already exists.", 409)
        arn = f"arn:aws:cloudfront::{self.state.account}:function/{name}"
        function = Function(name, params["FunctionConfig"], code=_encode_code(params), arn=arn)
        self._functions[name] = function
        location = f"https://cloudfront.amazonaws.com/2020-05-31/function/{name}"
        return {
            "FunctionSummary": self._function_summary(function, "DEVELOPMENT"),
            "Location": location,
            "ETag": function.etag,
        }

    def describe_function(self, params: Params, context: CallContext) -> Params:
        """Return one stage, DEVELOPMENT by default, with its ETag."""
        function, stage = self._get_function_stage(params)
        entity = function.live if stage == "LIVE" and function.live else function
        return {"FunctionSummary": self._function_summary(function, stage), "ETag": entity.etag}

    def get_function(self, params: Params, context: CallContext) -> Params:
        """Return the code of one stage."""
        function, stage = self._get_function_stage(params)
        is_live = stage == "LIVE" and function.live is not None
        entity = function.live if is_live and function.live else function
        code = function.live_code if is_live else function.code
        return {"FunctionCode": code, "ETag": entity.etag, "ContentType": "application/octet-stream"}

    def update_function(self, params: Params, context: CallContext) -> Params:
        """Change the development stage only."""
        function = self._get_function(params["Name"])
        function.check_etag(params.get("IfMatch"))
        function.replace_config(params["FunctionConfig"])
        function.code, function.is_published = _encode_code(params), False
        return {"FunctionSummary": self._function_summary(function, "DEVELOPMENT"), "ETag": function.etag}

    def publish_function(self, params: Params, context: CallContext) -> Params:
        """Copy the development stage to the live stage, which distributions then run."""
        function = self._get_function(params["Name"])
        function.check_etag(params.get("IfMatch"))
        function.live, function.live_code, function.is_published = (
            Entity(function.id, dict(function.config)),
            function.code,
            True,
        )
        return {"FunctionSummary": self._function_summary(function, "LIVE")}

    def delete_function(self, params: Params, context: CallContext) -> Params:
        """Delete a function; refuse while a cache behaviour uses it."""
        function = self._get_function(params["Name"])
        function.check_etag(params.get("IfMatch"))
        if self._is_function_used(function.arn):
            raise AwsError(
                "FunctionInUse", "Cannot delete the function because it's attached to a cache behavior.", 409
            )
        del self._functions[function.id]
        return {}

    def list_functions(self, params: Params, context: CallContext) -> Params:
        """List the functions in one stage, or in every stage each has."""
        stages = [params["Stage"]] if params.get("Stage") else ["DEVELOPMENT", "LIVE"]
        functions = self._functions.values()
        summaries = [
            self._function_summary(function, stage)
            for function in functions
            for stage in stages
            if stage != "LIVE" or function.live
        ]
        return {"FunctionList": paginate_by_marker(summaries, params)}

    def _is_function_used(self, arn: str) -> bool:
        """Return whether a cache behaviour uses the function; ``Distributions`` overrides this."""
        return False

    def _get_function(self, name: str) -> Function:
        function = self._functions.get(name)
        if function is None:
            raise AwsError("NoSuchFunctionExists", "The specified function does not exist.", 404)
        return function

    def _has_live_function(self, arn: str) -> bool:
        return any(function.arn == arn and function.live for function in self._functions.values())

    def _get_function_stage(self, params: Params) -> tuple[Function, str]:
        stage = params.get("Stage") or "DEVELOPMENT"
        function = self._get_function(params["Name"])
        if stage == "LIVE" and function.live is None:
            raise AwsError("NoSuchFunctionExists", "The specified function has no live stage.", 404)
        return function, stage

    def _function_summary(self, function: Function, stage: str) -> Params:
        """Return the FunctionSummary shape."""
        is_live = stage == "LIVE" and function.live is not None
        entity = function.live if is_live and function.live else function
        published_status = "DEPLOYED" if self._is_function_used(function.arn) else "UNASSOCIATED"
        return {
            "Name": function.id,
            "Status": published_status if is_live or function.is_published else "UNPUBLISHED",
            "FunctionConfig": entity.config,
            "FunctionMetadata": {
                "FunctionARN": function.arn,
                "Stage": stage,
                "CreatedTime": function.created_at,
                "LastModifiedTime": entity.modified_at,
            },
        }


def _encode_code(params: Params) -> bytes:
    code = params["FunctionCode"]
    return code if isinstance(code, bytes) else str(code).encode()
