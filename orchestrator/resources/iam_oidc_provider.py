"""Manage the OIDC provider through which GitHub workflows assume roles. API: IAM CreateOpenIDConnectProvider.

An account has one provider per URL, shared by all projects: every project reports itself as its owner, other projects'
audiences are kept, and it is never pruned. AWS ignores its thumbprints for GitHub, so they are not set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.resources import AwsReader
from orchestrator.resources._existing import confirm_existing
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
    """Return the spec with audiences sorted."""
    return {**spec, "audiences": sort_canonically(spec["audiences"])}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the provider with those of its audiences that the spec declares, or None.

    Other audiences belong to other projects.
    """
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
    """Create the provider without tags, because projects share it."""
    request: dict[str, Value] = {"Url": f"https://{name}", "ClientIDList": spec["audiences"]}
    yield ApiCall(
        "iam",
        "create_open_id_connect_provider",
        request,
        exists_codes=ALREADY_EXISTS_CODES,
        read_existing=confirm_existing(read, scope, name, spec, compared=True),
    )
    return {"arn": _provider_arn(scope, name)}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Add the missing audiences."""
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
    """Delete the provider. No plan does this, because providers are never discovered for pruning."""
    request = {"OpenIDConnectProviderArn": _provider_arn(scope, name)}
    yield ApiCall("iam", "delete_open_id_connect_provider", request, ok_codes=NOT_FOUND_CODES)
    return {}


def _provider_arn(scope: Scope, name: str) -> str:
    return f"arn:aws:iam::{scope.account}:oidc-provider/{name}"
