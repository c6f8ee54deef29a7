"""The OIDC provider by which workflows of GitHub become roles.  API: IAM CreateOpenIDConnectProvider.

An account has one a URL, which all its projects share: so it belongs to everyone who uses it, others' audiences stay,
and it is never looked for in order to be pruned.  Its thumbprints are of no effect for GitHub and are left to AWS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.resources import AwsReader
from orchestrator.steps import ApiCall, Steps, call
from orchestrator.values import Value, sort_canonically
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN: re.Pattern[str] | None = None

NOT_FOUND_CODES = ("NoSuchEntity",)
ALREADY_EXISTS_CODES = ("EntityAlreadyExists",)


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Audiences have no order."""
    return {**spec, "audiences": sort_canonically(spec["audiences"])}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """The wanted audiences it has; what else it serves is other projects' business."""
    arn = _provider_arn(scope, name)
    response = aws.get("iam", "get_open_id_connect_provider", OpenIDConnectProviderArn=arn, missing=NOT_FOUND_CODES)
    if response is None:
        return None
    desired_audiences = spec.get("audiences")
    live_audiences = [
        audience
        for audience in response.get("ClientIDList") or ()
        if isinstance(desired_audiences, list) and audience in desired_audiences
    ]
    return LiveResource(normalise({"audiences": live_audiences}), {"arn": arn}, owner=scope.owner)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """One call; no tags, since it is nobody's alone."""
    request: dict[str, Value] = {"Url": f"https://{name}", "ClientIDList": spec["audiences"]}
    yield ApiCall("iam", "create_open_id_connect_provider", request, ok_codes=ALREADY_EXISTS_CODES)
    return {"arn": _provider_arn(scope, name)}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Add the audiences that it lacks."""
    desired_audiences, live_audiences = spec["audiences"], live.spec["audiences"]
    assert isinstance(desired_audiences, list)
    assert isinstance(live_audiences, list)
    for audience in desired_audiences:
        if audience not in live_audiences:
            yield call(
                "iam",
                "add_client_id_to_open_id_connect_provider",
                OpenIDConnectProviderArn=_provider_arn(scope, name),
                ClientID=audience,
            )
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """The whole provider: no plan gets here, because nothing looks for providers that are not desired."""
    request = {"OpenIDConnectProviderArn": _provider_arn(scope, name)}
    yield ApiCall("iam", "delete_open_id_connect_provider", request, ok_codes=NOT_FOUND_CODES)
    return {}


def _provider_arn(scope: Scope, name: str) -> str:
    return f"arn:aws:iam::{scope.account}:oidc-provider/{name}"
