"""Emulate App Runner's observability configurations: create, use and delete; X-Ray is the only vendor."""

from __future__ import annotations

from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext
from orchestrator.emulator.services.apprunner.auto_scaling_and_connectors import AppRunnerBase, parse_tags
from orchestrator.emulator.services.apprunner.configuration import invalid_request
from orchestrator.emulator.services.apprunner.entities import Revision, current_time, generate_id
from orchestrator.emulator.services.pagination import paginate

_RESOURCE_KIND = "observabilityconfiguration"


class ObservabilityConfigurations(AppRunnerBase):
    """Observability configurations."""

    def create_observability_configuration(self, params: Params, context: CallContext) -> Params:
        """Create a configuration, or a new revision of an existing name."""
        name = params["ObservabilityConfigurationName"]
        revision_numbers = [
            existing.revision
            for existing in self._list_observability_configurations(context.region)
            if existing.name == name
        ]
        revision = max(revision_numbers, default=0) + 1
        arn = self._arn(_RESOURCE_KIND, f"{name}/{revision}/{generate_id()}", context.region)
        detail = {"TraceConfiguration": params.get("TraceConfiguration", {"Vendor": "AWSXRAY"})}
        created = Revision(
            _RESOURCE_KIND, name, revision, arn, context.region, current_time(), detail, parse_tags(params)
        )
        self._store.observability_configurations[arn] = created
        return {"ObservabilityConfiguration": _observability_shape(created)}

    def describe_observability_configuration(self, params: Params, context: CallContext) -> Params:
        """Return a configuration by ARN; a deleted one is INACTIVE."""
        configuration = self._get_revision(
            self._store.observability_configurations, params["ObservabilityConfigurationArn"]
        )
        return {"ObservabilityConfiguration": _observability_shape(configuration)}

    def list_observability_configurations(self, params: Params, context: CallContext) -> Params:
        """List active configurations, optionally of one name; only the latest of each unless all are requested."""
        name = params.get("ObservabilityConfigurationName")
        active = [
            item
            for item in self._list_observability_configurations(context.region)
            if item.status == "ACTIVE" and name in (None, item.name)
        ]
        latest = {item.name: item for item in sorted(active, key=lambda item: item.revision)}
        selected = list(latest.values()) if params.get("LatestOnly", True) else active
        items, token = paginate(
            [_observability_shape(item) for item in selected], params.get("MaxResults", 100), params.get("NextToken")
        )
        return {"ObservabilityConfigurationSummaryList": items, "NextToken": token}

    def delete_observability_configuration(self, params: Params, context: CallContext) -> Params:
        """Delete a revision; refuse if a service uses it."""
        configuration = self._get_revision(
            self._store.observability_configurations, params["ObservabilityConfigurationArn"]
        )
        if self._store.list_services_using(configuration.arn, context.region):
            raise invalid_request(
                f"Observability configuration {configuration.arn} is in use by a service and cannot be deleted."
            )
        configuration.deactivate()
        return {"ObservabilityConfiguration": _observability_shape(configuration)}

    def _list_observability_configurations(self, region: str) -> list[Revision]:
        return [
            configuration
            for configuration in self._store.observability_configurations.values()
            if configuration.region == region
        ]


def _observability_shape(revision: Revision) -> Params:
    """Return the ObservabilityConfiguration shape."""
    return {
        "ObservabilityConfigurationArn": revision.arn,
        "ObservabilityConfigurationName": revision.name,
        "ObservabilityConfigurationRevision": revision.revision,
        "Status": revision.status,
        **revision.details,
        "CreatedAt": revision.created_at,
        "DeletedAt": revision.deleted_at,
    }
