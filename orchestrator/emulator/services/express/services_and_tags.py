"""Express services among the other services of ECS: listed, described and tagged with them."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context
from orchestrator.emulator.services.express.configuration import invalid
from orchestrator.emulator.services.express.deployments import Deployments, cluster_name
from orchestrator.emulator.services.express.entities import Gateway
from orchestrator.emulator.services.express.shapes import service_shape, tag_list
from orchestrator.emulator.services.pagination import page

_PAGE = 10  # AWS's own
_TAGS = 50
_MOST = 10
_FILTERS = {"launchType": "FARGATE", "schedulingStrategy": "REPLICA", "resourceManagementType": "ECS"}


def tags_of(params: Params) -> dict[str, str]:
    """The tags parameter as a dict."""
    return {tag["key"]: tag.get("value", "") for tag in params.get("tags", [])}


class Listing(Deployments):
    """ListServices, DescribeServices, and the operations on tags."""

    def list_services(self, params: Params, context: Context) -> Params:
        """The backend's services and those here that are not INACTIVE."""
        cluster = cluster_name(params.get("cluster"))
        self._require_cluster(cluster, context.region)
        given = {name: value for name, value in params.items() if name not in ("maxResults", "nextToken")}
        arns = [] if given.pop("resourceManagementType", "") == "ECS" else self._listed(given, context)
        if all(params.get(name, value) == value for name, value in _FILTERS.items()):
            arns += [each.arn for each in self._all(context.region) if each.cluster == cluster]
        size, token = params.get("maxResults", _PAGE), params.get("nextToken")
        items, following = page(arns, size, token, "InvalidParameterException")
        return {"serviceArns": items, "nextToken": following}

    def describe_services(self, params: Params, context: Context) -> Params:
        """By name or ARN, tags only where they are asked for; INACTIVE ones are told of, too."""
        cluster = cluster_name(params.get("cluster"))
        if not 0 < len(params["services"]) <= _MOST:
            raise invalid(f"There must be 1 to {_MOST} services to describe.")
        self._require_cluster(cluster, context.region)
        named = {each: self._named(each, cluster, context.region) for each in params["services"]}
        rest = [name for name, gateway in named.items() if gateway is None]
        answer = context.forward({**params, "services": rest}) if rest else {"services": [], "failures": []}
        with_tags = "TAGS" in params.get("include", [])
        own = [_described(each, with_tags) for each in named.values() if each is not None and each.cluster == cluster]
        return {**answer, "services": [*answer.get("services", []), *own]}

    def describe_clusters(self, params: Params, context: Context) -> Params:
        """The backend's, with the Express services counted in."""
        answer = context.forward(params)
        for cluster in answer.get("clusters", []):
            own = [service_shape(each) for each in self._all(context.region) if each.cluster == cluster["clusterName"]]
            cluster["activeServicesCount"] += sum(each["status"] == "ACTIVE" for each in own)
            cluster["runningTasksCount"] += sum(each["runningCount"] for each in own)
        return answer

    def delete_cluster(self, params: Params, context: Context) -> Params:
        """Not while an Express service is in it."""
        name = cluster_name(params["cluster"])
        if any(each.cluster == name for each in self._all(context.region)):
            raise AwsError(
                "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
            )
        return context.forward(params)

    def list_tags_for_resource(self, params: Params, context: Context) -> Params:
        """Of an Express service, or whatever the backend has."""
        found = self._settled(params["resourceArn"])
        return context.forward(params) if found is None else {"tags": tag_list(found.tags)}

    def tag_resource(self, params: Params, context: Context) -> Params:
        """Add or change tags."""
        found = self._settled(params["resourceArn"])
        if found is None:
            return context.forward(params)
        tags = {**found.tags, **tags_of(params)}
        if len(tags) > _TAGS:
            raise invalid(f"There can be at most {_TAGS} tags.")
        found.tags = tags
        return {}

    def untag_resource(self, params: Params, context: Context) -> Params:
        """Take tags away; keys that are not there do not matter."""
        found = self._settled(params["resourceArn"])
        if found is None:
            return context.forward(params)
        found.tags = {key: value for key, value in found.tags.items() if key not in params["tagKeys"]}
        return {}

    def tagged(self, region: str) -> dict[str, dict[str, str]]:
        """The tags of the Express services that are there, by ARN."""
        return {each.arn: each.tags for each in self._all(region)}

    def groups_in_use(self, region: str) -> set[str]:
        """The security groups of their tasks and load balancers, until they are INACTIVE."""
        there = self._all(region)
        revisions = [revision for each in there for revision in each.active]
        groups = {group for each in revisions for group in each.settings["networkConfiguration"]["securityGroups"]}
        return groups | {each.balancer.group for each in there}

    def _listed(self, params: Params, context: Context) -> list[str]:
        """All of the backend's, whatever its pages."""
        arns: list[str] = []
        token: dict[str, str] = {}
        while True:
            found = context.forward({**params, **token})
            arns += found.get("serviceArns", [])
            if not found.get("nextToken"):
                return arns
            token = {"nextToken": found["nextToken"]}

    def _require_cluster(self, cluster: str, region: str) -> None:
        if not self._has_cluster(cluster, region):
            raise AwsError("ClusterNotFoundException", "Cluster not found.")

    def _has_cluster(self, cluster: str, region: str) -> bool:
        found = self.world.call("ecs", "DescribeClusters", region, clusters=[cluster]).get("clusters", [])
        return any(each["status"] == "ACTIVE" for each in found)


def _described(gateway: Gateway, with_tags: bool) -> Params:
    tags = {"tags": tag_list(gateway.tags)} if with_tags else {}
    return {**service_shape(gateway), **tags}
