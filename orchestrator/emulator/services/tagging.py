"""The Resource Groups Tagging API's reads, over everything a stack makes: asked of each service, nothing kept here.

As on AWS it is regional, reports CloudFront in us-east-1 only, leaves IAM out, and lists only what has tags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service, World
from orchestrator.emulator.services.pagination import page

Tagged = Iterator[tuple[str, dict[str, str]]]
_PAGE = 100


class Tagging(Service):
    """GetResources, GetTagKeys, GetTagValues."""

    service = "resourcegroupstaggingapi"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._listed: dict[str, list[Params]] = {}
        self._known: dict[str, tuple[int, dict[str, dict[str, str]]]] = {}
        self._sources: dict[str, Callable[[str], Tagged]] = {
            "s3": self._s3,
            "rds": self._rds,
            "secretsmanager": self._secrets,
            "ecr": self._ecr,
            "ec2": self._ec2,
            "apprunner": lambda region: iter(self.world.tagged("apprunner", region).items()),
            "ecs": lambda region: iter(self.world.tagged("ecs", region).items()),
            "logs": self._logs,
            "sns": self._sns,
            "cloudwatch": self._alarms,
            "cloudfront": self._cloudfront,
        }

    def get_resources(self, params: Params, context: Context) -> Params:
        """Filtered by tags (all filters, any of a filter's values), types and ARNs; in pages of one listing."""
        given = params.get("PaginationToken")
        asked = repr([context.region, sorted({**params, "PaginationToken": ""}.items())])
        if not given or asked not in self._listed:
            self._listed[asked] = self._filtered(params, context.region)
        size = params.get("ResourcesPerPage", _PAGE)
        items, token = page(self._listed[asked], size, given, "PaginationTokenExpiredException")
        if not token:
            del self._listed[asked]
        return {"ResourceTagMappingList": items, "PaginationToken": token or ""}

    def _filtered(self, params: Params, region: str) -> list[Params]:
        types, arns = params.get("ResourceTypeFilters", []), params.get("ResourceARNList")
        return [
            {"ResourceARN": arn, "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}
            for arn, tags in self._all(region, types)
            if (arns is None or arn in arns) and _has(tags, params.get("TagFilters", []))
        ]

    def get_tag_keys(self, params: Params, context: Context) -> Params:
        """Every key in use."""
        keys = sorted({key for _, tags in self._all(context.region, []) for key in tags})
        return {"TagKeys": keys, "PaginationToken": ""}

    def get_tag_values(self, params: Params, context: Context) -> Params:
        """Every value of a key in use."""
        key = params["Key"]
        values = sorted({tags[key] for _, tags in self._all(context.region, []) if key in tags})
        return {"TagValues": values, "PaginationToken": ""}

    def _all(self, region: str, types: list[str]) -> Tagged:
        """What has tags, in the order of ARNs, of these types or of all."""
        found = self._found(region, types)
        for arn in sorted(found):
            if not types or any(_is(arn, each) for each in types):
                yield arn, found[arn]

    def _found(self, region: str, types: list[str]) -> dict[str, dict[str, str]]:
        """Asking every service takes most of a second for a few hundred things: once, until something is written."""
        services = {each.partition(":")[0] for each in types}
        key, number = repr((region, sorted(services))), self.world.writes
        if key not in self._known or self._known[key][0] != number:
            chosen = [source for name, source in self._sources.items() if not types or name in services]
            found = {arn: tags for source in chosen for arn, tags in source(region) if tags}
            self._known[key] = number, found
        return self._known[key][1]

    def _s3(self, region: str) -> Tagged:
        for bucket in self._call("s3", "ListBuckets", region)["Buckets"]:
            name = bucket["Name"]
            if self._call("s3", "HeadBucket", region, Bucket=name).get("BucketRegion") == region:
                yield f"arn:aws:s3:::{name}", self._tags("s3", "GetBucketTagging", region, "TagSet", Bucket=name)

    def _rds(self, region: str) -> Tagged:
        kinds = (
            ("DescribeDBInstances", "DBInstances", "DBInstanceArn"),
            ("DescribeDBSubnetGroups", "DBSubnetGroups", "DBSubnetGroupArn"),
            ("DescribeDBParameterGroups", "DBParameterGroups", "DBParameterGroupArn"),
            ("DescribeDBSnapshots", "DBSnapshots", "DBSnapshotArn"),
        )
        for operation, member, key in kinds:
            for each in self._call("rds", operation, region)[member]:
                arn = each[key]
                yield arn, self._tags("rds", "ListTagsForResource", region, "TagList", ResourceName=arn)

    def _secrets(self, region: str) -> Tagged:
        for each in self._call("secretsmanager", "ListSecrets", region, MaxResults=100)["SecretList"]:
            yield each["ARN"], _dict(each.get("Tags", []))

    def _ecr(self, region: str) -> Tagged:
        for each in self._call("ecr", "DescribeRepositories", region)["repositories"]:
            arn = each["repositoryArn"]
            yield arn, self._tags("ecr", "ListTagsForResource", region, "tags", resourceArn=arn)

    def _ec2(self, region: str) -> Tagged:
        found: dict[str, dict[str, str]] = {}
        for each in self._call("ec2", "DescribeTags", region)["Tags"]:
            arn = f"arn:aws:ec2:{region}:{self.world.account}:{each['ResourceType']}/{each['ResourceId']}"
            found.setdefault(arn, {})[each["Key"]] = each["Value"]
        living = {each["VpcEndpointId"] for each in self._endpoints(region)}
        for arn, tags in found.items():
            kind, _, key = arn.rpartition(":")[2].partition("/")
            if kind != "vpc-endpoint" or key in living:
                yield arn, tags

    def _endpoints(self, region: str) -> list[Params]:
        found = self._call("ec2", "DescribeVpcEndpoints", region)["VpcEndpoints"]
        return [each for each in found if each["State"] != "deleted"]

    def _logs(self, region: str) -> Tagged:
        for each in self._call("logs", "DescribeLogGroups", region)["logGroups"]:
            arn = f"arn:aws:logs:{region}:{self.world.account}:log-group:{each['logGroupName']}"
            yield arn, self._call("logs", "ListTagsForResource", region, resourceArn=arn).get("tags", {})

    def _sns(self, region: str) -> Tagged:
        for each in self._call("sns", "ListTopics", region).get("Topics", []):
            arn = each["TopicArn"]
            yield arn, self._tags("sns", "ListTagsForResource", region, "Tags", ResourceArn=arn)

    def _alarms(self, region: str) -> Tagged:
        found = self._call("cloudwatch", "DescribeAlarms", region)
        for each in [*found.get("MetricAlarms", []), *found.get("CompositeAlarms", [])]:
            arn = each["AlarmArn"]
            yield arn, self._tags("cloudwatch", "ListTagsForResource", region, "Tags", ResourceARN=arn)

    def _cloudfront(self, region: str) -> Tagged:
        return iter(self.world.tagged("cloudfront", region).items())

    def _tags(self, service: str, operation: str, region: str, member: str, **params: Any) -> dict[str, str]:
        """One resource's tags; a resource that is gone or has none has no tags."""
        try:
            return _dict(self._call(service, operation, region, **params).get(member, []))
        except AwsError as error:
            if error.code in ("InternalFailure", "NotImplemented"):
                raise
            return {}

    def _call(self, service: str, operation: str, region: str, **params: Any) -> Params:
        return self.world.call(service, operation, region, **params)


def _dict(tags: list[Params]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def _has(tags: dict[str, str], filters: list[Params]) -> bool:
    """Whether tags pass all filters: a filter wants its key, with one of its values if it names any."""
    return all(
        each["Key"] in tags and (not each.get("Values") or tags[each["Key"]] in each["Values"]) for each in filters
    )


def _is(arn: str, wanted: str) -> bool:
    """Whether an ARN is of a type: ``rds`` or ``rds:db`` or ``ec2:security-group``."""
    service, _, kind = wanted.partition(":")
    _, _, owner, _, _, rest = arn.split(":", 5)
    if owner != ("monitoring" if service == "monitoring" else service):
        return False
    if not kind or service in ("s3", "sns"):
        return True
    return rest.startswith((f"{kind}/", f"{kind}:"))
