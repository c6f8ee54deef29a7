"""IAM's refusals that a backend leaves out: policy documents that are none, managed policies that are not there."""

from __future__ import annotations

import json
from functools import cache

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service

_AWS = "arn:aws:iam::aws:policy/"


class Iam(Service):
    """Corrections to roles and their policies, on either backend."""

    service = "iam"

    def create_role(self, params: Params, context: Context) -> Params:
        """Its trust policy must be one."""
        _check(params["AssumeRolePolicyDocument"], principal=True)
        return context.forward(params)

    def update_assume_role_policy(self, params: Params, context: Context) -> Params:
        """Likewise."""
        _check(params["PolicyDocument"], principal=True)
        return context.forward(params)

    def put_role_policy(self, params: Params, context: Context) -> Params:
        """Its policy must be one."""
        _check(params["PolicyDocument"], principal=False)
        return context.forward(params)

    def attach_role_policy(self, params: Params, context: Context) -> Params:
        """A policy of AWS's must be one AWS has."""
        self._adopt(params["PolicyArn"])
        return context.forward(params)

    def get_policy(self, params: Params, context: Context) -> Params:
        """Likewise."""
        self._adopt(params["PolicyArn"])
        return context.forward(params)

    def get_policy_version(self, params: Params, context: Context) -> Params:
        """Likewise."""
        self._adopt(params["PolicyArn"])
        return context.forward(params)

    def list_policies(self, params: Params, context: Context) -> Params:
        """AWS's own among them, unless only local ones are asked for."""
        if params.get("Scope") != "Local":
            for name, policy in _managed().values():
                self.world.backend.adopt(name, policy)
        return context.forward(params)

    def _adopt(self, arn: str) -> None:
        if not arn.startswith(_AWS):
            return
        known = _managed().get(arn)
        if known is None:
            raise AwsError("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", 404)
        self.world.backend.adopt(*known)


@cache
def _managed() -> dict[str, tuple[str, Params]]:
    """AWS's managed policies by ARN: name and data."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    policies = json.loads(aws_managed_policies_data)
    return {f"arn:aws:iam::aws:policy{each.get('Path', '/')}{name}": (name, each) for name, each in policies.items()}


def _check(document: str, *, principal: bool) -> None:
    """Raise MalformedPolicyDocument for what is no policy."""
    try:
        statements = json.loads(document)["Statement"]
    except (ValueError, KeyError, TypeError) as error:
        raise AwsError("MalformedPolicyDocument", "Syntax errors in policy.", 400) from error
    for statement in [statements] if isinstance(statements, dict) else statements:
        if statement.get("Effect") not in ("Allow", "Deny"):
            raise AwsError("MalformedPolicyDocument", "Missing required field Effect", 400)
        if "Action" not in statement and "NotAction" not in statement:
            raise AwsError("MalformedPolicyDocument", "Missing required field Action", 400)
        if principal != ("Principal" in statement or "NotPrincipal" in statement):
            message = (
                "Missing required field Principal" if principal else "Policy document should not specify a principal."
            )
            raise AwsError("MalformedPolicyDocument", message, 400)
        if not principal and "Resource" not in statement and "NotResource" not in statement:
            raise AwsError("MalformedPolicyDocument", "Missing required field Resource", 400)
