"""MiniStack's CloudFront made whole: defaults filled in, caller references, deployment in time, things in use.

MiniStack keeps the configuration, so everything is passed on; this refuses what AWS refuses.
"""

from __future__ import annotations

import time

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service, World
from orchestrator.emulator.services.cloudfront.distribution_config import behaviours, completed, origins
from orchestrator.emulator.services.cloudfront.entity import without_empty_items


class CloudFront(Service):
    """Corrections to distributions, origin access controls, functions and invalidations of MiniStack."""

    service = "cloudfront"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._deployed: dict[str, float] = {}
        self._completed: dict[str, float] = {}

    def create_distribution(self, params: Params, context: Context) -> Params:
        """A caller reference used before is refused."""
        config = self._new(params["DistributionConfig"])
        return self._deploying(context.forward({"DistributionConfig": config}))

    def create_distribution_with_tags(self, params: Params, context: Context) -> Params:
        """Likewise."""
        given = params["DistributionConfigWithTags"]
        config = self._new(given["DistributionConfig"])
        told = {"DistributionConfigWithTags": {"DistributionConfig": config, "Tags": given["Tags"]}}
        return self._deploying(context.forward(told))

    def get_distribution(self, params: Params, context: Context) -> Params:
        """With its status in time."""
        return self._shown(context.forward(params))

    def get_distribution_config(self, params: Params, context: Context) -> Params:
        """With the defaults."""
        return self._shown(context.forward(params))

    def update_distribution(self, params: Params, context: Context) -> Params:
        """The caller reference stays; the rest is checked as at creation."""
        config = completed(params["DistributionConfig"])
        current = self.world.call("cloudfront", "GetDistributionConfig", "us-east-1", Id=params["Id"])
        self._check_match(params, str(current["ETag"]))
        if config["CallerReference"] != current["DistributionConfig"]["CallerReference"]:
            raise AwsError("IllegalUpdate", "The caller reference of a distribution cannot be changed.", 400)
        self._check_references(config)
        return self._deploying(context.forward({**params, "DistributionConfig": config}))

    def delete_distribution(self, params: Params, context: Context) -> Params:
        """Only when disabled and deployed so."""
        if time.monotonic() < self._deployed.get(params["Id"], 0.0):
            message = "The distribution you are trying to delete has not been disabled."
            raise AwsError("DistributionNotDisabled", message, 409)
        return context.forward(params)

    def list_distributions(self, params: Params, context: Context) -> Params:
        """With their statuses in time."""
        answer = context.forward(params)
        listed = answer["DistributionList"]
        for each in listed.get("Items", []):
            each["Status"] = self._status(each["Id"])
        return {"DistributionList": without_empty_items(listed)}

    def create_invalidation(self, params: Params, context: Context) -> Params:
        """InProgress at first."""
        answer = context.forward(params)
        made = answer["Invalidation"]
        self._completed.setdefault(made["Id"], time.monotonic() + self.world.settle("cloudfront"))
        return {**answer, "Invalidation": self._invalidation(made)}

    def get_invalidation(self, params: Params, context: Context) -> Params:
        """InProgress, then Completed."""
        return {"Invalidation": self._invalidation(context.forward(params)["Invalidation"])}

    def update_function(self, params: Params, context: Context) -> Params:
        """Its answer carries the new ETag, in the header the model names ETtag."""
        answer = context.forward(params)
        found = self.world.call("cloudfront", "DescribeFunction", "us-east-1", Name=params["Name"], Stage="DEVELOPMENT")
        return {**answer, "ETag": found["ETag"]}

    def delete_function(self, params: Params, context: Context) -> Params:
        """Refused while a behaviour uses it."""
        arn = f"arn:aws:cloudfront::{self.world.account}:function/{params['Name']}"
        used = (each.get("FunctionAssociations", {}).get("Items", []) for each in self._behaviours())
        if any(item["FunctionARN"] == arn for items in used for item in items):
            message = "Cannot delete the function because it's attached to a cache behavior."
            raise AwsError("FunctionInUse", message, 409)
        return context.forward(params)

    def delete_origin_access_control(self, params: Params, context: Context) -> Params:
        """Refused while an origin uses it."""
        used = {origin.get("OriginAccessControlId") for config in self._configs() for origin in origins(config)}
        if params["Id"] in used:
            message = "Cannot delete the origin access control because it's in use by one or more distributions."
            raise AwsError("OriginAccessControlInUse", message, 409)
        return context.forward(params)

    def delete_response_headers_policy(self, params: Params, context: Context) -> Params:
        """Refused while a behaviour uses it."""
        return self._unless_used("ResponseHeadersPolicy", params, context)

    def delete_cache_policy(self, params: Params, context: Context) -> Params:
        """Refused while a behaviour uses it."""
        return self._unless_used("CachePolicy", params, context)

    def delete_origin_request_policy(self, params: Params, context: Context) -> Params:
        """Refused while a behaviour uses it."""
        return self._unless_used("OriginRequestPolicy", params, context)

    def tagged(self, region: str) -> dict[str, dict[str, str]]:
        """The tags of all distributions, by ARN; CloudFront is in no region but reports in us-east-1."""
        if region != "us-east-1":
            return {}
        found: dict[str, dict[str, str]] = {}
        for each in self._summaries():
            tags = self.world.call("cloudfront", "ListTagsForResource", region, Resource=each["ARN"])["Tags"]
            found[each["ARN"]] = {tag["Key"]: tag.get("Value", "") for tag in tags.get("Items", [])}
        return found

    def _new(self, given: Params) -> Params:
        config = completed(given)
        for each in self._summaries():
            shape = self.world.call("cloudfront", "GetDistributionConfig", "us-east-1", Id=each["Id"])
            if shape["DistributionConfig"]["CallerReference"] == config["CallerReference"]:
                reference = config["CallerReference"]
                message = f"The caller reference {reference} is associated with another distribution: {each['Id']}."
                raise AwsError("DistributionAlreadyExists", message, 409)
        self._check_references(config)
        return config

    def _check_references(self, config: Params) -> None:
        """Origin access controls and published functions a configuration names must be there."""
        for origin in origins(config):
            control = origin["OriginAccessControlId"]
            if control and not self._is_there("GetOriginAccessControl", Id=control):
                raise AwsError("InvalidOriginAccessControl", "The origin access control is not valid.", 400)
        for behaviour in behaviours(config):
            for each in behaviour["FunctionAssociations"].get("Items", []):
                name = each["FunctionARN"].rpartition("/")[2]
                if not self._is_there("DescribeFunction", Name=name, Stage="LIVE"):
                    message = f"The function {each['FunctionARN']} does not exist or is not published."
                    raise AwsError("InvalidFunctionAssociation", message, 400)

    def _check_match(self, params: Params, etag: str) -> None:
        if not params.get("IfMatch"):
            message = "The If-Match version is missing or not valid for the resource."
            raise AwsError("InvalidIfMatchVersion", message, 400)
        if params["IfMatch"] != etag:
            raise AwsError("PreconditionFailed", "The request failed because it didn't meet the preconditions.", 412)

    def _is_there(self, operation: str, **params: str) -> bool:
        try:
            self.world.call("cloudfront", operation, "us-east-1", **params)
        except AwsError:
            return False
        return True

    def _unless_used(self, kind: str, params: Params, context: Context) -> Params:
        if any(each.get(f"{kind}Id") == params["Id"] for each in self._behaviours()):
            raise AwsError(f"{kind}InUse", f"The {kind} is attached to a distribution.", 409)
        return context.forward(params)

    def _deploying(self, answer: Params) -> Params:
        self._deployed[answer["Distribution"]["Id"]] = time.monotonic() + self.world.settle("cloudfront")
        return self._shown(answer)

    def _shown(self, answer: Params) -> Params:
        shape = answer.get("Distribution")
        if shape is not None:
            shape["Status"] = self._status(shape["Id"])
            shape["DistributionConfig"] = completed(shape["DistributionConfig"])
        if "DistributionConfig" in answer:
            answer["DistributionConfig"] = completed(answer["DistributionConfig"])
        return answer

    def _status(self, key: str) -> str:
        return "InProgress" if time.monotonic() < self._deployed.get(key, 0.0) else "Deployed"

    def _invalidation(self, shape: Params) -> Params:
        over = time.monotonic() >= self._completed.get(shape["Id"], 0.0)
        return {**shape, "Status": "Completed" if over else "InProgress"}

    def _summaries(self) -> list[Params]:
        found = self.world.call("cloudfront", "ListDistributions", "us-east-1")["DistributionList"]
        return list(found.get("Items", []))

    def _configs(self) -> list[Params]:
        return self._summaries()

    def _behaviours(self) -> list[Params]:
        return [each for config in self._configs() for each in behaviours(config)]
