"""The live configuration of distributions, read through the operations a client would use.  Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request
from orchestrator.emulator.server_protocol import Params, Target
from orchestrator.emulator.service_base import Context, World
from orchestrator.emulator.services.cloudfront.managed_policies import MANAGED

_GLOBAL = "us-east-1"
LOCAL = ".localhost"


@dataclass(frozen=True)
class Distribution:
    """One distribution: ``config`` is its DistributionConfig."""

    id: str
    arn: str
    domain: str
    config: Params


class Configuration:
    """What the control plane of one emulator says now."""

    def __init__(self, world: World) -> None:
        self._world = world

    def ask(self, service: str, operation: str, **params: Any) -> Params:
        """One read, answered as to a client, but neither counted nor spoilt by faults.  Raises AwsError."""
        region = _GLOBAL if service == "cloudfront" else self._world.region
        found = self._world.find(service)
        handler = found.handler(operation) if found else None
        if handler is None:
            return self._world.call(service, operation, region, **params)
        context = Context(self._world, Target(service, region, operation), Request("GET", "/", ()), "viewer")
        with self._world.lock:
            answer = handler(params, context)
        assert isinstance(answer, dict), f"{service}:{operation} answers no data"
        return answer

    def distribution(self, host: str) -> Distribution | None:
        """The distribution with a domain, alias or id, with or without ``.localhost``."""
        wanted = host.lower().removesuffix(LOCAL)
        for each in self._pages("ListDistributions", "DistributionList"):
            names = {each["Id"], each["DomainName"], *each.get("Aliases", {}).get("Items", [])}
            if any(_names(name.lower(), wanted) for name in names):
                shape = self.ask("cloudfront", "GetDistribution", Id=each["Id"])["Distribution"]
                return Distribution(shape["Id"], shape["ARN"], shape["DomainName"], shape["DistributionConfig"])
        return None

    def policy(self, kind: str, key: str) -> Params:
        """The configuration of a cache, origin request or response headers policy (``CachePolicy``); {} for no id."""
        if not key:
            return {}
        if key in MANAGED[kind]:
            return MANAGED[kind][key]
        found: Params = self.ask("cloudfront", f"Get{kind}", Id=key)[kind][f"{kind}Config"]
        return found

    def function(self, arn: str) -> bytes:
        """The published code of a function."""
        code = self.ask("cloudfront", "GetFunction", Name=arn.rpartition("/")[2], Stage="LIVE")["FunctionCode"]
        return code.encode() if isinstance(code, str) else bytes(code)

    def is_signed(self, origin: Params) -> bool:
        """Whether CloudFront signs its requests to an origin."""
        key = origin.get("OriginAccessControlId")
        if not key:
            return False
        found = self.ask("cloudfront", "GetOriginAccessControl", Id=key)["OriginAccessControl"]
        return str(found["OriginAccessControlConfig"]["SigningBehavior"]) != "never"

    def invalidations(self, distribution: str, known: set[str]) -> Iterator[tuple[str, list[str]]]:
        """Completed invalidations not ``known`` yet: id and paths."""
        for each in self._pages("ListInvalidations", "InvalidationList", DistributionId=distribution):
            if each["Id"] in known:
                continue
            found = self.ask("cloudfront", "GetInvalidation", DistributionId=distribution, Id=each["Id"])
            if found["Invalidation"]["Status"] == "Completed":
                yield each["Id"], found["Invalidation"]["InvalidationBatch"]["Paths"].get("Items", [])

    def bucket_policy(self, bucket: str) -> str:
        """A bucket's policy, or "" where it has none."""
        try:
            return str(self.ask("s3", "GetBucketPolicy", Bucket=bucket)["Policy"])
        except AwsError:
            return ""

    def bucket_cors(self, bucket: str) -> list[Params]:
        """A bucket's CORS rules."""
        try:
            return list(self.ask("s3", "GetBucketCors", Bucket=bucket).get("CORSRules", []))
        except AwsError:
            return []

    def _pages(self, operation: str, member: str, **params: str) -> Iterator[Params]:
        marker: dict[str, str] = {}
        while True:
            page = self.ask("cloudfront", operation, **params, **marker)[member]
            yield from page.get("Items", [])
            if not page.get("IsTruncated"):
                return
            marker = {"Marker": page["NextMarker"]}


def _names(name: str, wanted: str) -> bool:
    """An alias may begin with a wildcard that stands for one label."""
    return name == wanted or (name.startswith("*.") and name[1:] == wanted[wanted.find(".") :])
