"""Emulate CloudFront's distributions and invalidations: caller references, ETags, deployment, ordered deletion."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState
from orchestrator.emulator.services.cloudfront.access_controls import AccessControls
from orchestrator.emulator.services.cloudfront.distribution_config import fill_defaults, list_behaviours, list_origins
from orchestrator.emulator.services.cloudfront.entity import Entity, current_time, generate_id, paginate_by_marker
from orchestrator.emulator.services.cloudfront.functions import Functions
from orchestrator.emulator.services.cloudfront.invalidations import Invalidation, add_invalidation
from orchestrator.emulator.services.cloudfront.policies import Policies

_POLICY_KINDS = ("CachePolicy", "OriginRequestPolicy", "ResponseHeadersPolicy")
_HOST_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_SUMMARY_EXCLUDED_FIELDS = ("CallerReference", "DefaultRootObject", "Logging", "ContinuousDeploymentPolicyId")


@dataclass
class Distribution(Entity):
    """One distribution; it is Deployed from ``deployed_at`` on, a time of the monotonic clock."""

    arn: str = ""
    domain: str = ""
    deployed_at: float = 0.0
    tags: dict[str, str] = field(default_factory=dict)
    invalidations: list[Invalidation] = field(default_factory=list)

    @property
    def status(self) -> str:
        """Return InProgress or Deployed."""
        return "Deployed" if time.monotonic() >= self.deployed_at else "InProgress"

    def shape(self) -> Params:
        """Return the Distribution shape."""
        return {
            "Id": self.id,
            "ARN": self.arn,
            "Status": self.status,
            "LastModifiedTime": self.modified_at,
            "InProgressInvalidationBatches": sum(
                invalidation.status != "Completed" for invalidation in self.invalidations
            ),
            "DomainName": self.domain,
            "ActiveTrustedSigners": {"Enabled": False, "Quantity": 0},
            "ActiveTrustedKeyGroups": {"Enabled": False, "Quantity": 0},
            "DistributionConfig": self.config,
        }

    def summary_shape(self) -> Params:
        """Return the DistributionSummary shape."""
        config = {name: value for name, value in self.config.items() if name not in _SUMMARY_EXCLUDED_FIELDS}
        own_fields = {name: value for name, value in self.shape().items() if name != "DistributionConfig"}
        return {**config, **own_fields, "ETag": self.etag}


class Distributions(AccessControls, Functions, Policies):
    """Distributions and what they use."""

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._distributions: dict[str, Distribution] = {}

    def create_distribution(self, params: Params, context: CallContext) -> Params:
        """Create a distribution; refuse a caller reference in use, whatever the configuration."""
        return self._create_distribution(params["DistributionConfig"], {})

    def create_distribution_with_tags(self, params: Params, context: CallContext) -> Params:
        """Create a distribution with tags; refuse a caller reference in use."""
        config_with_tags = params["DistributionConfigWithTags"]
        return self._create_distribution(config_with_tags["DistributionConfig"], parse_tags(config_with_tags["Tags"]))

    def get_distribution(self, params: Params, context: CallContext) -> Params:
        """Return a distribution with its ETag and status."""
        return _distribution_response(self._get_distribution(params["Id"]))

    def get_distribution_config(self, params: Params, context: CallContext) -> Params:
        """Return only the configuration, with its ETag."""
        distribution = self._get_distribution(params["Id"])
        return {"DistributionConfig": distribution.config, "ETag": distribution.etag}

    def update_distribution(self, params: Params, context: CallContext) -> Params:
        """Replace the configuration, also while InProgress; refuse unless IfMatch is the current ETag."""
        distribution = self._get_distribution(params["Id"])
        distribution.check_etag(params.get("IfMatch"))
        config = self._build_distribution_config(params["DistributionConfig"], distribution.id)
        if config["CallerReference"] != distribution.config["CallerReference"]:
            raise AwsError("IllegalUpdate", "The caller reference of a distribution cannot be changed.", 400)
        distribution.replace_config(config)
        self._start_deployment(distribution)
        return _distribution_response(distribution)

    def delete_distribution(self, params: Params, context: CallContext) -> Params:
        """Delete a distribution; refuse unless it is disabled and deployed."""
        distribution = self._get_distribution(params["Id"])
        distribution.check_etag(params.get("IfMatch"))
        if distribution.config["Enabled"] or distribution.status != "Deployed":
            message = "The distribution you are trying to delete has not been disabled."
            raise AwsError("DistributionNotDisabled", message, 409)
        del self._distributions[distribution.id]
        return {}

    def list_distributions(self, params: Params, context: CallContext) -> Params:
        """List the distributions."""
        return {
            "DistributionList": paginate_by_marker(
                [distribution.summary_shape() for distribution in self._distributions.values()], params
            )
        }

    def create_invalidation(self, params: Params, context: CallContext) -> Params:
        """Create an invalidation; return the existing one for the same caller reference and paths."""
        distribution = self._get_distribution(params["DistributionId"])
        invalidation = add_invalidation(
            distribution.invalidations, params["InvalidationBatch"], self.state.settle_seconds("cloudfront")
        )
        location = (
            f"https://cloudfront.amazonaws.com/2020-05-31/distribution/{distribution.id}/invalidation/{invalidation.id}"
        )
        return {"Location": location, "Invalidation": invalidation.shape()}

    def get_invalidation(self, params: Params, context: CallContext) -> Params:
        """Return an invalidation as InProgress, and as Completed once the settle time is over."""
        invalidations = self._get_distribution(params["DistributionId"]).invalidations
        matching = next((invalidation for invalidation in invalidations if invalidation.id == params["Id"]), None)
        if matching is None:
            raise AwsError("NoSuchInvalidation", "The specified invalidation does not exist.", 404)
        return {"Invalidation": matching.shape()}

    def list_invalidations(self, params: Params, context: CallContext) -> Params:
        """List the invalidations, newest first."""
        invalidations = self._get_distribution(params["DistributionId"]).invalidations
        members = ("Id", "CreateTime", "Status")
        items = [{name: invalidation.shape()[name] for name in members} for invalidation in reversed(invalidations)]
        return {"InvalidationList": paginate_by_marker(items, params)}

    def _get_distribution(self, distribution_id: str) -> Distribution:
        distribution = self._distributions.get(distribution_id)
        if distribution is None:
            raise AwsError("NoSuchDistribution", "The specified distribution does not exist.", 404)
        return distribution

    def _create_distribution(self, distribution_config: Params, tags: dict[str, str]) -> Params:
        reference = distribution_config["CallerReference"]
        for existing in self._distributions.values():
            if existing.config["CallerReference"] == reference:
                raise caller_reference_in_use(existing.id)
        distribution = Distribution(generate_id(), self._build_distribution_config(distribution_config))
        distribution.arn = f"arn:aws:cloudfront::{self.state.account}:distribution/{distribution.id}"
        distribution.domain = f"d{''.join(secrets.choice(_HOST_CHARACTERS) for _ in range(13))}.cloudfront.net"
        distribution.tags = tags
        self._distributions[distribution.id] = distribution
        self._start_deployment(distribution)
        location = f"https://cloudfront.amazonaws.com/2020-05-31/distribution/{distribution.id}"
        return {**_distribution_response(distribution), "Location": location}

    def _start_deployment(self, distribution: Distribution) -> None:
        distribution.modified_at = current_time()
        distribution.deployed_at = time.monotonic() + self.state.settle_seconds("cloudfront")

    def _build_distribution_config(self, distribution_config: Params, own_id: str = "") -> Params:
        """Return the configuration with defaults. Raises AwsError if something it names is missing."""
        config = fill_defaults(distribution_config)
        for origin in list_origins(config):
            control_id = origin["OriginAccessControlId"]
            if control_id and control_id not in self._controls:
                message = "The origin access control is not valid."
                raise AwsError("InvalidOriginAccessControl", message, 400)
        for behaviour in list_behaviours(config):
            for kind in _POLICY_KINDS:
                if behaviour.get(f"{kind}Id"):
                    self._get_any_policy(kind, behaviour[f"{kind}Id"])
            for association in behaviour["FunctionAssociations"].get("Items", []):
                if not self._has_live_function(association["FunctionARN"]):
                    message = f"The function {association['FunctionARN']} does not exist or is not published."
                    raise AwsError("InvalidFunctionAssociation", message, 400)
        self._check_aliases(config, own_id)
        return config

    def _check_aliases(self, config: Params, own_id: str) -> None:
        aliases = set(config["Aliases"].get("Items", []))
        other_distributions = (
            other for distribution_id, other in self._distributions.items() if distribution_id != own_id
        )
        conflicts = sorted(
            aliases & {alias for other in other_distributions for alias in other.config["Aliases"].get("Items", [])}
        )
        if conflicts:
            raise AwsError(
                "CNAMEAlreadyExists", f"The CNAME {conflicts[0]} is already associated with a resource.", 409
            )

    def _is_control_used(self, control_id: str) -> bool:
        configs = (distribution.config for distribution in self._distributions.values())
        return any(
            origin["OriginAccessControlId"] == control_id for config in configs for origin in list_origins(config)
        )

    def _is_function_used(self, arn: str) -> bool:
        associations = (item["FunctionAssociations"].get("Items", []) for item in self._list_all_behaviours())
        return any(item["FunctionARN"] == arn for items in associations for item in items)

    def _is_policy_used(self, kind: str, policy_id: str) -> bool:
        return any(behaviour.get(f"{kind}Id") == policy_id for behaviour in self._list_all_behaviours())

    def _list_all_behaviours(self) -> list[Params]:
        return [
            behaviour
            for distribution in self._distributions.values()
            for behaviour in list_behaviours(distribution.config)
        ]


def _distribution_response(distribution: Distribution) -> Params:
    return {"Distribution": distribution.shape(), "ETag": distribution.etag}


def caller_reference_in_use(distribution_id: str) -> AwsError:
    """Return AWS's error for a caller reference in use; its message is the only place that names the distribution."""
    message = (
        "The caller reference that you are using to create a distribution is associated with another distribution."
        f" Already exists: {distribution_id}"
    )
    return AwsError("DistributionAlreadyExists", message, 409)


def parse_tags(tags: Params) -> dict[str, str]:
    """Return CloudFront's Tags shape as a dict."""
    return {tag["Key"]: tag.get("Value", "") for tag in tags.get("Items", [])}
