"""CloudFront Functions: a development stage that is edited, a live stage that publishing makes.  Runs no code."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service, World
from orchestrator.emulator.services.cloudfront.entity import Entity, listing, now


@dataclass
class Function(Entity):
    """One function; the entity is its development stage, ``live`` what was last published."""

    code: bytes = b""
    arn: str = ""
    created: datetime = field(default_factory=now)
    live: Entity | None = None
    live_code: bytes = b""
    published: bool = False


class Functions(Service):
    """CloudFront Functions."""

    service = "cloudfront"
    complete = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._functions: dict[str, Function] = {}

    def create_function(self, params: Params, context: Context) -> Params:
        """In the development stage; its name must be free."""
        name = params["Name"]
        if name in self._functions:
            raise AwsError("FunctionAlreadyExists", f"A function with the name {name} already exists.", 409)
        arn = f"arn:aws:cloudfront::{self.world.account}:function/{name}"
        made = Function(name, params["FunctionConfig"], code=_code(params), arn=arn)
        self._functions[name] = made
        location = f"https://cloudfront.amazonaws.com/2020-05-31/function/{name}"
        return {"FunctionSummary": self._summary(made, "DEVELOPMENT"), "Location": location, "ETag": made.etag}

    def describe_function(self, params: Params, context: Context) -> Params:
        """Of one stage, DEVELOPMENT unless told otherwise, with that stage's ETag."""
        found, stage = self._staged(params)
        entity = found.live if stage == "LIVE" and found.live else found
        return {"FunctionSummary": self._summary(found, stage), "ETag": entity.etag}

    def get_function(self, params: Params, context: Context) -> Params:
        """The code of one stage."""
        found, stage = self._staged(params)
        live = stage == "LIVE" and found.live is not None
        entity = found.live if live and found.live else found
        code = found.live_code if live else found.code
        return {"FunctionCode": code, "ETag": entity.etag, "ContentType": "application/octet-stream"}

    def update_function(self, params: Params, context: Context) -> Params:
        """Change the development stage only."""
        found = self._function(params["Name"])
        found.match(params.get("IfMatch"))
        found.replace(params["FunctionConfig"])
        found.code, found.published = _code(params), False
        return {"FunctionSummary": self._summary(found, "DEVELOPMENT"), "ETag": found.etag}

    def publish_function(self, params: Params, context: Context) -> Params:
        """Make the development stage live; distributions that use the function run it from now on."""
        found = self._function(params["Name"])
        found.match(params.get("IfMatch"))
        found.live, found.live_code, found.published = Entity(found.id, dict(found.config)), found.code, True
        return {"FunctionSummary": self._summary(found, "LIVE")}

    def delete_function(self, params: Params, context: Context) -> Params:
        """Refused while a behaviour uses it."""
        found = self._function(params["Name"])
        found.match(params.get("IfMatch"))
        if self._function_is_used(found.arn):
            raise AwsError(
                "FunctionInUse", "Cannot delete the function because it's attached to a cache behavior.", 409
            )
        del self._functions[found.id]
        return {}

    def list_functions(self, params: Params, context: Context) -> Params:
        """Those that have the stage asked for; each in all its stages when none is."""
        stages = [params["Stage"]] if params.get("Stage") else ["DEVELOPMENT", "LIVE"]
        functions = self._functions.values()
        found = [self._summary(each, stage) for each in functions for stage in stages if stage != "LIVE" or each.live]
        return {"FunctionList": listing(found, params)}

    def _function_is_used(self, arn: str) -> bool:
        """Whether a behaviour uses it; the distributions say."""
        return False

    def _function(self, name: str) -> Function:
        found = self._functions.get(name)
        if found is None:
            raise AwsError("NoSuchFunctionExists", "The specified function does not exist.", 404)
        return found

    def _live_function(self, arn: str) -> bool:
        return any(each.arn == arn and each.live for each in self._functions.values())

    def _staged(self, params: Params) -> tuple[Function, str]:
        stage = params.get("Stage") or "DEVELOPMENT"
        found = self._function(params["Name"])
        if stage == "LIVE" and found.live is None:
            raise AwsError("NoSuchFunctionExists", "The specified function has no live stage.", 404)
        return found, stage

    def _summary(self, function: Function, stage: str) -> Params:
        """The FunctionSummary shape."""
        live = stage == "LIVE" and function.live is not None
        entity = function.live if live and function.live else function
        deployed = "DEPLOYED" if self._function_is_used(function.arn) else "UNASSOCIATED"
        return {
            "Name": function.id,
            "Status": deployed if live or function.published else "UNPUBLISHED",
            "FunctionConfig": entity.config,
            "FunctionMetadata": {
                "FunctionARN": function.arn,
                "Stage": stage,
                "CreatedTime": function.created,
                "LastModifiedTime": entity.modified,
            },
        }


def _code(params: Params) -> bytes:
    code = params["FunctionCode"]
    return code if isinstance(code, bytes) else str(code).encode()
