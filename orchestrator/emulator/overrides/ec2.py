"""EC2 networking as AWS has it: a way out of a default VPC; duplicates, groups in use and what is gone are refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service

_GROUP_ID = re.compile(r"sg-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_ENDPOINT_FILTERS = {
    "vpc-id": "VpcId",
    "service-name": "ServiceName",
    "vpc-endpoint-id": "VpcEndpointId",
    "vpc-endpoint-type": "VpcEndpointType",
    "vpc-endpoint-state": "State",
}
_POLICY = '{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}'


class Ec2(Service):
    """Corrections to security groups and VPC endpoints, on either backend."""

    service = "ec2"

    def authorize_security_group_ingress(self, params: Params, context: Context) -> Params:
        """A rule that is there already is InvalidPermission.Duplicate."""
        return self._authorize(params, context, egress=False)

    def authorize_security_group_egress(self, params: Params, context: Context) -> Params:
        """Likewise."""
        return self._authorize(params, context, egress=True)

    def describe_security_groups(self, params: Params, context: Context) -> Params:
        """An id of the right form that is not there is InvalidGroup.NotFound.

        Names may hold wildcards, and groups are found by the groups their rules name: one backend knows neither.
        """
        own = [each for each in params.get("Filters", []) if each["Name"] in _GROUP_FILTERS]
        rest = [each for each in params.get("Filters", []) if each not in own]
        try:
            answer = context.forward({**params, "Filters": rest} if own else params)
            return {**answer, "SecurityGroups": [each for each in answer["SecurityGroups"] if _chosen(each, own)]}
        except AwsError as error:
            ids = params.get("GroupIds", [])
            if error.code != "InvalidGroupId.Malformed" or not all(_GROUP_ID.fullmatch(each) for each in ids):
                raise
            message = f"The security group '{ids[0]}' does not exist"
            raise AwsError("InvalidGroup.NotFound", message, 400) from error

    def delete_security_group(self, params: Params, context: Context) -> Params:
        """Refused while a network interface or another group's rule holds it."""
        group = params.get("GroupId", "")
        groups = self._call(context, "DescribeSecurityGroups")["SecurityGroups"]
        others = (each for each in groups if each["GroupId"] != group)
        named = {pair.get("GroupId") for each in others for rule in _rules(each) for pair in rule["UserIdGroupPairs"]}
        if group and (group in named or group in self.world.groups_in_use(context.region)):
            raise AwsError("DependencyViolation", f"resource {group} has a dependent object", 400)
        return context.forward(params)

    def describe_route_tables(self, params: Params, context: Context) -> Params:
        """A default VPC has a way to the internet, which neither backend gives it."""
        answer = context.forward(params)
        default = [{"Name": "is-default", "Values": ["true"]}]
        vpcs = {vpc["VpcId"] for vpc in self._call(context, "DescribeVpcs", Filters=default)["Vpcs"]}
        tables = [_led_out(each) if each["VpcId"] in vpcs else each for each in answer["RouteTables"]]
        return {**answer, "RouteTables": tables}

    def create_vpc_endpoint(self, params: Params, context: Context) -> Params:
        """A second gateway endpoint of a service on one route table is RouteAlreadyExists."""
        params = {"VpcEndpointType": "Gateway", **params}
        tables = params.get("RouteTableIds", [])
        self._check_routes(params["ServiceName"], tables, context)
        answer = context.forward(params)
        answer["VpcEndpoint"].setdefault("PolicyDocument", params.get("PolicyDocument", _POLICY))
        return answer

    def modify_vpc_endpoint(self, params: Params, context: Context) -> Params:
        """Likewise for the route tables it adds."""
        found = self._endpoint(params["VpcEndpointId"], context)
        added = [each for each in params.get("AddRouteTableIds", []) if each not in found.get("RouteTableIds", [])]
        self._check_routes(found["ServiceName"], added, context)
        return context.forward(params)

    def describe_vpc_endpoints(self, params: Params, context: Context) -> Params:
        """Filtered here, for one backend ignores filters; deleted ones are not found."""
        found = self._endpoints(context)
        for wanted in params.get("VpcEndpointIds", []):
            if not any(each["VpcEndpointId"] == wanted for each in found):
                message = f"The Vpc Endpoint Id '{wanted}' does not exist"
                raise AwsError("InvalidVpcEndpointId.NotFound", message, 400)
        ids = params.get("VpcEndpointIds")
        chosen = [each for each in found if not ids or each["VpcEndpointId"] in ids]
        return {"VpcEndpoints": [each for each in chosen if _passes(each, params.get("Filters", []))]}

    def _authorize(self, params: Params, context: Context, *, egress: bool) -> Params:
        group = self._call(context, "DescribeSecurityGroups", GroupIds=[params.get("GroupId", "")])["SecurityGroups"]
        key = "IpPermissionsEgress" if egress else "IpPermissions"
        present = _sources(group[0].get(key, []))
        wanted = _sources(params.get("IpPermissions", []))
        if present & wanted:
            rule = min(map(str, present & wanted))
            message = f'the specified rule "{rule}" already exists'
            raise AwsError("InvalidPermission.Duplicate", message, 400)
        return context.forward(params)

    def _check_routes(self, service: str, tables: list[str], context: Context) -> None:
        for endpoint in self._endpoints(context):
            taken = set(endpoint.get("RouteTableIds", [])) & set(tables)
            if endpoint["ServiceName"] == service and taken:
                message = f"route table {min(taken)} already has a route with destination-prefix-list-id of {service}"
                raise AwsError("RouteAlreadyExists", message, 400)

    def _endpoint(self, key: str, context: Context) -> Params:
        found: Params | None = next((each for each in self._endpoints(context) if each["VpcEndpointId"] == key), None)
        if found is None:
            raise AwsError("InvalidVpcEndpointId.NotFound", f"The Vpc Endpoint Id '{key}' does not exist", 400)
        return found

    def _endpoints(self, context: Context) -> list[Params]:
        found = self._call(context, "DescribeVpcEndpoints")["VpcEndpoints"]
        return [{"PolicyDocument": _POLICY, **each} for each in found if each["State"] != "deleted"]

    def _call(self, context: Context, operation: str, **params: Any) -> Params:
        return self.world.call("ec2", operation, context.region, **params)


def _led_out(table: Params) -> Params:
    """A default VPC's main table as AWS makes it; others are as they were made."""
    routes = table.get("Routes", [])
    is_main = any(each.get("Main") for each in table.get("Associations", []))
    if not is_main or any(each.get("DestinationCidrBlock") == "0.0.0.0/0" for each in routes):
        return table
    gateway = f"igw-{table['VpcId'].removeprefix('vpc-')}"
    way = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway, "Origin": "CreateRoute", "State": "active"}
    return {**table, "Routes": [*routes, way]}


def _rules(group: Params) -> list[Params]:
    rules = [*group.get("IpPermissions", []), *group.get("IpPermissionsEgress", [])]
    return [{**rule, "UserIdGroupPairs": rule.get("UserIdGroupPairs", [])} for rule in rules]


def _chosen(group: Params, filters: list[Params]) -> bool:
    return all(
        any(fnmatchcase(found, pattern) for found in _GROUP_FILTERS[each["Name"]](group) for pattern in each["Values"])
        for each in filters
    )


def _named(group: Params) -> list[str]:
    return [pair["GroupId"] for rule in group.get("IpPermissions", []) for pair in rule.get("UserIdGroupPairs", [])]


_GROUP_FILTERS: Mapping[str, Callable[[Params], list[str]]] = {
    "group-name": lambda group: [group["GroupName"]],
    "ip-permission.group-id": _named,
}


def _sources(permissions: list[Params]) -> set[tuple[Any, ...]]:
    """Every single rule of some permissions: protocol, ports, and one source; descriptions do not count."""
    found: set[tuple[Any, ...]] = set()
    members = (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"), ("PrefixListIds", "PrefixListId"))
    for each in permissions:
        ports = (each["IpProtocol"], each.get("FromPort", -1), each.get("ToPort", -1))
        found |= {(*ports, source[key]) for member, key in members for source in each.get(member, [])}
        found |= {(*ports, pair.get("GroupId")) for pair in each.get("UserIdGroupPairs", [])}
    return found


def _passes(endpoint: Params, filters: list[Params]) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in endpoint.get("Tags", [])}
    for each in filters:
        name, values = each["Name"], each["Values"]
        if name == "tag-key":
            kept = any(key in values for key in tags)
        elif name.startswith("tag:"):
            kept = tags.get(str(name).removeprefix("tag:")) in values
        else:
            kept = endpoint.get(_ENDPOINT_FILTERS.get(name, str(name))) in values
        if not kept:
            return False
    return True
