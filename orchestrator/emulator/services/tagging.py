"""Emulate the reads of the Resource Groups Tagging API by asking each service. Stores no tags.

As on AWS, the API is regional, reports CloudFront in us-east-1 only, omits IAM, and lists only tagged resources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState, Service
from orchestrator.emulator.services.pagination import paginate

TaggedResources = Iterator[tuple[str, dict[str, str]]]
_PAGE_SIZE = 100


class Tagging(Service):
    """GetResources, GetTagKeys, GetTagValues."""

    service = "resourcegroupstaggingapi"

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._listings: dict[str, list[Params]] = {}
        self._tags_cache: dict[str, tuple[int, dict[str, dict[str, str]]]] = {}
        self._sources: dict[str, Callable[[str], TaggedResources]] = {
            "s3": self._list_s3,
            "rds": self._list_rds,
            "secretsmanager": self._list_secrets,
            "ecr": self._list_ecr,
            "ec2": self._list_ec2,
            "apprunner": lambda region: iter(self.state.tags_by_arn("apprunner", region).items()),
            "ecs": lambda region: iter(self.state.tags_by_arn("ecs", region).items()),
            "logs": self._list_logs,
            "sns": self._list_sns,
            "cloudwatch": self._list_alarms,
            "cloudfront": self._list_cloudfront,
        }

    def get_resources(self, params: Params, context: CallContext) -> Params:
        """Return resources by tags (all filters, any value of each), types and ARNs, in pages of one listing."""
        page_token = params.get("PaginationToken")
        listing_key = repr([context.region, sorted({**params, "PaginationToken": ""}.items())])
        if not page_token or listing_key not in self._listings:
            self._listings[listing_key] = self._filter_resources(params, context.region)
        size = params.get("ResourcesPerPage", _PAGE_SIZE)
        items, token = paginate(self._listings[listing_key], size, page_token, "PaginationTokenExpiredException")
        if not token:
            del self._listings[listing_key]
        return {"ResourceTagMappingList": items, "PaginationToken": token or ""}

    def _filter_resources(self, params: Params, region: str) -> list[Params]:
        types, arns = params.get("ResourceTypeFilters", []), params.get("ResourceARNList")
        return [
            {"ResourceARN": arn, "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}
            for arn, tags in self._list_tagged(region, types)
            if (arns is None or arn in arns) and _matches_filters(tags, params.get("TagFilters", []))
        ]

    def tags_of(self, arn: str, region: str) -> dict[str, str]:
        """Return the tags of one resource of a service that is asked; {} if it has none."""
        return self._collect_tags(region, [arn.split(":")[2]]).get(arn, {})

    def get_tag_keys(self, params: Params, context: CallContext) -> Params:
        """Return every key in use."""
        keys = sorted({key for _, tags in self._list_tagged(context.region, []) for key in tags})
        return {"TagKeys": keys, "PaginationToken": ""}

    def get_tag_values(self, params: Params, context: CallContext) -> Params:
        """Return every value of a key in use."""
        key = params["Key"]
        values = sorted({tags[key] for _, tags in self._list_tagged(context.region, []) if key in tags})
        return {"TagValues": values, "PaginationToken": ""}

    def _list_tagged(self, region: str, types: list[str]) -> TaggedResources:
        """Yield ARN and tags of tagged resources of these types (of all, if empty), in order of ARN."""
        tags_by_arn = self._collect_tags(region, types)
        for arn in sorted(tags_by_arn):
            if not types or any(_matches_type(arn, resource_type) for resource_type in types):
                yield arn, tags_by_arn[arn]

    def _collect_tags(self, region: str, types: list[str]) -> dict[str, dict[str, str]]:
        """Return tags by ARN, cached until the next write: asking every service takes most of a second."""
        services = {resource_type.partition(":")[0] for resource_type in types}
        cache_key, write_count = repr((region, sorted(services))), self.state.write_count
        if cache_key not in self._tags_cache or self._tags_cache[cache_key][0] != write_count:
            selected_sources = [source for name, source in self._sources.items() if not types or name in services]
            tags_by_arn = {arn: tags for source in selected_sources for arn, tags in source(region) if tags}
            self._tags_cache[cache_key] = write_count, tags_by_arn
        return self._tags_cache[cache_key][1]

    def _list_s3(self, region: str) -> TaggedResources:
        for bucket in self._call("s3", "ListBuckets", region)["Buckets"]:
            name = bucket["Name"]
            if self._locate_bucket(name, region) == region:
                yield f"arn:aws:s3:::{name}", self._get_tags("s3", "GetBucketTagging", region, "TagSet", Bucket=name)

    def _locate_bucket(self, name: str, region: str) -> str:
        """Return the region of a bucket, or "": a backend redirects a request that reaches another region."""
        try:
            return str(self._call("s3", "HeadBucket", region, Bucket=name).get("BucketRegion"))
        except AwsError as error:
            if error.status not in (301, 404):
                raise
            return ""

    def _list_rds(self, region: str) -> TaggedResources:
        listings = (
            ("DescribeDBInstances", "DBInstances", "DBInstanceArn"),
            ("DescribeDBSubnetGroups", "DBSubnetGroups", "DBSubnetGroupArn"),
            ("DescribeDBParameterGroups", "DBParameterGroups", "DBParameterGroupArn"),
            ("DescribeDBSnapshots", "DBSnapshots", "DBSnapshotArn"),
        )
        for operation, member, key in listings:
            for item in self._call("rds", operation, region)[member]:
                arn = item[key]
                yield arn, self._get_tags("rds", "ListTagsForResource", region, "TagList", ResourceName=arn)

    def _list_secrets(self, region: str) -> TaggedResources:
        for secret in self._call("secretsmanager", "ListSecrets", region, MaxResults=100)["SecretList"]:
            yield secret["ARN"], _to_tag_dict(secret.get("Tags", []))

    def _list_ecr(self, region: str) -> TaggedResources:
        for repository in self._call("ecr", "DescribeRepositories", region)["repositories"]:
            arn = repository["repositoryArn"]
            yield arn, self._get_tags("ecr", "ListTagsForResource", region, "tags", resourceArn=arn)

    def _list_ec2(self, region: str) -> TaggedResources:
        tags_by_arn: dict[str, dict[str, str]] = {}
        for item in self._call("ec2", "DescribeTags", region)["Tags"]:
            arn = f"arn:aws:ec2:{region}:{self.state.account}:{item['ResourceType']}/{item['ResourceId']}"
            tags_by_arn.setdefault(arn, {})[item["Key"]] = item["Value"]
        active_endpoint_ids = {item["VpcEndpointId"] for item in self._list_active_endpoints(region)}
        for arn, tags in tags_by_arn.items():
            resource_type, _, resource_id = arn.rpartition(":")[2].partition("/")
            if resource_type != "vpc-endpoint" or resource_id in active_endpoint_ids:
                yield arn, tags

    def _list_active_endpoints(self, region: str) -> list[Params]:
        endpoints = self._call("ec2", "DescribeVpcEndpoints", region)["VpcEndpoints"]
        return [endpoint for endpoint in endpoints if endpoint["State"] != "deleted"]

    def _list_logs(self, region: str) -> TaggedResources:
        for log_group in self._call("logs", "DescribeLogGroups", region)["logGroups"]:
            arn = f"arn:aws:logs:{region}:{self.state.account}:log-group:{log_group['logGroupName']}"
            yield arn, self._call("logs", "ListTagsForResource", region, resourceArn=arn).get("tags", {})

    def _list_sns(self, region: str) -> TaggedResources:
        for topic in self._call("sns", "ListTopics", region).get("Topics", []):
            arn = topic["TopicArn"]
            yield arn, self._get_tags("sns", "ListTagsForResource", region, "Tags", ResourceArn=arn)

    def _list_alarms(self, region: str) -> TaggedResources:
        response = self._call("cloudwatch", "DescribeAlarms", region)
        for alarm in [*response.get("MetricAlarms", []), *response.get("CompositeAlarms", [])]:
            arn = alarm["AlarmArn"]
            yield arn, self._get_tags("cloudwatch", "ListTagsForResource", region, "Tags", ResourceARN=arn)

    def _list_cloudfront(self, region: str) -> TaggedResources:
        return iter(self.state.tags_by_arn("cloudfront", region).items())

    def _get_tags(self, service: str, operation: str, region: str, member: str, **params: Any) -> dict[str, str]:
        """Return one resource's tags; {} if it is deleted or has none."""
        try:
            return _to_tag_dict(self._call(service, operation, region, **params).get(member, []))
        except AwsError as error:
            if error.code in ("InternalFailure", "NotImplemented"):
                raise
            return {}

    def _call(self, service: str, operation: str, region: str, **params: Any) -> Params:
        return self.state.call(service, operation, region, **params)


def _to_tag_dict(tags: list[Params]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def _matches_filters(tags: dict[str, str], filters: list[Params]) -> bool:
    """Return whether tags match all filters: each needs its key, with one of its values if it has any."""
    return all(
        tag_filter["Key"] in tags and (not tag_filter.get("Values") or tags[tag_filter["Key"]] in tag_filter["Values"])
        for tag_filter in filters
    )


def _matches_type(arn: str, resource_type: str) -> bool:
    """Return whether an ARN is of a type: ``rds``, ``rds:db`` or ``ec2:security-group``."""
    service, _, subtype = resource_type.partition(":")
    _, _, arn_service, _, _, resource_path = arn.split(":", 5)
    if arn_service != ("monitoring" if service == "monitoring" else service):
        return False
    if not subtype or service in ("s3", "sns"):
        return True
    return resource_path.startswith((f"{subtype}/", f"{subtype}:"))
