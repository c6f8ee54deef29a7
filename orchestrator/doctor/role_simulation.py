"""Ask IAM whether the deploy role may do what the manifests need.  API: IAM SimulatePrincipalPolicy, which only reads.

IAM's simulator sees what no comparison of policies shows: service control policies of the organisation, and a boundary
or policy that somebody changed manually.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from orchestrator import interruption
from orchestrator.aws import AwsError, Clients
from orchestrator.bootstrap import policy_documents, workflow_roles
from orchestrator.doctor import Finding, findings_from_problems, not_checked_finding
from orchestrator.problems import Problems
from orchestrator.vocabulary import DesiredState

MAX_PARALLEL_CALLS: Final = 4
"""Simulations at once: IAM throttles them early."""
MAX_SHOWN_DENIALS: Final = 5


def check_deploy_role(desired: DesiredState, clients: Clients, fix: str) -> list[Finding]:
    """Simulate every permission that deploys of these manifests need."""
    role = workflow_roles.role_arn(desired.scope, workflow_roles.DEPLOY_ROLE)
    try:
        requests = [build_request(role, statement) for statement in _list_statements(desired)]
        with interruption.reading_pool(MAX_PARALLEL_CALLS, "doctor") as pool:
            results = [
                item for items in pool.map(lambda request: _simulate(clients, request), requests) for item in items
            ]
    except Problems as error:
        return findings_from_problems("deploy role", error)
    except AwsError as error:
        if error.code == "NoSuchEntity":
            return [not_checked_finding("deploy role", f"the role {role} does not exist", fix)]
        reason = f"cannot simulate the permissions of {role}: {error}"
        return [not_checked_finding("deploy role", reason, f"grant {error.iam_actions} to your own credentials")]
    denied = [result for result in results if result["EvalDecision"] != "allowed"]
    if not denied:
        return [Finding("deploy role", "ok", f"IAM allows all {len(results)} simulated requests of a deploy")]
    return list(_describe_denials(denied, fix))


def build_request(role: str, statement: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request that simulates a statement: its actions on a sample of each ARN, in its conditions."""
    return {
        "PolicySourceArn": role,
        "ActionNames": list(statement["Action"]),
        "ResourceArns": sorted({_sample_arn(arn) for arn in statement["Resource"]}),
        "ContextEntries": list(_build_context(statement.get("Condition", {}))),
    }


def _list_statements(desired: DesiredState) -> Iterator[Mapping[str, Any]]:
    for document in policy_documents.build_deploy_policies(desired):
        yield from document["Statement"]


def _sample_arn(arn: str) -> str:
    """Return an ARN that a pattern matches."""
    return arn if arn == "*" else arn.replace("??????", "a1B2c3").replace("?", "x").replace("*", "sample")


def _build_context(condition: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the condition keys of a request that satisfies the conditions."""
    for operator, expected_values in condition.items():
        for key, expected in expected_values.items():
            values = [expected] if isinstance(expected, str) else list(expected)
            if operator == "Null":
                if values == ["true"]:
                    continue
                values = ["sample"]
            is_list = operator.startswith("ForA")
            kind = "boolean" if operator == "Bool" else "stringList" if is_list else "string"
            yield {
                "ContextKeyName": key,
                "ContextKeyType": kind,
                "ContextKeyValues": values if is_list else values[:1],
            }


def _simulate(clients: Clients, request: dict[str, Any]) -> list[Any]:
    pages = clients.pages("iam", "simulate_principal_policy", request)
    return [result for page in pages for result in page["EvaluationResults"]]


def _describe_denials(denied: list[Any], fix: str) -> Iterator[Finding]:
    """Yield one finding for each cause: the organisation, the boundary, or the role's own policies."""
    causes = {
        "a service control policy of the organisation denies": (
            _is_denied_by("OrganizationsDecisionDetail", "AllowedByOrganizations", denied),
            "ask the owner of the management account to allow it",
        ),
        "the permissions boundary of the deploy role denies": (
            _is_denied_by("PermissionsBoundaryDecisionDetail", "AllowedByPermissionsBoundary", denied),
            fix,
        ),
    }
    known = {id(result) for results, _ in causes.values() for result in results}
    causes["the policies of the deploy role do not allow"] = (
        [result for result in denied if id(result) not in known],
        fix,
    )
    for cause, (results, cause_fix) in causes.items():
        if results:
            yield Finding("deploy role", "missing", f"{cause} {_list_requests(results)}", cause_fix)


def _is_denied_by(detail: str, member: str, denied: Iterable[Any]) -> list[Any]:
    return [result for result in denied if result.get(detail, {}).get(member) is False]


def _list_requests(results: list[Any]) -> str:
    described = sorted({f"{result['EvalActionName']} on {result.get('EvalResourceName', '*')}" for result in results})
    more = f" and {len(described) - MAX_SHOWN_DENIALS} more" if len(described) > MAX_SHOWN_DENIALS else ""
    return f"{', '.join(described[:MAX_SHOWN_DENIALS])}{more}"
