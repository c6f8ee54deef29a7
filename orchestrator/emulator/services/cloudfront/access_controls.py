"""Emulate CloudFront's origin access controls: unique names, ETags, use by a distribution's origin."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState, Service
from orchestrator.emulator.services.cloudfront.entity import Entity, generate_id, paginate_by_marker


class AccessControls(Service):
    """Origin access controls."""

    service = "cloudfront"
    is_complete = True

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._controls: dict[str, Entity] = {}

    def create_origin_access_control(self, params: Params, context: CallContext) -> Params:
        """Create an origin access control; refuse a name in use."""
        config = self._build_control_config(params)
        control = Entity(generate_id(), config)
        self._controls[control.id] = control
        location = f"https://cloudfront.amazonaws.com/2020-05-31/origin-access-control/{control.id}"
        return {**_control_response(control), "Location": location}

    def get_origin_access_control(self, params: Params, context: CallContext) -> Params:
        """Return an origin access control with its ETag."""
        return _control_response(self._get_control(params["Id"]))

    def get_origin_access_control_config(self, params: Params, context: CallContext) -> Params:
        """Return only the configuration, with its ETag."""
        control = self._get_control(params["Id"])
        return {"OriginAccessControlConfig": control.config, "ETag": control.etag}

    def update_origin_access_control(self, params: Params, context: CallContext) -> Params:
        """Replace the configuration; refuse unless IfMatch is the current ETag."""
        control = self._get_control(params["Id"])
        control.check_etag(params.get("IfMatch"))
        control.replace_config(self._build_control_config(params, control.id))
        return _control_response(control)

    def delete_origin_access_control(self, params: Params, context: CallContext) -> Params:
        """Delete an origin access control; refuse while an origin uses it."""
        control = self._get_control(params["Id"])
        control.check_etag(params.get("IfMatch"))
        if self._is_control_used(control.id):
            message = "Cannot delete the origin access control because it's in use by one or more distributions."
            raise AwsError("OriginAccessControlInUse", message, 409)
        del self._controls[control.id]
        return {}

    def list_origin_access_controls(self, params: Params, context: CallContext) -> Params:
        """List the origin access controls."""
        summaries = [{"Id": control.id, **control.config} for control in self._controls.values()]
        return {"OriginAccessControlList": paginate_by_marker(summaries, params)}

    def _is_control_used(self, control_id: str) -> bool:
        """Return whether an origin uses the control; ``Distributions`` overrides this."""
        return False

    def _get_control(self, control_id: str) -> Entity:
        control = self._controls.get(control_id)
        if control is None:
            raise AwsError("NoSuchOriginAccessControl", "The specified origin access control does not exist.", 404)
        return control

    def _build_control_config(self, params: Params, own_id: str = "") -> Params:
        config = {"Description": "", **params["OriginAccessControlConfig"]}
        if any(
            control.config["Name"] == config["Name"] and control_id != own_id
            for control_id, control in self._controls.items()
        ):
            message = "An origin access control with the same name already exists."
            raise AwsError("OriginAccessControlAlreadyExists", message, 409)
        return config


def _control_response(control: Entity) -> Params:
    return {
        "OriginAccessControl": {"Id": control.id, "OriginAccessControlConfig": control.config},
        "ETag": control.etag,
    }
