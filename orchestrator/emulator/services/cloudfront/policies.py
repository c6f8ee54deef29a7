"""Emulate CloudFront's cache, origin request and response headers policies, AWS's own and custom ones.

The three kinds have the same operations under their own names, so one implementation serves them all.
"""

from __future__ import annotations

import re
import uuid
from functools import partial

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState, Handler, Service
from orchestrator.emulator.services.cloudfront.entity import (
    Entity,
    check_quantities,
    paginate_by_marker,
    remove_empty_items,
)
from orchestrator.emulator.services.cloudfront.managed_policies import MANAGED_POLICIES

_POLICY_OPERATION_PATTERN = re.compile(
    r"(Create|Get|Update|Delete|List)((?:Cache|OriginRequest|ResponseHeaders)Polic(?:y|ies))(Config)?"
)


class Policies(Service):
    """All three kinds of policy. Names are unique; a policy that a distribution uses cannot be deleted."""

    service = "cloudfront"
    is_complete = True

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._policies: dict[str, dict[str, Entity]] = {
            kind: {policy_id: Entity(policy_id, config) for policy_id, config in managed.items()}
            for kind, managed in MANAGED_POLICIES.items()
        }

    def handler(self, operation: str) -> Handler | None:
        """Return the method for an operation of any of the kinds."""
        operation_match = _POLICY_OPERATION_PATTERN.fullmatch(operation)
        if operation_match is None:
            return super().handler(operation)
        verb, noun, config = operation_match.groups()
        kind = noun.replace("Policies", "Policy")
        methods = {
            "Create": self._create_policy,
            "Update": self._update_policy,
            "Delete": self._delete_policy,
            "List": self._list_policies,
        }
        return partial(methods[verb], kind) if verb != "Get" else partial(self._describe_policy, kind, bool(config))

    def _get_any_policy(self, kind: str, policy_id: str) -> Entity:
        policy = self._policies[kind].get(policy_id)
        if policy is None:
            raise AwsError(f"NoSuch{kind}", f"The {kind} {policy_id} does not exist.", 404)
        return policy

    def _is_policy_used(self, kind: str, policy_id: str) -> bool:
        """Return whether a distribution uses the policy; ``Distributions`` overrides this."""
        return False

    def _build_policy_config(self, kind: str, params: Params, own_id: str = "") -> Params:
        config: Params = remove_empty_items(params[f"{kind}Config"])
        check_quantities(config)
        if any(
            policy.config["Name"] == config["Name"] and policy_id != own_id
            for policy_id, policy in self._policies[kind].items()
        ):
            raise AwsError(f"{kind}AlreadyExists", f"A {kind} with the name {config['Name']} already exists.", 409)
        config.setdefault("Comment", "")
        return config

    def _create_policy(self, kind: str, params: Params, context: CallContext) -> Params:
        policy = Entity(str(uuid.uuid4()), self._build_policy_config(kind, params))
        self._policies[kind][policy.id] = policy
        return {
            **_policy_response(kind, policy),
            "Location": f"https://cloudfront.amazonaws.com/2020-05-31/{kind}/{policy.id}",
        }

    def _describe_policy(self, kind: str, config_only: bool, params: Params, context: CallContext) -> Params:
        policy = self._get_any_policy(kind, params["Id"])
        return {f"{kind}Config": policy.config, "ETag": policy.etag} if config_only else _policy_response(kind, policy)

    def _update_policy(self, kind: str, params: Params, context: CallContext) -> Params:
        policy = self._get_custom_policy(kind, params)
        policy.replace_config(self._build_policy_config(kind, params, policy.id))
        return _policy_response(kind, policy)

    def _delete_policy(self, kind: str, params: Params, context: CallContext) -> Params:
        policy = self._get_custom_policy(kind, params)
        if self._is_policy_used(kind, policy.id):
            raise AwsError(f"{kind}InUse", f"The {kind} is attached to a distribution.", 409)
        del self._policies[kind][policy.id]
        return {}

    def _get_custom_policy(self, kind: str, params: Params) -> Entity:
        """Return a custom policy whose ETag matches. Raises AwsError."""
        policy = self._get_any_policy(kind, params["Id"])
        if policy.id in MANAGED_POLICIES[kind]:
            raise AwsError("IllegalUpdate", "A managed policy cannot be changed or deleted.", 400)
        policy.check_etag(params.get("IfMatch"))
        return policy

    def _list_policies(self, kind: str, params: Params, context: CallContext) -> Params:
        policy_type = params.get("Type")
        summaries = [
            {"Type": "managed" if policy_id in MANAGED_POLICIES[kind] else "custom", kind: _policy_shape(kind, item)}
            for policy_id, item in self._policies[kind].items()
        ]
        selected = [item for item in summaries if policy_type in (None, item["Type"])]
        return {f"{kind}List": paginate_by_marker(selected, params)}


def _policy_shape(kind: str, policy: Entity) -> Params:
    return {"Id": policy.id, "LastModifiedTime": policy.modified_at, f"{kind}Config": policy.config}


def _policy_response(kind: str, policy: Entity) -> Params:
    return {kind: _policy_shape(kind, policy), "ETag": policy.etag}
