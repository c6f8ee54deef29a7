"""CloudFront's origin access controls: unique names, ETags, in use by a distribution's origin."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service, World
from orchestrator.emulator.services.cloudfront.entity import Entity, entity_id, listing


class AccessControls(Service):
    """Origin access controls."""

    service = "cloudfront"
    complete = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._controls: dict[str, Entity] = {}

    def create_origin_access_control(self, params: Params, context: Context) -> Params:
        """Its name must be free."""
        config = self._named(params)
        made = Entity(entity_id(), config)
        self._controls[made.id] = made
        location = f"https://cloudfront.amazonaws.com/2020-05-31/origin-access-control/{made.id}"
        return {**_answer(made), "Location": location}

    def get_origin_access_control(self, params: Params, context: Context) -> Params:
        """With its ETag."""
        return _answer(self._control(params["Id"]))

    def get_origin_access_control_config(self, params: Params, context: Context) -> Params:
        """Just the configuration, with its ETag."""
        found = self._control(params["Id"])
        return {"OriginAccessControlConfig": found.config, "ETag": found.etag}

    def update_origin_access_control(self, params: Params, context: Context) -> Params:
        """Replace the configuration of the version IfMatch names."""
        found = self._control(params["Id"])
        found.match(params.get("IfMatch"))
        found.replace(self._named(params, found.id))
        return _answer(found)

    def delete_origin_access_control(self, params: Params, context: Context) -> Params:
        """Refused while an origin uses it."""
        found = self._control(params["Id"])
        found.match(params.get("IfMatch"))
        if self._control_is_used(found.id):
            message = "Cannot delete the origin access control because it's in use by one or more distributions."
            raise AwsError("OriginAccessControlInUse", message, 409)
        del self._controls[found.id]
        return {}

    def list_origin_access_controls(self, params: Params, context: Context) -> Params:
        """All of them."""
        found = [{"Id": each.id, **each.config} for each in self._controls.values()]
        return {"OriginAccessControlList": listing(found, params)}

    def _control_is_used(self, key: str) -> bool:
        """Whether an origin uses it; the distributions say."""
        return False

    def _control(self, key: str) -> Entity:
        found = self._controls.get(key)
        if found is None:
            raise AwsError("NoSuchOriginAccessControl", "The specified origin access control does not exist.", 404)
        return found

    def _named(self, params: Params, own: str = "") -> Params:
        config = {"Description": "", **params["OriginAccessControlConfig"]}
        if any(each.config["Name"] == config["Name"] and key != own for key, each in self._controls.items()):
            message = "An origin access control with the same name already exists."
            raise AwsError("OriginAccessControlAlreadyExists", message, 409)
        return config


def _answer(control: Entity) -> Params:
    return {
        "OriginAccessControl": {"Id": control.id, "OriginAccessControlConfig": control.config},
        "ETag": control.etag,
    }
