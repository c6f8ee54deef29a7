"""Emulate CloudFront completely, for the backend that drops what a plan must read back. Control plane only."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext
from orchestrator.emulator.services.cloudfront.distributions import Distributions, parse_tags


class CloudFront(Distributions):
    """Distributions, what they use, and tags, which only distributions have."""

    def list_tags_for_resource(self, params: Params, context: CallContext) -> Params:
        """Return the tags of a distribution, by ARN."""
        tags = self._get_tags(params["Resource"])
        return {"Tags": {"Items": [{"Key": key, "Value": value} for key, value in tags.items()]}}

    def tag_resource(self, params: Params, context: CallContext) -> Params:
        """Add or change tags."""
        self._get_tags(params["Resource"]).update(parse_tags(params["Tags"]))
        return {}

    def untag_resource(self, params: Params, context: CallContext) -> Params:
        """Remove tags."""
        tags = self._get_tags(params["Resource"])
        for key in params["TagKeys"].get("Items", []):
            tags.pop(key, None)
        return {}

    def tags_by_arn(self, region: str) -> dict[str, dict[str, str]]:
        """Return the tags of all distributions, by ARN; CloudFront is global and reports them in us-east-1."""
        return (
            {distribution.arn: distribution.tags for distribution in self._distributions.values()}
            if region == "us-east-1"
            else {}
        )

    def _get_tags(self, arn: str) -> dict[str, str]:
        matching = next(
            (distribution for distribution in self._distributions.values() if distribution.arn == arn), None
        )
        if matching is None:
            raise AwsError("NoSuchResource", f"The resource {arn} was not found.", 404)
        return matching.tags
