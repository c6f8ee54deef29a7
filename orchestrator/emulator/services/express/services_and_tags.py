"""Show Express services among the other ECS services: list, describe and tag them together."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext
from orchestrator.emulator.services.express.configuration import invalid_parameter
from orchestrator.emulator.services.express.deployments import Deployments, parse_cluster_name
from orchestrator.emulator.services.express.entities import GatewayService
from orchestrator.emulator.services.express.shapes import service_shape, to_tag_list
from orchestrator.emulator.services.pagination import paginate

_DEFAULT_PAGE_SIZE = 10  # AWS's default
_MAX_TAGS = 50
_MAX_DESCRIBED_SERVICES = 10
_EXPRESS_SERVICE_FILTERS = {"launchType": "FARGATE", "schedulingStrategy": "REPLICA", "resourceManagementType": "ECS"}


def parse_tags(params: Params) -> dict[str, str]:
    """Return the tags parameter as a dict."""
    return {tag["key"]: tag.get("value", "") for tag in params.get("tags", [])}


class ExpressListing(Deployments):
    """ListServices, DescribeServices, and the operations on tags."""

    def list_services(self, params: Params, context: CallContext) -> Params:
        """List the backend's services and the Express services that are not INACTIVE."""
        cluster = parse_cluster_name(params.get("cluster"))
        self._require_cluster(cluster, context.region)
        filter_params = {name: value for name, value in params.items() if name not in ("maxResults", "nextToken")}
        arns = (
            []
            if filter_params.pop("resourceManagementType", "") == "ECS"
            else self._list_backend_arns(filter_params, context)
        )
        if all(params.get(name, value) == value for name, value in _EXPRESS_SERVICE_FILTERS.items()):
            arns += [gateway.arn for gateway in self._list_gateways(context.region) if gateway.cluster == cluster]
        size, token = params.get("maxResults", _DEFAULT_PAGE_SIZE), params.get("nextToken")
        items, next_token = paginate(arns, size, token, "InvalidParameterException")
        return {"serviceArns": items, "nextToken": next_token}

    def describe_services(self, params: Params, context: CallContext) -> Params:
        """Describe services by name or ARN, INACTIVE ones included, with tags only on request."""
        cluster = parse_cluster_name(params.get("cluster"))
        if not 0 < len(params["services"]) <= _MAX_DESCRIBED_SERVICES:
            raise invalid_parameter(f"There must be 1 to {_MAX_DESCRIBED_SERVICES} services to describe.")
        self._require_cluster(cluster, context.region)
        gateways_by_name = {
            item: self._find_gateway_by_name(item, cluster, context.region) for item in params["services"]
        }
        backend_names = [name for name, gateway in gateways_by_name.items() if gateway is None]
        response = (
            context.forward({**params, "services": backend_names})
            if backend_names
            else {"services": [], "failures": []}
        )
        with_tags = "TAGS" in params.get("include", [])
        express_shapes = [
            _describe_gateway(item, with_tags)
            for item in gateways_by_name.values()
            if item is not None and item.cluster == cluster
        ]
        return {**response, "services": [*response.get("services", []), *express_shapes]}

    def describe_clusters(self, params: Params, context: CallContext) -> Params:
        """Describe the backend's clusters, with Express services in their counts."""
        response = context.forward(params)
        for cluster in response.get("clusters", []):
            express_shapes = [
                service_shape(item)
                for item in self._list_gateways(context.region)
                if item.cluster == cluster["clusterName"]
            ]
            cluster["activeServicesCount"] += sum(item["status"] == "ACTIVE" for item in express_shapes)
            cluster["runningTasksCount"] += sum(item["runningCount"] for item in express_shapes)
        return response

    def delete_cluster(self, params: Params, context: CallContext) -> Params:
        """Delete a cluster; refuse while an Express service is in it."""
        name = parse_cluster_name(params["cluster"])
        if any(gateway.cluster == name for gateway in self._list_gateways(context.region)):
            raise AwsError(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        return context.forward(params)

    def list_tags_for_resource(self, params: Params, context: CallContext) -> Params:
        """Return the tags of an Express service, or forward to the backend."""
        gateway = self._find_gateway(params["resourceArn"])
        return context.forward(params) if gateway is None else {"tags": to_tag_list(gateway.tags)}

    def tag_resource(self, params: Params, context: CallContext) -> Params:
        """Add or change tags."""
        gateway = self._find_gateway(params["resourceArn"])
        if gateway is None:
            return context.forward(params)
        tags = {**gateway.tags, **parse_tags(params)}
        if len(tags) > _MAX_TAGS:
            raise invalid_parameter(f"There can be at most {_MAX_TAGS} tags.")
        gateway.tags = tags
        return {}

    def untag_resource(self, params: Params, context: CallContext) -> Params:
        """Remove tags; ignore missing keys."""
        gateway = self._find_gateway(params["resourceArn"])
        if gateway is None:
            return context.forward(params)
        gateway.tags = {key: value for key, value in gateway.tags.items() if key not in params["tagKeys"]}
        return {}

    def tags_by_arn(self, region: str) -> dict[str, dict[str, str]]:
        """Return the tags of the Express services that are not INACTIVE, by ARN."""
        return {gateway.arn: gateway.tags for gateway in self._list_gateways(region)}

    def security_groups_in_use(self, region: str) -> set[str]:
        """Return the security groups of tasks and load balancers of services that are not INACTIVE."""
        gateways = self._list_gateways(region)
        revisions = [revision for item in gateways for revision in item.active_revisions]
        groups = {group for item in revisions for group in item.settings["networkConfiguration"]["securityGroups"]}
        return groups | {item.load_balancer.security_group for item in gateways}

    def _list_backend_arns(self, params: Params, context: CallContext) -> list[str]:
        """Return all ARNs of the backend, from every page."""
        arns: list[str] = []
        token: dict[str, str] = {}
        while True:
            response = context.forward({**params, **token})
            arns += response.get("serviceArns", [])
            if not response.get("nextToken"):
                return arns
            token = {"nextToken": response["nextToken"]}

    def _require_cluster(self, cluster: str, region: str) -> None:
        if not self._has_cluster(cluster, region):
            raise AwsError("ClusterNotFoundException", "Cluster not found.")

    def _has_cluster(self, cluster: str, region: str) -> bool:
        clusters = self.state.call("ecs", "DescribeClusters", region, clusters=[cluster]).get("clusters", [])
        return any(cluster_shape["status"] == "ACTIVE" for cluster_shape in clusters)


def _describe_gateway(gateway: GatewayService, with_tags: bool) -> Params:
    tags = {"tags": to_tag_list(gateway.tags)} if with_tags else {}
    return {**service_shape(gateway), **tags}
