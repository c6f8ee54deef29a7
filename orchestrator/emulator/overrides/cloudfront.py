"""Override MiniStack's CloudFront: fill in defaults, check references, model deployment time.

MiniStack keeps the configuration, so every call is forwarded; this override refuses what AWS refuses.
"""

from __future__ import annotations

import time

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState, Service
from orchestrator.emulator.services.cloudfront.distribution_config import fill_defaults, list_behaviours, list_origins
from orchestrator.emulator.services.cloudfront.distributions import caller_reference_in_use
from orchestrator.emulator.services.cloudfront.entity import remove_empty_items


class CloudFront(Service):
    """Overrides distributions, origin access controls, functions and invalidations of MiniStack."""

    service = "cloudfront"

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._deployed_at: dict[str, float] = {}
        self._completed_at: dict[str, float] = {}

    def create_distribution(self, params: Params, context: CallContext) -> Params:
        """Create a distribution; refuse a caller reference that is already in use."""
        config = self._prepare_new_config(params["DistributionConfig"])
        return self._start_deployment(context.forward({"DistributionConfig": config}))

    def create_distribution_with_tags(self, params: Params, context: CallContext) -> Params:
        """Create a distribution with tags; refuse a caller reference that is already in use."""
        config_with_tags = params["DistributionConfigWithTags"]
        config = self._prepare_new_config(config_with_tags["DistributionConfig"])
        forwarded = {"DistributionConfigWithTags": {"DistributionConfig": config, "Tags": config_with_tags["Tags"]}}
        return self._start_deployment(context.forward(forwarded))

    def get_distribution(self, params: Params, context: CallContext) -> Params:
        """Return a distribution with its current status."""
        return self._complete_response(context.forward(params))

    def get_distribution_config(self, params: Params, context: CallContext) -> Params:
        """Return a configuration with AWS's defaults filled in."""
        return self._complete_response(context.forward(params))

    def update_distribution(self, params: Params, context: CallContext) -> Params:
        """Replace the configuration, checked as at creation; refuse another caller reference."""
        config = fill_defaults(params["DistributionConfig"])
        current = self.state.call("cloudfront", "GetDistributionConfig", "us-east-1", Id=params["Id"])
        self._check_etag(params, str(current["ETag"]))
        if config["CallerReference"] != current["DistributionConfig"]["CallerReference"]:
            raise AwsError("IllegalUpdate", "The caller reference of a distribution cannot be changed.", 400)
        self._check_references(config)
        return self._start_deployment(context.forward({**params, "DistributionConfig": config}))

    def delete_distribution(self, params: Params, context: CallContext) -> Params:
        """Delete a distribution; refuse while it is deploying."""
        if time.monotonic() < self._deployed_at.get(params["Id"], 0.0):
            message = "The distribution you are trying to delete has not been disabled."
            raise AwsError("DistributionNotDisabled", message, 409)
        return context.forward(params)

    def list_distributions(self, params: Params, context: CallContext) -> Params:
        """List the distributions with their current status."""
        response = context.forward(params)
        distribution_list = response["DistributionList"]
        for summary in distribution_list.get("Items", []):
            summary["Status"] = self._deployment_status(summary["Id"])
        return {"DistributionList": remove_empty_items(distribution_list)}

    def create_invalidation(self, params: Params, context: CallContext) -> Params:
        """Create an invalidation, InProgress until the settle time is over."""
        response = context.forward(params)
        invalidation = response["Invalidation"]
        self._completed_at.setdefault(invalidation["Id"], time.monotonic() + self.state.settle_seconds("cloudfront"))
        return {**response, "Invalidation": self._invalidation_shape(invalidation)}

    def get_invalidation(self, params: Params, context: CallContext) -> Params:
        """Return an invalidation as InProgress, and as Completed once the settle time is over."""
        return {"Invalidation": self._invalidation_shape(context.forward(params)["Invalidation"])}

    def update_function(self, params: Params, context: CallContext) -> Params:
        """Update a function; return its new ETag in the header that the model calls ETtag."""
        response = context.forward(params)
        description = self.state.call(
            "cloudfront", "DescribeFunction", "us-east-1", Name=params["Name"], Stage="DEVELOPMENT"
        )
        return {**response, "ETag": description["ETag"]}

    def delete_function(self, params: Params, context: CallContext) -> Params:
        """Delete a function; refuse while a cache behaviour uses it."""
        arn = f"arn:aws:cloudfront::{self.state.account}:function/{params['Name']}"
        associations = (
            behaviour.get("FunctionAssociations", {}).get("Items", []) for behaviour in self._list_all_behaviours()
        )
        if any(item["FunctionARN"] == arn for items in associations for item in items):
            message = "Cannot delete the function because it's attached to a cache behavior."
            raise AwsError("FunctionInUse", message, 409)
        return context.forward(params)

    def delete_origin_access_control(self, params: Params, context: CallContext) -> Params:
        """Delete an origin access control; refuse while an origin uses it."""
        used_control_ids = {
            origin.get("OriginAccessControlId") for config in self._list_configs() for origin in list_origins(config)
        }
        if params["Id"] in used_control_ids:
            message = "Cannot delete the origin access control because it's in use by one or more distributions."
            raise AwsError("OriginAccessControlInUse", message, 409)
        return context.forward(params)

    def delete_response_headers_policy(self, params: Params, context: CallContext) -> Params:
        """Delete the policy; refuse while a cache behaviour uses it."""
        return self._delete_unused_policy("ResponseHeadersPolicy", params, context)

    def delete_cache_policy(self, params: Params, context: CallContext) -> Params:
        """Delete the policy; refuse while a cache behaviour uses it."""
        return self._delete_unused_policy("CachePolicy", params, context)

    def delete_origin_request_policy(self, params: Params, context: CallContext) -> Params:
        """Delete the policy; refuse while a cache behaviour uses it."""
        return self._delete_unused_policy("OriginRequestPolicy", params, context)

    def tags_by_arn(self, region: str) -> dict[str, dict[str, str]]:
        """Return the tags of all distributions, by ARN; CloudFront is global and reports them in us-east-1."""
        if region != "us-east-1":
            return {}
        tags_by_arn: dict[str, dict[str, str]] = {}
        for summary in self._list_summaries():
            tags = self.state.call("cloudfront", "ListTagsForResource", region, Resource=summary["ARN"])["Tags"]
            tags_by_arn[summary["ARN"]] = {tag["Key"]: tag.get("Value", "") for tag in tags.get("Items", [])}
        return tags_by_arn

    def _prepare_new_config(self, distribution_config: Params) -> Params:
        config = fill_defaults(distribution_config)
        for summary in self._list_summaries():
            shape = self.state.call("cloudfront", "GetDistributionConfig", "us-east-1", Id=summary["Id"])
            if shape["DistributionConfig"]["CallerReference"] == config["CallerReference"]:
                raise caller_reference_in_use(summary["Id"])
        self._check_references(config)
        return config

    def _check_references(self, config: Params) -> None:
        """Raise AwsError if an origin access control or a published function does not exist."""
        for origin in list_origins(config):
            control = origin["OriginAccessControlId"]
            if control and not self._exists("GetOriginAccessControl", Id=control):
                raise AwsError("InvalidOriginAccessControl", "The origin access control is not valid.", 400)
        for behaviour in list_behaviours(config):
            for association in behaviour["FunctionAssociations"].get("Items", []):
                name = association["FunctionARN"].rpartition("/")[2]
                if not self._exists("DescribeFunction", Name=name, Stage="LIVE"):
                    message = f"The function {association['FunctionARN']} does not exist or is not published."
                    raise AwsError("InvalidFunctionAssociation", message, 400)

    def _check_etag(self, params: Params, etag: str) -> None:
        if not params.get("IfMatch"):
            message = "The If-Match version is missing or not valid for the resource."
            raise AwsError("InvalidIfMatchVersion", message, 400)
        if params["IfMatch"] != etag:
            raise AwsError("PreconditionFailed", "The request failed because it didn't meet the preconditions.", 412)

    def _exists(self, operation: str, **params: str) -> bool:
        try:
            self.state.call("cloudfront", operation, "us-east-1", **params)
        except AwsError:
            return False
        return True

    def _delete_unused_policy(self, kind: str, params: Params, context: CallContext) -> Params:
        if any(behaviour.get(f"{kind}Id") == params["Id"] for behaviour in self._list_all_behaviours()):
            raise AwsError(f"{kind}InUse", f"The {kind} is attached to a distribution.", 409)
        return context.forward(params)

    def _start_deployment(self, response: Params) -> Params:
        self._deployed_at[response["Distribution"]["Id"]] = time.monotonic() + self.state.settle_seconds("cloudfront")
        return self._complete_response(response)

    def _complete_response(self, response: Params) -> Params:
        shape = response.get("Distribution")
        if shape is not None:
            shape["Status"] = self._deployment_status(shape["Id"])
            shape["DistributionConfig"] = fill_defaults(shape["DistributionConfig"])
        if "DistributionConfig" in response:
            response["DistributionConfig"] = fill_defaults(response["DistributionConfig"])
        return response

    def _deployment_status(self, distribution_id: str) -> str:
        return "InProgress" if time.monotonic() < self._deployed_at.get(distribution_id, 0.0) else "Deployed"

    def _invalidation_shape(self, shape: Params) -> Params:
        is_completed = time.monotonic() >= self._completed_at.get(shape["Id"], 0.0)
        return {**shape, "Status": "Completed" if is_completed else "InProgress"}

    def _list_summaries(self) -> list[Params]:
        distribution_list = self.state.call("cloudfront", "ListDistributions", "us-east-1")["DistributionList"]
        return list(distribution_list.get("Items", []))

    def _list_configs(self) -> list[Params]:
        return self._list_summaries()

    def _list_all_behaviours(self) -> list[Params]:
        return [behaviour for config in self._list_configs() for behaviour in list_behaviours(config)]
