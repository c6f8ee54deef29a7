"""CloudFront whole, for the backend whose own drops what a reconciler must read back.  Control plane only."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context
from orchestrator.emulator.services.cloudfront.distributions import Distributions, tags_of


class CloudFront(Distributions):
    """Distributions and what they use, and tags, which only distributions have."""

    def list_tags_for_resource(self, params: Params, context: Context) -> Params:
        """Of a distribution, by ARN."""
        tags = self._tags(params["Resource"])
        return {"Tags": {"Items": [{"Key": key, "Value": value} for key, value in tags.items()]}}

    def tag_resource(self, params: Params, context: Context) -> Params:
        """Add or change tags."""
        self._tags(params["Resource"]).update(tags_of(params["Tags"]))
        return {}

    def untag_resource(self, params: Params, context: Context) -> Params:
        """Take tags away."""
        tags = self._tags(params["Resource"])
        for key in params["TagKeys"].get("Items", []):
            tags.pop(key, None)
        return {}

    def tagged(self, region: str) -> dict[str, dict[str, str]]:
        """The tags of all distributions, by ARN; CloudFront is in no region but reports in us-east-1."""
        return {each.arn: each.tags for each in self._distributions.values()} if region == "us-east-1" else {}

    def _tags(self, arn: str) -> dict[str, str]:
        found = next((each for each in self._distributions.values() if each.arn == arn), None)
        if found is None:
            raise AwsError("NoSuchResource", f"The resource {arn} was not found.", 404)
        return found.tags
