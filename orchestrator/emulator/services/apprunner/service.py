"""App Runner's services and their operations, as the API answers them.

Follows AWS's guide and API reference: one operation at a time, a failed deployment rolls back in silence, a deleted
service answers DELETED.  Whether a deployment is healthy is told by the process that the emulator runs for it, where
it was told to run services, and by the faults.
"""

from __future__ import annotations

import secrets
import shlex
from copy import deepcopy

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Response
from orchestrator.emulator.server_protocol import Params, operation_model
from orchestrator.emulator.service_base import Context, Handler, Workload
from orchestrator.emulator.services.account_checks import fails, trusts
from orchestrator.emulator.services.apprunner.auto_scaling_and_connectors import Connectors, Scalings, tags_of
from orchestrator.emulator.services.apprunner.configuration import completed, invalid
from orchestrator.emulator.services.apprunner.entities import Deployed, identifier, now
from orchestrator.emulator.services.apprunner.observability import Observabilities
from orchestrator.emulator.services.constraints import check_constraints
from orchestrator.emulator.services.pagination import page

_SERVICES = 30  # AWS's quota in a region
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


class AppRunner(Scalings, Connectors, Observabilities):
    """The whole service."""

    def handler(self, operation: str) -> Handler | None:
        """The method for an operation, behind the model's own constraints."""
        found = super().handler(operation)
        if found is None:
            return None

        def checked(params: Params, context: Context) -> Params | Response:
            check_constraints(operation_model("apprunner", operation).input_shape, params)
            return found(params, context)

        return checked

    def create_service(self, params: Params, context: Context) -> Params:
        """Start creating; roles must be assumable, the name free."""
        name, region = params["ServiceName"], context.region
        living = self._state.living(region)
        if any(each.name == name for each in living):
            raise invalid(f"Service with the provided name already exists: {name}.")
        if len(living) >= _SERVICES:
            raise AwsError("ServiceQuotaExceededException", "Service quota exceeded.")
        settings = self._settled(completed(params), context)
        unique = identifier()
        url = f"{''.join(secrets.choice(_LETTERS) for _ in range(10))}.{region}.awsapprunner.com"
        arn = self._arn("service", f"{name}/{unique}", region)
        made = Deployed(name, unique, arn, url, region, now(), settings, tags_of(params))
        self._state.services[arn] = made
        for kind in ("application", "service"):
            self._log_group(f"{_logs(made)}/{kind}", region)
        return self._begun(made, "CREATE_SERVICE", fails=self._fails(settings))

    def describe_service(self, params: Params, context: Context) -> Params:
        """By ARN; a deleted one answers DELETED."""
        return {"Service": self._shape(self._find(params["ServiceArn"]))}

    def update_service(self, params: Params, context: Context) -> Params:
        """Change settings and deploy them; also the way out of CREATE_FAILED."""
        found = self._living(params["ServiceArn"])
        found.require("RUNNING", "CREATE_FAILED")
        found.settings = self._settled(completed(params, found.settings), context)
        fails = self._fails(found.settings)
        return self._begun(found, "UPDATE_SERVICE", fails=fails)

    def start_deployment(self, params: Params, context: Context) -> Params:
        """Deploy the configured image again."""
        found = self._living(params["ServiceArn"])
        found.require("RUNNING")
        return {"OperationId": self._begun(found, "START_DEPLOYMENT", fails=self._fails(found.settings))["OperationId"]}

    def pause_service(self, params: Params, context: Context) -> Params:
        """Take a running service down."""
        found = self._living(params["ServiceArn"])
        found.require("RUNNING")
        return self._begun(found, "PAUSE_SERVICE")

    def resume_service(self, params: Params, context: Context) -> Params:
        """Bring a paused service back."""
        found = self._living(params["ServiceArn"])
        found.require("PAUSED")
        return self._begun(found, "RESUME_SERVICE")

    def delete_service(self, params: Params, context: Context) -> Params:
        """Delete; the name is free once the operation is over."""
        found = self._living(params["ServiceArn"])
        found.require("RUNNING", "PAUSED", "CREATE_FAILED", "DELETE_FAILED")
        return self._begun(found, "DELETE_SERVICE")

    def list_services(self, params: Params, context: Context) -> Params:
        """Summaries of the services that are not deleted."""
        members = ("ServiceName", "ServiceId", "ServiceArn", "ServiceUrl", "CreatedAt", "UpdatedAt", "Status")
        shapes = [self._shape(each) for each in self._state.living(context.region)]
        found = [{name: shape[name] for name in members} for shape in shapes]
        items, token = page(found, params.get("MaxResults", 20), params.get("NextToken"))
        return {"ServiceSummaryList": items, "NextToken": token}

    def list_operations(self, params: Params, context: Context) -> Params:
        """Newest first."""
        found = [each.summary() for each in self._find(params["ServiceArn"]).operations]
        items, token = page(found, params.get("MaxResults", 20), params.get("NextToken"))
        return {"OperationSummaryList": items, "NextToken": token}

    def describe_custom_domains(self, params: Params, context: Context) -> Params:
        """No custom domains here: the service's own URL only."""
        found = self._find(params["ServiceArn"])
        return {"DNSTarget": found.url, "ServiceArn": found.arn, "CustomDomains": [], "VpcDNSTargets": []}

    def list_connections(self, params: Params, context: Context) -> Params:
        """No source connections: code repositories are not emulated."""
        return {"ConnectionSummaryList": []}

    def list_vpc_ingress_connections(self, params: Params, context: Context) -> Params:
        """None."""
        return {"VpcIngressConnectionSummaryList": []}

    def list_tags_for_resource(self, params: Params, context: Context) -> Params:
        """Of a service, a scaling configuration or a connector."""
        tags = self._tags(params["ResourceArn"])
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def tag_resource(self, params: Params, context: Context) -> Params:
        """Add or change tags."""
        self._tags(params["ResourceArn"]).update(tags_of(params))
        return {}

    def untag_resource(self, params: Params, context: Context) -> Params:
        """Take tags away; keys that are not there do not matter."""
        tags = self._tags(params["ResourceArn"])
        for key in params["TagKeys"]:
            tags.pop(key, None)
        return {}

    def tagged(self, region: str) -> dict[str, dict[str, str]]:
        """The tags of everything that lives, by ARN: what the tagging API reports."""
        revisions = [
            *self._state.scalings.values(),
            *self._state.connectors.values(),
            *self._state.observabilities.values(),
        ]
        found = {each.arn: each.tags for each in revisions if each.status == "ACTIVE" and each.region == region}
        return {**found, **{each.arn: each.tags for each in self._state.living(region)}}

    def groups_in_use(self, region: str) -> set[str]:
        """The security groups of the active VPC connectors."""
        active = [each for each in self._connectors(region) if each.status == "ACTIVE"]
        return {group for each in active for group in each.detail["SecurityGroups"]}

    def _tags(self, arn: str) -> dict[str, str]:
        for revisions in (self._state.scalings, self._state.connectors, self._state.observabilities):
            if arn in revisions and revisions[arn].status == "ACTIVE":
                return revisions[arn].tags
        return self._living(arn).tags

    def _find(self, arn: str) -> Deployed:
        found = self._state.services.get(arn)
        if found is None:
            raise AwsError("ResourceNotFoundException", f"Service not found for ARN: {arn}.")
        found.settle()
        return found

    def _living(self, arn: str) -> Deployed:
        found = self._find(arn)
        if found.status == "DELETED":
            raise AwsError("ResourceNotFoundException", f"Service not found for ARN: {arn}.")
        return found

    def _begun(self, found: Deployed, kind: str, *, fails: bool = False) -> Params:
        operation = found.begin(kind, self.world.settle("apprunner"), fails=fails)
        if self.world.runs is not None and not fails:
            if kind in ("PAUSE_SERVICE", "DELETE_SERVICE"):
                self.world.runs.stop(found.url)
            else:
                operation.trial = self.world.runs.begin(_workload(found))
        return {"Service": self._shape(found), "OperationId": operation.id}

    def _settled(self, settings: Params, context: Context) -> Params:
        """Settings with the references resolved.  Raises InvalidRequestException for what is not there."""
        default = self._default_scaling(context.region).arn
        scaling = self._latest(self._state.scalings, settings.get("AutoScalingConfigurationArn", default))
        if scaling.status != "ACTIVE":
            raise invalid(f"Auto scaling configuration {scaling.arn} is not active.")
        settings["AutoScalingConfigurationArn"] = scaling.arn
        connector = settings["NetworkConfiguration"]["EgressConfiguration"].get("VpcConnectorArn")
        if connector and self._latest(self._state.connectors, connector).status != "ACTIVE":
            raise invalid(f"VPC connector {connector} is not active.")
        self._assume("instance role", settings["InstanceConfiguration"].get("InstanceRoleArn"), "tasks")
        access = settings["SourceConfiguration"].get("AuthenticationConfiguration", {}).get("AccessRoleArn")
        self._assume("access role", access, "build")
        return settings

    def _assume(self, kind: str, arn: str | None, principal: str) -> None:
        """Check that App Runner may assume a role: it exists, is no longer too new, and trusts the principal."""
        if arn is None:
            return
        if not trusts(self.world, arn, f"{principal}.apprunner.amazonaws.com"):
            raise invalid(f"Error in assuming {kind} {arn}")

    def _fails(self, settings: Params) -> bool:
        """Whether a deployment of this image would fail its health check."""
        image = settings["SourceConfiguration"].get("ImageRepository", {}).get("ImageIdentifier", "")
        return fails(self.world, image)

    def _log_group(self, name: str, region: str) -> None:
        try:
            self.world.call("logs", "CreateLogGroup", region, logGroupName=name)
        except AwsError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise

    def _shape(self, service: Deployed) -> Params:
        """The Service shape."""
        service.settle()
        settings = deepcopy(service.settings)
        scaling = self._scaling(self._state.scalings[settings.pop("AutoScalingConfigurationArn")])
        return {
            "ServiceName": service.name,
            "ServiceId": service.id,
            "ServiceArn": service.arn,
            "ServiceUrl": service.url,
            "CreatedAt": service.created,
            "UpdatedAt": service.updated,
            "DeletedAt": service.deleted,
            "Status": service.status,
            **settings,
            "AutoScalingConfigurationSummary": scaling,
        }


def _logs(service: Deployed) -> str:
    return f"/aws/apprunner/{service.name}/{service.id}"


def _workload(service: Deployed) -> Workload:
    """What its settings say is to be run."""
    settings = deepcopy(service.settings)
    repository = settings["SourceConfiguration"].get("ImageRepository", {})
    wanted, logs = repository.get("ImageConfiguration", {}), _logs(service)
    return Workload(
        service.url,
        service.region,
        repository.get("ImageIdentifier", ""),
        str(wanted.get("Port", "8080")),
        settings["HealthCheckConfiguration"],
        tuple(shlex.split(wanted.get("StartCommand", ""))),
        environment=wanted.get("RuntimeEnvironmentVariables", {}),
        secrets=wanted.get("RuntimeEnvironmentSecrets", {}),
        output=(f"{logs}/application", "instance"),
        verdicts=f"{logs}/service",
    )
