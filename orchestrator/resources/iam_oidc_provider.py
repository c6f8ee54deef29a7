"""The OIDC provider by which workflows of GitHub become roles.  API: IAM CreateOpenIDConnectProvider.

An account has one a URL, which all its projects share: so it belongs to everyone who uses it, others' audiences stay,
and it is never looked for in order to be pruned.  Its thumbprints are of no effect for GitHub and are left to AWS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.resources import Aws
from orchestrator.steps import Call, Steps, call
from orchestrator.values import Value, canonical
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN: re.Pattern[str] | None = None

GONE = ("NoSuchEntity",)
THERE = ("EntityAlreadyExists",)


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Audiences have no order."""
    return {**spec, "audiences": canonical(spec["audiences"])}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """The wanted audiences it has; what else it serves is other projects' business."""
    arn = _arn(scope, name)
    answer = aws.get("iam", "get_open_id_connect_provider", OpenIDConnectProviderArn=arn, missing=GONE)
    if answer is None:
        return None
    wanted = spec.get("audiences")
    known = [each for each in answer.get("ClientIDList") or () if isinstance(wanted, list) and each in wanted]
    return Live(normalise({"audiences": known}), {"arn": arn}, owner=scope.owner)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """One call; no tags, since it is nobody's alone."""
    given: dict[str, Value] = {"Url": f"https://{name}", "ClientIDList": spec["audiences"]}
    yield Call("iam", "create_open_id_connect_provider", given, ok=THERE)
    return {"arn": _arn(scope, name)}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """Add the audiences that it lacks."""
    wanted, known = spec["audiences"], live.spec["audiences"]
    assert isinstance(wanted, list)
    assert isinstance(known, list)
    for audience in wanted:
        if audience not in known:
            yield call(
                "iam",
                "add_client_id_to_open_id_connect_provider",
                OpenIDConnectProviderArn=_arn(scope, name),
                ClientID=audience,
            )
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """The whole provider: no plan gets here, because nothing looks for providers that are not desired."""
    given = {"OpenIDConnectProviderArn": _arn(scope, name)}
    yield Call("iam", "delete_open_id_connect_provider", given, ok=GONE)
    return {}


def _arn(scope: Scope, name: str) -> str:
    return f"arn:aws:iam::{scope.account}:oidc-provider/{name}"
