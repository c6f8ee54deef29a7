"""CloudFront Functions.  API: CloudFront CreateFunction, UpdateFunction, PublishFunction, GetFunction.

A function is edited in one stage and runs in another: what counts here is what runs.  One that was never published
has no code that runs, so it shows as a difference.  Names are unique; the comment says whose one is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.ownership_tags import read_phrase
from orchestrator.resources import Aws
from orchestrator.steps import Call, Steps
from orchestrator.values import Value
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

GONE = ("NoSuchFunctionExists",)


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Code is compared as text; how its file ends means nothing."""
    return {**spec, "code": spec["code"].rstrip() + "\n"} if isinstance(spec.get("code"), str) else spec


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing serves all functions, in both stages; the code that runs is one more read.

    The edited version alone would not do: a run killed before it published leaves new settings that do not run.  One
    that the listing shows in that stage only is asked for by itself before it counts as never published.
    """
    edited, running = _summary(aws, name, "DEVELOPMENT"), _summary(aws, name, "LIVE")
    if edited and not running:
        published = aws.get("cloudfront", "describe_function", Name=name, Stage="LIVE", missing=GONE) or {}
        running = published.get("FunctionSummary")
    summary = running or edited
    if summary is None:
        return None
    config = summary["FunctionConfig"]
    found = {"comment": config.get("Comment", ""), "runtime": config["Runtime"], "code": None}
    if "code" in spec and running:
        found["code"] = _code(aws.get("cloudfront", "get_function", Name=name, Stage="LIVE", missing=GONE))
    marks = read_phrase(found["comment"])
    return Live(normalise(found), _outputs(scope, name), status="published" if running else "not published", **marks)


def discover(aws: Aws, scope: Scope) -> list[str]:
    """The tagging API knows none of them; what is ours in one stage is ours."""
    marked = [(item["Name"], read_phrase(item["FunctionConfig"].get("Comment", ""))) for item in _listed(aws)]
    return sorted({name for name, marks in marked if marks["owner"] == scope.owner})


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Only a published function can be used by a distribution."""
    yield Call("cloudfront", "create_function", _body(name, spec), ok=("FunctionAlreadyExists",))
    edited = yield Call("cloudfront", "describe_function", {"Name": name, "Stage": "DEVELOPMENT"}, retry=GONE)
    yield Call("cloudfront", "publish_function", {"Name": name, "IfMatch": edited["ETag"]})
    return _outputs(scope, name)


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """Distributions run the new code without being touched."""
    stage = {"Name": name, "Stage": "DEVELOPMENT"}
    edited = yield Call("cloudfront", "describe_function", stage)
    yield Call("cloudfront", "update_function", {**_body(name, spec), "IfMatch": edited["ETag"]})
    edited = yield Call("cloudfront", "describe_function", stage)  # the API spells UpdateFunction's own answer "ETtag"
    yield Call("cloudfront", "publish_function", {"Name": name, "IfMatch": edited["ETag"]})
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """Refused while a distribution uses it, and a moment longer."""
    stage = {"Name": name, "Stage": "DEVELOPMENT"}
    edited = yield Call("cloudfront", "describe_function", stage, ok=GONE)
    body = {"Name": name, "IfMatch": edited.get("ETag", "gone")}
    yield Call("cloudfront", "delete_function", body, ok=GONE, retry=("FunctionInUse",))
    return {}


def _body(name: str, spec: Mapping[str, Value]) -> dict[str, Value]:
    config = {"Comment": spec["comment"], "Runtime": spec["runtime"]}
    return {"Name": name, "FunctionConfig": config, "FunctionCode": spec["code"].encode()}


def _outputs(scope: Scope, name: str) -> dict[str, str]:
    return {"name": name, "arn": f"arn:aws:cloudfront::{scope.account}:function/{name}"}


def _listed(aws: Aws) -> list[Any]:
    """Every function, once a stage that it has."""
    return aws.all("cloudfront", "list_functions", "FunctionList.Items")


def _stage(summary: Any) -> str:
    return str(summary["FunctionMetadata"].get("Stage", ""))


def _summary(aws: Aws, name: str, stage: str) -> Any:
    return next((item for item in _listed(aws) if item["Name"] == name and _stage(item) == stage), None)


def _code(answer: Any) -> str | None:
    """The answer's code comes as a stream that can be read once."""
    if answer is None:
        return None
    code = answer["FunctionCode"]
    return str((code if isinstance(code, bytes) else code.read()).decode())
