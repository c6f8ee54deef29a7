"""Manage CloudFront Functions. API: CloudFront CreateFunction, UpdateFunction, PublishFunction, GetFunction.

A function is edited in one stage and runs in another; the running stage is what is compared. A function that was never
published has no running code, so it shows as a difference. Names are unique; the comment names the owner, or if
somebody edited it, the distribution that uses the function does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from orchestrator.resources import AwsReader
from orchestrator.resources._cloudfront import may_own_part, read_part_ownership, refresh_etag
from orchestrator.resources._existing import check_owner, check_unchanged
from orchestrator.resources._watched import Watched, find_changes
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

NOT_FOUND_CODES = ("NoSuchFunctionExists",)


WATCHED = {
    "key_value_stores": Watched(
        "KeyValueStoreAssociations.Items[].KeyValueStoreARN", "Remove them with `aws cloudfront update-function`"
    )
}


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with one newline at the end of the code: code is compared as text.

    ``data`` is the first line of the code, which is compared by itself: it may not be known yet.
    """
    return {**spec, "code": spec["code"].rstrip() + "\n"} if isinstance(spec.get("code"), str) else spec


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the function's live stage with its running code, or the unpublished function, or None.

    The development stage alone is not enough: a run killed before publishing leaves new settings that do not run. A
    function listed only in the development stage is queried by itself before it counts as never published.
    """
    development_summary, live_summary = _find_summary(aws, name, "DEVELOPMENT"), _find_summary(aws, name, "LIVE")
    if development_summary and not live_summary:
        response = aws.get("cloudfront", "describe_function", Name=name, Stage="LIVE", missing=NOT_FOUND_CODES) or {}
        live_summary = response.get("FunctionSummary")
    summary = live_summary or development_summary
    if summary is None:
        return None
    config = summary["FunctionConfig"]
    live_spec = {"comment": config.get("Comment", ""), "runtime": config["Runtime"], "code": None}
    if "code" in spec and live_summary:
        response = aws.get("cloudfront", "get_function", Name=name, Stage="LIVE", missing=NOT_FOUND_CODES)
        live_spec |= _split_code(_read_code(response), spec)
    ownership = read_part_ownership(aws, scope, config.get("Comment", ""), name, _build_outputs(scope, name)["arn"])
    return LiveResource(
        normalise(live_spec),
        _build_outputs(scope, name),
        status="published" if live_summary else "not published",
        unmanaged=find_changes(WATCHED, config) if spec else (),
        **ownership,
    )


def discover(aws: AwsReader, scope: Scope) -> list[str]:
    """Return the names of functions in either stage that may be the environment's; the tagging API lists none."""
    comments = [(item["Name"], item["FunctionConfig"].get("Comment", "")) for item in _list_functions(aws)]
    return sorted({name for name, comment in comments if may_own_part(scope, name, comment)})


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create and publish the function: a distribution can use only a published one."""
    yield ApiCall(
        "cloudfront",
        "create_function",
        _build_request(name, spec),
        exists_codes=("FunctionAlreadyExists",),
        read_existing=lambda aws, _: _read_existing(aws, scope, name, spec),
    )
    development_version = yield ApiCall(
        "cloudfront", "describe_function", {"Name": name, "Stage": "DEVELOPMENT"}, retry_codes=NOT_FOUND_CODES
    )
    request = {"Name": name, "IfMatch": development_version["ETag"]}
    yield ApiCall("cloudfront", "publish_function", request, refresh=_refresh(name))
    return _build_outputs(scope, name)


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Update and publish the function; distributions run the new code without an update."""
    development_stage = {"Name": name, "Stage": "DEVELOPMENT"}
    development_version = yield ApiCall("cloudfront", "describe_function", development_stage)
    request = {**_build_request(name, spec), "IfMatch": development_version["ETag"]}
    yield ApiCall("cloudfront", "update_function", request, refresh=_refresh(name))
    development_version = yield ApiCall(
        "cloudfront", "describe_function", development_stage
    )  # the API returns UpdateFunction's own version as "ETtag"
    request = {"Name": name, "IfMatch": development_version["ETag"]}
    yield ApiCall("cloudfront", "publish_function", request, refresh=_refresh(name))
    return {}


def _refresh(name: str) -> Callable[[AwsReader, Mapping[str, Any]], Mapping[str, Any]]:
    return refresh_etag("describe_function", Name=name, Stage="DEVELOPMENT")


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the function. CloudFront refuses while a distribution uses it, and shortly afterwards."""
    development_stage = {"Name": name, "Stage": "DEVELOPMENT"}
    development_version = yield ApiCall("cloudfront", "describe_function", development_stage, ok_codes=NOT_FOUND_CODES)
    request = {"Name": name, "IfMatch": development_version.get("ETag", "gone")}
    yield ApiCall(
        "cloudfront",
        "delete_function",
        request,
        ok_codes=NOT_FOUND_CODES,
        retry_codes=("FunctionInUse",),
        refresh=_refresh(name),
    )
    return {}


def _read_existing(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> Any:
    """Return the response to a creation for a function that exists; None if it is not visible yet.

    What will be published is its development stage, so that is compared. Raises Problems if it is another's or differs.
    """
    live = read(aws, scope, name, {})
    response = aws.get("cloudfront", "get_function", Name=name, Stage="DEVELOPMENT", missing=NOT_FOUND_CODES)
    if live is None or response is None:
        return None
    check_owner(scope, name, live)
    unpublished_spec = normalise({**live.spec, **_split_code(_read_code(response), spec)})
    check_unchanged(name, spec, replace(live, spec=unpublished_spec))
    return {}


def _build_request(name: str, spec: Mapping[str, Value]) -> dict[str, Value]:
    config = {"Comment": spec["comment"], "Runtime": spec["runtime"]}
    data = spec.get("data", "")
    lines = [data.value if isinstance(data, WriteOnly) else data, spec["code"]]
    return {"Name": name, "FunctionConfig": config, "FunctionCode": "\n".join(filter(None, lines)).encode()}


def _split_code(code: str | None, spec: Mapping[str, Value]) -> dict[str, Value]:
    """Return the live code as ``spec`` has it: with its first line apart if ``spec`` has data."""
    if code is None or "data" not in spec:
        return {"code": code}
    first_line, _, program = code.partition("\n")
    return {"code": program, "data": first_line}


def _build_outputs(scope: Scope, name: str) -> dict[str, str]:
    return {"name": name, "arn": f"arn:aws:cloudfront::{scope.account}:function/{name}"}


def _list_functions(aws: AwsReader) -> list[Any]:
    """Return every function, once per stage."""
    return aws.all("cloudfront", "list_functions", "FunctionList.Items")


def _stage(summary: Any) -> str:
    return str(summary["FunctionMetadata"].get("Stage", ""))


def _find_summary(aws: AwsReader, name: str, stage: str) -> Any:
    return next((item for item in _list_functions(aws) if item["Name"] == name and _stage(item) == stage), None)


def _read_code(response: Any) -> str | None:
    """Return the code of a response, whose stream can be read only once."""
    if response is None:
        return None
    code = response["FunctionCode"]
    return str((code if isinstance(code, bytes) else code.read()).decode())
