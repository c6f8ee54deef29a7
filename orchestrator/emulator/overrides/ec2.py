"""Override EC2 networking: internet route in a default VPC, errors for duplicates, groups in use, missing IDs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, Service

_GROUP_ID_PATTERN = re.compile(r"sg-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_ENDPOINT_FILTER_FIELDS = {
    "vpc-id": "VpcId",
    "service-name": "ServiceName",
    "vpc-endpoint-id": "VpcEndpointId",
    "vpc-endpoint-type": "VpcEndpointType",
    "vpc-endpoint-state": "State",
}
_DEFAULT_ENDPOINT_POLICY = (
    '{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}'
)


_ENDPOINT_DEFAULTS = {"RequesterManaged": False, "IpAddressType": "ipv4"}


class Ec2(Service):
    """Overrides security groups, route tables and VPC endpoints, on both backends."""

    service = "ec2"

    def authorize_security_group_ingress(self, params: Params, context: CallContext) -> Params:
        """Add ingress rules; refuse an existing rule with InvalidPermission.Duplicate."""
        return self._authorize_rules(params, context, is_egress=False)

    def authorize_security_group_egress(self, params: Params, context: CallContext) -> Params:
        """Add egress rules; refuse an existing rule with InvalidPermission.Duplicate."""
        return self._authorize_rules(params, context, is_egress=True)

    def describe_security_groups(self, params: Params, context: CallContext) -> Params:
        """Describe security groups; a well-formed ID that does not exist is InvalidGroup.NotFound.

        Filters by wildcard names and by groups that rules reference are applied here: one backend lacks both.
        """
        group_filters = [item for item in params.get("Filters", []) if item["Name"] in _GROUP_FILTERS]
        backend_filters = [item for item in params.get("Filters", []) if item not in group_filters]
        try:
            response = context.forward({**params, "Filters": backend_filters} if group_filters else params)
            return {
                **response,
                "SecurityGroups": [
                    item for item in response["SecurityGroups"] if _matches_group_filters(item, group_filters)
                ],
            }
        except AwsError as error:
            ids = params.get("GroupIds", [])
            if error.code != "InvalidGroupId.Malformed" or not all(_GROUP_ID_PATTERN.fullmatch(item) for item in ids):
                raise
            message = f"The security group '{ids[0]}' does not exist"
            raise AwsError("InvalidGroup.NotFound", message, 400) from error

    def delete_security_group(self, params: Params, context: CallContext) -> Params:
        """Delete a security group; refuse while a network interface or another group's rule uses it."""
        group = params.get("GroupId", "")
        groups = self._call(context, "DescribeSecurityGroups")["SecurityGroups"]
        other_groups = (other_group for other_group in groups if other_group["GroupId"] != group)
        referenced_groups = {
            pair.get("GroupId")
            for other_group in other_groups
            for rule in _list_rules(other_group)
            for pair in rule["UserIdGroupPairs"]
        }
        if group and (group in referenced_groups or group in self.state.security_groups_in_use(context.region)):
            raise AwsError("DependencyViolation", f"resource {group} has a dependent object", 400)
        return context.forward(params)

    def describe_route_tables(self, params: Params, context: CallContext) -> Params:
        """Describe route tables; add the internet route of a default VPC, which both backends lack."""
        response = context.forward(params)
        default_filter = [{"Name": "is-default", "Values": ["true"]}]
        default_vpcs = {vpc["VpcId"] for vpc in self._call(context, "DescribeVpcs", Filters=default_filter)["Vpcs"]}
        tables = [
            _add_internet_route(table) if table["VpcId"] in default_vpcs else table for table in response["RouteTables"]
        ]
        return {**response, "RouteTables": tables}

    def create_vpc_endpoint(self, params: Params, context: CallContext) -> Params:
        """Create an endpoint; refuse a second gateway endpoint on a route table with RouteAlreadyExists."""
        params = {"VpcEndpointType": "Gateway", **params}
        tables = params.get("RouteTableIds", [])
        self._check_route_tables(params["ServiceName"], tables, context)
        response = context.forward(params)
        response["VpcEndpoint"].setdefault("PolicyDocument", params.get("PolicyDocument", _DEFAULT_ENDPOINT_POLICY))
        return response

    def modify_vpc_endpoint(self, params: Params, context: CallContext) -> Params:
        """Modify an endpoint; refuse an added route table that already has one with RouteAlreadyExists."""
        endpoint = self._get_endpoint(params["VpcEndpointId"], context)
        added_tables = [
            table for table in params.get("AddRouteTableIds", []) if table not in endpoint.get("RouteTableIds", [])
        ]
        self._check_route_tables(endpoint["ServiceName"], added_tables, context)
        return context.forward(params)

    def describe_vpc_endpoints(self, params: Params, context: CallContext) -> Params:
        """Describe endpoints that are not deleted; filter here, because one backend ignores filters."""
        endpoints = self._list_active_endpoints(context)
        for endpoint_id in params.get("VpcEndpointIds", []):
            if not any(endpoint["VpcEndpointId"] == endpoint_id for endpoint in endpoints):
                message = f"The Vpc Endpoint Id '{endpoint_id}' does not exist"
                raise AwsError("InvalidVpcEndpointId.NotFound", message, 400)
        ids = params.get("VpcEndpointIds")
        selected = [endpoint for endpoint in endpoints if not ids or endpoint["VpcEndpointId"] in ids]
        return {
            "VpcEndpoints": [
                endpoint for endpoint in selected if _matches_endpoint_filters(endpoint, params.get("Filters", []))
            ]
        }

    def _authorize_rules(self, params: Params, context: CallContext, *, is_egress: bool) -> Params:
        groups = self._call(context, "DescribeSecurityGroups", GroupIds=[params.get("GroupId", "")])["SecurityGroups"]
        key = "IpPermissionsEgress" if is_egress else "IpPermissions"
        existing_rules = _expand_rules(groups[0].get(key, []))
        requested_rules = _expand_rules(params.get("IpPermissions", []))
        if existing_rules & requested_rules:
            rule = min(existing_rules & requested_rules, key=str)
            message = f'the specified rule "{_describe_rule(rule)}" already exists'
            raise AwsError("InvalidPermission.Duplicate", message, 400)
        return context.forward(params)

    def _check_route_tables(self, service: str, tables: list[str], context: CallContext) -> None:
        for endpoint in self._list_active_endpoints(context):
            occupied_tables = set(endpoint.get("RouteTableIds", [])) & set(tables)
            if endpoint["ServiceName"] == service and occupied_tables:
                message = (
                    f"route table {min(occupied_tables)} already has a "
                    f"route with destination-prefix-list-id of {service}"
                )
                raise AwsError("RouteAlreadyExists", message, 400)

    def _get_endpoint(self, endpoint_id: str, context: CallContext) -> Params:
        matching: Params | None = next(
            (endpoint for endpoint in self._list_active_endpoints(context) if endpoint["VpcEndpointId"] == endpoint_id),
            None,
        )
        if matching is None:
            raise AwsError("InvalidVpcEndpointId.NotFound", f"The Vpc Endpoint Id '{endpoint_id}' does not exist", 400)
        return matching

    def _list_active_endpoints(self, context: CallContext) -> list[Params]:
        endpoints = self._call(context, "DescribeVpcEndpoints")["VpcEndpoints"]
        return [
            {"PolicyDocument": _DEFAULT_ENDPOINT_POLICY, **_ENDPOINT_DEFAULTS, **endpoint}
            for endpoint in endpoints
            if endpoint["State"] != "deleted"
        ]

    def _call(self, context: CallContext, operation: str, **params: Any) -> Params:
        return self.state.call("ec2", operation, context.region, **params)


def _add_internet_route(table: Params) -> Params:
    """Return a default VPC's main route table with its internet route; other tables unchanged."""
    routes = table.get("Routes", [])
    is_main = any(item.get("Main") for item in table.get("Associations", []))
    if not is_main or any(item.get("DestinationCidrBlock") == "0.0.0.0/0" for item in routes):
        return table
    gateway = f"igw-{table['VpcId'].removeprefix('vpc-')}"
    internet_route = {
        "DestinationCidrBlock": "0.0.0.0/0",
        "GatewayId": gateway,
        "Origin": "CreateRoute",
        "State": "active",
    }
    return {**table, "Routes": [*routes, internet_route]}


def _list_rules(group: Params) -> list[Params]:
    rules = [*group.get("IpPermissions", []), *group.get("IpPermissionsEgress", [])]
    return [{**rule, "UserIdGroupPairs": rule.get("UserIdGroupPairs", [])} for rule in rules]


def _matches_group_filters(group: Params, filters: list[Params]) -> bool:
    return all(
        any(
            fnmatchcase(candidate, pattern)
            for candidate in _GROUP_FILTERS[group_filter["Name"]](group)
            for pattern in group_filter["Values"]
        )
        for group_filter in filters
    )


def _list_referenced_groups(group: Params) -> list[str]:
    return [pair["GroupId"] for rule in group.get("IpPermissions", []) for pair in rule.get("UserIdGroupPairs", [])]


_GROUP_FILTERS: Mapping[str, Callable[[Params], list[str]]] = {
    "group-name": lambda group: [group["GroupName"]],
    "ip-permission.group-id": _list_referenced_groups,
}


def _expand_rules(permissions: list[Params]) -> set[tuple[Any, ...]]:
    """Return every single rule in some permissions as (protocol, ports, source), without its description."""
    rules: set[tuple[Any, ...]] = set()
    members = (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"), ("PrefixListIds", "PrefixListId"))
    for permission in permissions:
        ports = (permission["IpProtocol"], permission.get("FromPort", -1), permission.get("ToPort", -1))
        rules |= {(*ports, source[key]) for member, key in members for source in permission.get(member, [])}
        rules |= {(*ports, pair.get("GroupId")) for pair in permission.get("UserIdGroupPairs", [])}
    return rules


def _describe_rule(rule: tuple[Any, ...]) -> str:
    """Return a rule of ``_expand_rules`` as AWS names it in errors."""
    protocol, first_port, last_port, peer = rule
    if protocol == "-1":
        return f"peer: {peer}, ALL, ALLOW"
    return f"peer: {peer}, {protocol.upper()}, from port: {first_port}, to port: {last_port}, ALLOW"


def _matches_endpoint_filters(endpoint: Params, filters: list[Params]) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in endpoint.get("Tags", [])}
    for endpoint_filter in filters:
        name, values = endpoint_filter["Name"], endpoint_filter["Values"]
        if name == "tag-key":
            is_match = any(key in values for key in tags)
        elif name.startswith("tag:"):
            is_match = tags.get(str(name).removeprefix("tag:")) in values
        else:
            is_match = endpoint.get(_ENDPOINT_FILTER_FIELDS.get(name, str(name))) in values
        if not is_match:
            return False
    return True
