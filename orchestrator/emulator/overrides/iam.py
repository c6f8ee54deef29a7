"""Override IAM: refuse malformed policies and unknown managed ones, know service-linked roles, simulate policies."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote

from orchestrator.emulator import policy_evaluation
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, Service

_LINKED_ROLE_NAMES = {
    "apprunner.amazonaws.com": "AWSServiceRoleForAppRunner",
    "ecs.amazonaws.com": "AWSServiceRoleForECS",
    "ecs.application-autoscaling.amazonaws.com": "AWSServiceRoleForApplicationAutoScaling_ECSService",
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "networking.apprunner.amazonaws.com": "AWSServiceRoleForAppRunnerNetworking",
    "rds.amazonaws.com": "AWSServiceRoleForRDS",
}
_FIELDS_OF_READS = ("MaxSessionDuration", "RoleLastUsed")
"""What AWS says of a role only when it is read."""
_AWS_POLICY_PREFIX = "arn:aws:iam::aws:policy/"


class Iam(Service):
    """Overrides roles and their policies, on both backends."""

    service = "iam"

    def create_role(self, params: Params, context: CallContext) -> Params:
        """Create a role; refuse a malformed trust policy."""
        _check_policy_document(params["AssumeRolePolicyDocument"], needs_principal=True)
        role = context.forward(params)["Role"]
        return {"Role": {name: value for name, value in role.items() if name not in _FIELDS_OF_READS}}

    def create_service_linked_role(self, params: Params, context: CallContext) -> Params:
        """Create the role of a service; refuse a second one."""
        principal = params["AWSServiceName"]
        name = _LINKED_ROLE_NAMES.get(principal)
        if name is None or self.state.has_linked_role(principal):
            message = (
                f"Service role name {name} has been taken in this account, please try a different suffix."
                if name
                else f"{principal} is not a valid service principal."
            )
            raise AwsError("InvalidInput", message, 400)
        self.state.linked_role_created_at[principal] = time.monotonic()
        return {"Role": _describe_linked_role(context.account, principal)}

    def get_role(self, params: Params, context: CallContext) -> Params:
        """Return a role, also a service-linked one that the account has."""
        principal = next((key for key, name in _LINKED_ROLE_NAMES.items() if name == params["RoleName"]), None)
        if principal and self.state.has_linked_role(principal):
            return {"Role": _describe_linked_role(context.account, principal)}
        try:
            return context.forward(params)
        except AwsError as error:
            if error.code != "NoSuchEntity":
                raise
            message = f"The role with name {params['RoleName']} cannot be found."
            raise AwsError("NoSuchEntity", message, 404) from None

    def simulate_principal_policy(self, params: Params, context: CallContext) -> Params:
        """Evaluate a role's policies and boundary for each action on each ARN."""
        policies, boundary = self.load_role_policies(params["PolicySourceArn"].rpartition("/")[2])
        keys = {
            entry["ContextKeyName"].lower(): tuple(entry["ContextKeyValues"])
            for entry in params.get("ContextEntries", ())
        }
        results = []
        for action in params["ActionNames"]:
            for arn in params.get("ResourceArns") or ["*"]:
                request = policy_evaluation.PolicyRequest(action, arn, keys)
                decision = policy_evaluation.decide(policies, boundary, request)
                result = {"EvalActionName": action, "EvalResourceName": arn, "EvalDecision": decision}
                is_within = policy_evaluation.is_within(boundary, request)
                detail = {"AllowedByPermissionsBoundary": is_within}
                results.append({**result, **({"PermissionsBoundaryDecisionDetail": detail} if boundary else {})})
        return {"EvaluationResults": results, "IsTruncated": False}

    def load_role_policies(self, name: str) -> tuple[list[Params], Params | None]:
        """Return the documents of a role's policies, and of its permissions boundary if it has one.

        Raises AwsError NoSuchEntity for an unknown role.
        """
        role = self.state.call("iam", "GetRole", RoleName=name)["Role"]
        boundary_arn = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return self._read_role_policies(name), self._read_policy(boundary_arn) if boundary_arn else None

    def _read_role_policies(self, name: str) -> list[Params]:
        call = self.state.call
        inline_names = call("iam", "ListRolePolicies", RoleName=name)["PolicyNames"]
        inline = [
            load_document(call("iam", "GetRolePolicy", RoleName=name, PolicyName=item)["PolicyDocument"])
            for item in inline_names
        ]
        attached = call("iam", "ListAttachedRolePolicies", RoleName=name, MaxItems=100)["AttachedPolicies"]
        return [*inline, *(self._read_policy(policy["PolicyArn"]) for policy in attached)]

    def _read_policy(self, arn: str) -> Params:
        self._ensure_managed_policy(arn)
        version = self.state.call("iam", "GetPolicy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
        response = self.state.call("iam", "GetPolicyVersion", PolicyArn=arn, VersionId=version)
        return load_document(response["PolicyVersion"]["Document"])

    def update_assume_role_policy(self, params: Params, context: CallContext) -> Params:
        """Replace a trust policy; refuse a malformed one."""
        _check_policy_document(params["PolicyDocument"], needs_principal=True)
        return context.forward(params)

    def put_role_policy(self, params: Params, context: CallContext) -> Params:
        """Put an inline policy; refuse a malformed one."""
        _check_policy_document(params["PolicyDocument"], needs_principal=False)
        return context.forward(params)

    def attach_role_policy(self, params: Params, context: CallContext) -> Params:
        """Attach a policy; refuse an AWS managed policy that AWS does not have, and what is no ARN."""
        if not params["PolicyArn"].startswith("arn:"):
            raise AwsError("ValidationError", "Invalid ARN:  Could not be parsed!", 400)
        self._ensure_managed_policy(params["PolicyArn"])
        return context.forward(params)

    def delete_policy(self, params: Params, context: CallContext) -> Params:
        """Delete a policy; a missing one is told in AWS's words."""
        try:
            return context.forward(params)
        except AwsError as error:
            if error.code != "NoSuchEntity":
                raise
            raise AwsError("NoSuchEntity", f"Policy {params['PolicyArn']} was not found.", 404) from None

    def get_policy(self, params: Params, context: CallContext) -> Params:
        """Return a policy; load it first if AWS manages it."""
        self._ensure_managed_policy(params["PolicyArn"])
        return context.forward(params)

    def get_policy_version(self, params: Params, context: CallContext) -> Params:
        """Return a policy version; load the policy first if AWS manages it."""
        self._ensure_managed_policy(params["PolicyArn"])
        return context.forward(params)

    def list_policies(self, params: Params, context: CallContext) -> Params:
        """List policies, including AWS's own unless only local ones are requested."""
        if params.get("Scope") != "Local":
            for name, policy in _load_managed_policies().values():
                self.state.backend.add_managed_policy(name, policy)
        return context.forward(params)

    def _ensure_managed_policy(self, arn: str) -> None:
        if not arn.startswith(_AWS_POLICY_PREFIX):
            return
        managed_policy = _load_managed_policies().get(arn)
        if managed_policy is None:
            raise AwsError("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", 404)
        self.state.backend.add_managed_policy(*managed_policy)


def _describe_linked_role(account: str, principal: str) -> Params:
    name, path = _LINKED_ROLE_NAMES[principal], f"/aws-service-role/{principal}/"
    trust = {"Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": {"Service": [principal]}}
    return {
        "Path": path,
        "RoleName": name,
        "RoleId": "AROAEXAMPLELINKEDROLE",
        "Arn": f"arn:aws:iam::{account}:role{path}{name}",
        "CreateDate": datetime.now(UTC),
        "AssumeRolePolicyDocument": json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    }


def load_document(document: Any) -> Params:
    """Return a policy document, which backends give as a dict or as text in URL encoding."""
    loaded: Params = json.loads(unquote(document)) if isinstance(document, str) else document
    return loaded


@cache
def _load_managed_policies() -> dict[str, tuple[str, Params]]:
    """Return AWS's managed policies by ARN: name and data."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    policies = json.loads(aws_managed_policies_data)
    return {
        f"arn:aws:iam::aws:policy{policy.get('Path', '/')}{name}": (name, policy) for name, policy in policies.items()
    }


def _check_policy_document(document: str, *, needs_principal: bool) -> None:
    """Raise AwsError MalformedPolicyDocument if a document is not a policy."""
    try:
        statements = json.loads(document)["Statement"]
    except (ValueError, KeyError, TypeError) as error:
        raise AwsError("MalformedPolicyDocument", "This policy contains invalid Json", 400) from error
    for statement in [statements] if isinstance(statements, dict) else statements:
        if statement.get("Effect") not in ("Allow", "Deny"):
            raise AwsError("MalformedPolicyDocument", "Missing required field Effect", 400)
        if "Action" not in statement and "NotAction" not in statement:
            raise AwsError("MalformedPolicyDocument", "Missing required field Action", 400)
        if needs_principal != ("Principal" in statement or "NotPrincipal" in statement):
            message = (
                "Missing required field Principal"
                if needs_principal
                else "Policy document should not specify a principal."
            )
            raise AwsError("MalformedPolicyDocument", message, 400)
        if not needs_principal and "Resource" not in statement and "NotResource" not in statement:
            raise AwsError("MalformedPolicyDocument", "Missing required field Resource", 400)
