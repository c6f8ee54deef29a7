"""CloudFront's distributions and invalidations: caller references, ETags, InProgress to Deployed, deletion in order."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, World
from orchestrator.emulator.services.cloudfront.access_controls import AccessControls
from orchestrator.emulator.services.cloudfront.distribution_config import behaviours, completed, origins
from orchestrator.emulator.services.cloudfront.entity import Entity, entity_id, listing, now
from orchestrator.emulator.services.cloudfront.functions import Functions
from orchestrator.emulator.services.cloudfront.invalidations import Invalidation, batch
from orchestrator.emulator.services.cloudfront.policies import Policies

_POLICIES = ("CachePolicy", "OriginRequestPolicy", "ResponseHeadersPolicy")
_HOST_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_NOT_IN_SUMMARY = ("CallerReference", "DefaultRootObject", "Logging", "ContinuousDeploymentPolicyId")


@dataclass
class Distribution(Entity):
    """One distribution; it is Deployed from ``deployed`` on, a time of the monotonic clock."""

    arn: str = ""
    domain: str = ""
    deployed: float = 0.0
    tags: dict[str, str] = field(default_factory=dict)
    invalidations: list[Invalidation] = field(default_factory=list)

    @property
    def status(self) -> str:
        """InProgress or Deployed."""
        return "Deployed" if time.monotonic() >= self.deployed else "InProgress"

    def shape(self) -> Params:
        """The Distribution shape."""
        return {
            "Id": self.id,
            "ARN": self.arn,
            "Status": self.status,
            "LastModifiedTime": self.modified,
            "InProgressInvalidationBatches": sum(each.status != "Completed" for each in self.invalidations),
            "DomainName": self.domain,
            "ActiveTrustedSigners": {"Enabled": False, "Quantity": 0},
            "ActiveTrustedKeyGroups": {"Enabled": False, "Quantity": 0},
            "DistributionConfig": self.config,
        }

    def summary(self) -> Params:
        """The DistributionSummary shape."""
        config = {name: value for name, value in self.config.items() if name not in _NOT_IN_SUMMARY}
        mine = {name: value for name, value in self.shape().items() if name != "DistributionConfig"}
        return {**config, **mine, "ETag": self.etag}


class Distributions(AccessControls, Functions, Policies):
    """Distributions, and what they use."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._distributions: dict[str, Distribution] = {}

    def create_distribution(self, params: Params, context: Context) -> Params:
        """A caller reference used before is refused, whatever else the configuration says."""
        return self._made(params["DistributionConfig"], {})

    def create_distribution_with_tags(self, params: Params, context: Context) -> Params:
        """The same, with tags."""
        given = params["DistributionConfigWithTags"]
        return self._made(given["DistributionConfig"], tags_of(given["Tags"]))

    def get_distribution(self, params: Params, context: Context) -> Params:
        """With its ETag and status."""
        return _answer(self._distribution(params["Id"]))

    def get_distribution_config(self, params: Params, context: Context) -> Params:
        """Just the configuration, with its ETag."""
        found = self._distribution(params["Id"])
        return {"DistributionConfig": found.config, "ETag": found.etag}

    def update_distribution(self, params: Params, context: Context) -> Params:
        """Replace the configuration of the version IfMatch names; possible while InProgress."""
        found = self._distribution(params["Id"])
        found.match(params.get("IfMatch"))
        config = self._checked_config(params["DistributionConfig"], found.id)
        if config["CallerReference"] != found.config["CallerReference"]:
            raise AwsError("IllegalUpdate", "The caller reference of a distribution cannot be changed.", 400)
        found.replace(config)
        self._deploy(found)
        return _answer(found)

    def delete_distribution(self, params: Params, context: Context) -> Params:
        """Only when disabled and deployed so."""
        found = self._distribution(params["Id"])
        found.match(params.get("IfMatch"))
        if found.config["Enabled"] or found.status != "Deployed":
            message = "The distribution you are trying to delete has not been disabled."
            raise AwsError("DistributionNotDisabled", message, 409)
        del self._distributions[found.id]
        return {}

    def list_distributions(self, params: Params, context: Context) -> Params:
        """All of them."""
        return {"DistributionList": listing([each.summary() for each in self._distributions.values()], params)}

    def create_invalidation(self, params: Params, context: Context) -> Params:
        """The same caller reference with the same paths answers the same invalidation."""
        found = self._distribution(params["DistributionId"])
        made = batch(found.invalidations, params["InvalidationBatch"], self.world.settle("cloudfront"))
        location = f"https://cloudfront.amazonaws.com/2020-05-31/distribution/{found.id}/invalidation/{made.id}"
        return {"Location": location, "Invalidation": made.shape()}

    def get_invalidation(self, params: Params, context: Context) -> Params:
        """InProgress, then Completed."""
        found = self._distribution(params["DistributionId"]).invalidations
        wanted = next((each for each in found if each.id == params["Id"]), None)
        if wanted is None:
            raise AwsError("NoSuchInvalidation", "The specified invalidation does not exist.", 404)
        return {"Invalidation": wanted.shape()}

    def list_invalidations(self, params: Params, context: Context) -> Params:
        """Newest first."""
        found = self._distribution(params["DistributionId"]).invalidations
        members = ("Id", "CreateTime", "Status")
        items = [{name: each.shape()[name] for name in members} for each in reversed(found)]
        return {"InvalidationList": listing(items, params)}

    def _distribution(self, key: str) -> Distribution:
        found = self._distributions.get(key)
        if found is None:
            raise AwsError("NoSuchDistribution", "The specified distribution does not exist.", 404)
        return found

    def _made(self, given: Params, tags: dict[str, str]) -> Params:
        reference = given["CallerReference"]
        for each in self._distributions.values():
            if each.config["CallerReference"] == reference:
                message = f"The caller reference {reference} is associated with another distribution: {each.id}."
                raise AwsError("DistributionAlreadyExists", message, 409)
        made = Distribution(entity_id(), self._checked_config(given))
        made.arn = f"arn:aws:cloudfront::{self.world.account}:distribution/{made.id}"
        made.domain = f"d{''.join(secrets.choice(_HOST_LETTERS) for _ in range(13))}.cloudfront.net"
        made.tags = tags
        self._distributions[made.id] = made
        self._deploy(made)
        location = f"https://cloudfront.amazonaws.com/2020-05-31/distribution/{made.id}"
        return {**_answer(made), "Location": location}

    def _deploy(self, distribution: Distribution) -> None:
        distribution.modified = now()
        distribution.deployed = time.monotonic() + self.world.settle("cloudfront")

    def _checked_config(self, given: Params, own: str = "") -> Params:
        """The completed configuration, everything it names being there.  Raises AwsError."""
        config = completed(given)
        for origin in origins(config):
            control = origin["OriginAccessControlId"]
            if control and control not in self._controls:
                message = "The origin access control is not valid."
                raise AwsError("InvalidOriginAccessControl", message, 400)
        for behaviour in behaviours(config):
            for kind in _POLICIES:
                if behaviour.get(f"{kind}Id"):
                    self._policy(kind, behaviour[f"{kind}Id"])
            for each in behaviour["FunctionAssociations"].get("Items", []):
                if not self._live_function(each["FunctionARN"]):
                    message = f"The function {each['FunctionARN']} does not exist or is not published."
                    raise AwsError("InvalidFunctionAssociation", message, 400)
        self._check_aliases(config, own)
        return config

    def _check_aliases(self, config: Params, own: str) -> None:
        wanted = set(config["Aliases"].get("Items", []))
        others = (each for key, each in self._distributions.items() if key != own)
        taken = sorted(wanted & {alias for each in others for alias in each.config["Aliases"].get("Items", [])})
        if taken:
            raise AwsError("CNAMEAlreadyExists", f"The CNAME {taken[0]} is already associated with a resource.", 409)

    def _control_is_used(self, key: str) -> bool:
        configs = (each.config for each in self._distributions.values())
        return any(origin["OriginAccessControlId"] == key for config in configs for origin in origins(config))

    def _function_is_used(self, arn: str) -> bool:
        associations = (each["FunctionAssociations"].get("Items", []) for each in self._behaviours())
        return any(each["FunctionARN"] == arn for items in associations for each in items)

    def _policy_users(self, kind: str, key: str) -> bool:
        return any(behaviour.get(f"{kind}Id") == key for behaviour in self._behaviours())

    def _behaviours(self) -> list[Params]:
        return [each for found in self._distributions.values() for each in behaviours(found.config)]


def _answer(distribution: Distribution) -> Params:
    return {"Distribution": distribution.shape(), "ETag": distribution.etag}


def tags_of(tags: Params) -> dict[str, str]:
    """CloudFront's Tags shape as a dict."""
    return {tag["Key"]: tag.get("Value", "") for tag in tags.get("Items", [])}
