"""Override Secrets Manager: request tokens, names scheduled for deletion, descriptions, version labels."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState, Service

_VALUE_KEYS = ("SecretString", "SecretBinary")
_NAME_PATTERN = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,512}")


class SecretsManager(Service):
    """Overrides secrets and their versions, on both backends."""

    service = "secretsmanager"

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._cleared_descriptions: set[str] = set()
        self._access_days: dict[tuple[str, str], datetime] = {}

    def create_secret(self, params: Params, context: CallContext) -> Params:
        """Create a secret with the token as version ID; repeat the answer for a repeated request.

        Refuses the name of a secret that is scheduled for deletion.
        """
        if not _NAME_PATTERN.fullmatch(params["Name"]):
            allowed = "alphanumeric characters, or any of the following: -/_+=.@!"
            message = f"Invalid name. Must be a valid name containing {allowed}"
            raise AwsError("ValidationException", message)
        _require_token(params)
        existing = self._find_secret(params["Name"], context)
        token = params.get("ClientRequestToken")
        if existing is not None and existing.get("DeletedDate"):
            message = "You can't create this secret because a secret with this name is already scheduled for deletion."
            raise AwsError("InvalidRequestException", message)
        if existing is not None:
            if token and self._is_same_value(params, context):
                return {"ARN": existing["ARN"], "Name": existing["Name"], "VersionId": token}
            message = f"The operation failed because the secret {params['Name']} already exists."
            raise AwsError("ResourceExistsException", message)
        value = {name: params[name] for name in _VALUE_KEYS if name in params}
        created = context.forward({name: argument for name, argument in params.items() if name not in _VALUE_KEYS})
        if not value:
            return {"ARN": created["ARN"], "Name": created["Name"]}
        put_response = self._call(context, "PutSecretValue", SecretId=created["ARN"], ClientRequestToken=token, **value)
        return {"ARN": created["ARN"], "Name": created["Name"], "VersionId": put_response["VersionId"]}

    def put_secret_value(self, params: Params, context: CallContext) -> Params:
        """Add a version; do nothing for a repeated token and value, refuse a token with another value."""
        token = params.get("ClientRequestToken")
        _require_token(params)
        existing = self._find_secret(params["SecretId"], context)
        if existing is None:
            raise AwsError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        if existing.get("DeletedDate"):
            message = "You can't perform this operation on the secret because it was marked for deletion."
            raise AwsError("InvalidRequestException", message)
        stages = (existing.get("VersionIdsToStages") or {}).get(token)
        if stages is not None:
            if not self._is_same_value(params, context):
                message = (
                    f"You can't use ClientRequestToken {token} because that value is already in use for a version."
                )
                raise AwsError("ResourceExistsException", message)
            return {"ARN": existing["ARN"], "Name": existing["Name"], "VersionId": token, "VersionStages": stages}
        return context.forward(params)

    def update_secret(self, params: Params, context: CallContext) -> Params:
        """Update a secret; an empty description removes the description, which moto keeps."""
        _require_token(params)
        response = context.forward(params)
        if "Description" in params:
            (self._cleared_descriptions.discard if params["Description"] else self._cleared_descriptions.add)(
                response["ARN"]
            )
        return response

    def update_secret_version_stage(self, params: Params, context: CallContext) -> Params:
        """Move a label: AWSCURRENT changes the value, and a label is never attached twice."""
        target_version = params.get("MoveToVersionId")
        existing = self._find_secret(params["SecretId"], context) or {}
        if target_version and params["VersionStage"] in (existing.get("VersionIdsToStages") or {}).get(
            target_version, ()
        ):
            return {"ARN": existing["ARN"], "Name": existing["Name"]}
        response = context.forward(params)
        if target_version and params["VersionStage"] == "AWSCURRENT":
            self.state.backend.set_current_secret_version(context.region, params["SecretId"], target_version)
        return response

    def describe_secret(self, params: Params, context: CallContext) -> Params:
        """Describe a secret, without a description that was removed, with the day of its last access."""
        secret = self._remove_cleared_description(context.forward(params))
        secret["VersionIdsToStages"] = {
            version: stages for version, stages in (secret.get("VersionIdsToStages") or {}).items() if stages
        }
        days = [day for (arn, _), day in self._access_days.items() if arn == secret["ARN"]]
        present = {name: value for name, value in secret.items() if value or name != "VersionIdsToStages"}
        return {**present, "LastAccessedDate": max(days)} if days else present

    def get_secret_value(self, params: Params, context: CallContext) -> Params:
        """Return a value, and note the day of the access."""
        response = context.forward(params)
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self._access_days[response["ARN"], response["VersionId"]] = today
        return response

    def list_secret_version_ids(self, params: Params, context: CallContext) -> Params:
        """List the versions with a label, the oldest first; the others only on request."""
        response = context.forward(params)
        secret = self._find_secret(params["SecretId"], context) or {}
        versions = []
        for version in sorted(response["Versions"], key=lambda item: item["CreatedDate"]):
            described = {name: value for name, value in version.items() if name != "LastAccessedDate"}
            day = self._access_days.get((secret["ARN"], version["VersionId"]))
            if described.get("VersionStages") or params.get("IncludeDeprecated"):
                versions.append({**described, **({"LastAccessedDate": day} if day else {})})
        others = {name: value for name, value in response.items() if name != "NextToken" or value}
        return {**others, "ARN": secret["ARN"], "Name": secret["Name"], "Versions": versions}

    def list_secrets(self, params: Params, context: CallContext) -> Params:
        """List secrets, without descriptions that were removed."""
        response = context.forward(params)
        return {
            **response,
            "SecretList": [self._remove_cleared_description(secret) for secret in response["SecretList"]],
        }

    def _remove_cleared_description(self, secret: Params) -> Params:
        hidden_field = "Description" if secret["ARN"] in self._cleared_descriptions else ""
        return {name: value for name, value in secret.items() if name != hidden_field}

    def _is_same_value(self, params: Params, context: CallContext) -> bool:
        """Return whether the version with this token already holds the same value."""
        name = params.get("SecretId", params.get("Name"))
        try:
            stored_value = self._call(context, "GetSecretValue", SecretId=name, VersionId=params["ClientRequestToken"])
        except AwsError:
            return False
        return all(stored_value.get(value_key) == params.get(value_key) for value_key in _VALUE_KEYS)

    def _find_secret(self, name: str, context: CallContext) -> Params | None:
        try:
            return self._call(context, "DescribeSecret", SecretId=name)
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            return None

    def _call(self, context: CallContext, operation: str, **params: Any) -> Params:
        arguments = {name: value for name, value in params.items() if value is not None}
        return self.state.call("secretsmanager", operation, context.region, **arguments)


def _require_token(params: Params) -> None:
    """Raise AwsError unless the request has the token that every AWS client adds by itself."""
    if not params.get("ClientRequestToken"):
        message = "You must provide a ClientRequestToken value. We recommend a UUID-type value."
        raise AwsError("InvalidRequestException", message)
