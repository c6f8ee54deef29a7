"""Secrets Manager's rules on names scheduled for deletion and on request tokens, on either backend."""

from __future__ import annotations

from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service, World

_VALUES = ("SecretString", "SecretBinary")


class SecretsManager(Service):
    """Corrections to CreateSecret, PutSecretValue and UpdateSecret."""

    service = "secretsmanager"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._undescribed: set[str] = set()

    def create_secret(self, params: Params, context: Context) -> Params:
        """The token becomes the version id; the same again answers the same; a name to be deleted is not free."""
        known = self._known(params["Name"], context)
        token = params.get("ClientRequestToken")
        if known is not None and known.get("DeletedDate"):
            message = "You can't create this secret because a secret with this name is already scheduled for deletion."
            raise AwsError("InvalidRequestException", message)
        if known is not None:
            if token and self._same(params, context):
                return {"ARN": known["ARN"], "Name": known["Name"], "VersionId": token}
            message = f"The operation failed because the secret {params['Name']} already exists."
            raise AwsError("ResourceExistsException", message)
        value = {name: params[name] for name in _VALUES if name in params}
        made = context.forward({name: given for name, given in params.items() if name not in _VALUES})
        if not value:
            return {"ARN": made["ARN"], "Name": made["Name"]}
        put = self._call(context, "PutSecretValue", SecretId=made["ARN"], ClientRequestToken=token, **value)
        return {"ARN": made["ARN"], "Name": made["Name"], "VersionId": put["VersionId"]}

    def put_secret_value(self, params: Params, context: Context) -> Params:
        """The same token with the same value changes nothing; with another value it is refused."""
        token = params.get("ClientRequestToken")
        known = self._known(params["SecretId"], context)
        if known is None:
            raise AwsError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        if known.get("DeletedDate"):
            message = "You can't perform this operation on the secret because it was marked for deletion."
            raise AwsError("InvalidRequestException", message)
        stages = (known.get("VersionIdsToStages") or {}).get(token)
        if stages is not None:
            if not self._same(params, context):
                message = (
                    f"You can't use ClientRequestToken {token} because that value is already in use for a version."
                )
                raise AwsError("ResourceExistsException", message)
            return {"ARN": known["ARN"], "Name": known["Name"], "VersionId": token, "VersionStages": stages}
        return context.forward(params)

    def update_secret(self, params: Params, context: Context) -> Params:
        """An empty description takes the description away; moto keeps the one it has."""
        found = context.forward(params)
        if "Description" in params:
            (self._undescribed.discard if params["Description"] else self._undescribed.add)(found["ARN"])
        return found

    def update_secret_version_stage(self, params: Params, context: Context) -> Params:
        """Moving AWSCURRENT changes the value; a label that is there already is not there twice."""
        moved = params.get("MoveToVersionId")
        known = self._known(params["SecretId"], context) or {}
        if moved and params["VersionStage"] in (known.get("VersionIdsToStages") or {}).get(moved, ()):
            return {"ARN": known["ARN"], "Name": known["Name"]}
        found = context.forward(params)
        if moved and params["VersionStage"] == "AWSCURRENT":
            self.world.backend.settle(context.region, params["SecretId"], moved)
        return found

    def describe_secret(self, params: Params, context: Context) -> Params:
        """Without a description that was taken away."""
        return self._told(context.forward(params))

    def list_secrets(self, params: Params, context: Context) -> Params:
        """The same."""
        found = context.forward(params)
        return {**found, "SecretList": [self._told(secret) for secret in found["SecretList"]]}

    def _told(self, secret: Params) -> Params:
        hidden = "Description" if secret["ARN"] in self._undescribed else ""
        return {name: value for name, value in secret.items() if name != hidden}

    def _same(self, params: Params, context: Context) -> bool:
        """Whether the version a token made holds the value that comes with it."""
        name = params.get("SecretId", params.get("Name"))
        try:
            held = self._call(context, "GetSecretValue", SecretId=name, VersionId=params["ClientRequestToken"])
        except AwsError:
            return False
        return all(held.get(value) == params.get(value) for value in _VALUES)

    def _known(self, name: str, context: Context) -> Params | None:
        try:
            return self._call(context, "DescribeSecret", SecretId=name)
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            return None

    def _call(self, context: Context, operation: str, **params: Any) -> Params:
        given = {name: value for name, value in params.items() if value is not None}
        return self.world.call("secretsmanager", operation, context.region, **given)
