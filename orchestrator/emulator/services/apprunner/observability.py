"""App Runner's observability configurations: X-Ray is the one vendor, so they are made, used and deleted."""

from __future__ import annotations

from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context
from orchestrator.emulator.services.apprunner.auto_scaling_and_connectors import Base, tags_of
from orchestrator.emulator.services.apprunner.configuration import invalid
from orchestrator.emulator.services.apprunner.entities import Revision, identifier, now
from orchestrator.emulator.services.pagination import page

_KIND = "observabilityconfiguration"


class Observabilities(Base):
    """Observability configurations."""

    def create_observability_configuration(self, params: Params, context: Context) -> Params:
        """A new configuration, or a new revision of one with the same name."""
        name = params["ObservabilityConfigurationName"]
        same = [each.revision for each in self._observabilities(context.region) if each.name == name]
        revision = max(same, default=0) + 1
        arn = self._arn(_KIND, f"{name}/{revision}/{identifier()}", context.region)
        detail = {"TraceConfiguration": params.get("TraceConfiguration", {"Vendor": "AWSXRAY"})}
        made = Revision(_KIND, name, revision, arn, context.region, now(), detail, tags_of(params))
        self._state.observabilities[arn] = made
        return {"ObservabilityConfiguration": _shape(made)}

    def describe_observability_configuration(self, params: Params, context: Context) -> Params:
        """By ARN; a deleted one answers INACTIVE."""
        found = self._latest(self._state.observabilities, params["ObservabilityConfigurationArn"])
        return {"ObservabilityConfiguration": _shape(found)}

    def list_observability_configurations(self, params: Params, context: Context) -> Params:
        """The active ones, of one name if asked, the latest of each name unless asked for all."""
        name = params.get("ObservabilityConfigurationName")
        active = [
            one for one in self._observabilities(context.region) if one.status == "ACTIVE" and name in (None, one.name)
        ]
        latest = {one.name: one for one in sorted(active, key=lambda one: one.revision)}
        shown = list(latest.values()) if params.get("LatestOnly", True) else active
        items, token = page([_shape(one) for one in shown], params.get("MaxResults", 100), params.get("NextToken"))
        return {"ObservabilityConfigurationSummaryList": items, "NextToken": token}

    def delete_observability_configuration(self, params: Params, context: Context) -> Params:
        """Retire a revision no service uses."""
        found = self._latest(self._state.observabilities, params["ObservabilityConfigurationArn"])
        if self._state.users_of(found.arn, context.region):
            raise invalid(f"Observability configuration {found.arn} is in use by a service and cannot be deleted.")
        found.retire()
        return {"ObservabilityConfiguration": _shape(found)}

    def _observabilities(self, region: str) -> list[Revision]:
        return [each for each in self._state.observabilities.values() if each.region == region]


def _shape(revision: Revision) -> Params:
    """The ObservabilityConfiguration shape."""
    return {
        "ObservabilityConfigurationArn": revision.arn,
        "ObservabilityConfigurationName": revision.name,
        "ObservabilityConfigurationRevision": revision.revision,
        "Status": revision.status,
        **revision.detail,
        "CreatedAt": revision.created,
        "DeletedAt": revision.deleted,
    }
