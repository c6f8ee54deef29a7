"""Read the current configuration of distributions through the operations a client would use. Read-only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request
from orchestrator.emulator.server_protocol import Params, Target
from orchestrator.emulator.service_base import CallContext, EmulatorState
from orchestrator.emulator.services.cloudfront.managed_policies import MANAGED_POLICIES

_GLOBAL_REGION = "us-east-1"
LOCAL_SUFFIX = ".localhost"


@dataclass(frozen=True)
class Distribution:
    """One distribution; ``config`` is its DistributionConfig."""

    id: str
    arn: str
    domain: str
    config: Params


class ControlPlane:
    """Read access to the control plane of one emulator."""

    def __init__(self, state: EmulatorState) -> None:
        self._state = state

    def call(self, service: str, operation: str, **params: Any) -> Params:
        """Make one read as a client would; it is not recorded and gets no faults. Raises AwsError."""
        region = _GLOBAL_REGION if service == "cloudfront" else self._state.region
        emulated_service = self._state.find_service(service)
        handler = emulated_service.handler(operation) if emulated_service else None
        if handler is None:
            return self._state.call(service, operation, region, **params)
        context = CallContext(self._state, Target(service, region, operation), Request("GET", "/", ()), "viewer")
        with self._state.lock:
            result = handler(params, context)
        assert isinstance(result, dict), f"{service}:{operation} returns no data"
        return result

    def find_distribution(self, host: str) -> Distribution | None:
        """Return the distribution with a domain, alias or ID, with or without ``.localhost``, or None."""
        hostname = host.lower().removesuffix(LOCAL_SUFFIX)
        for summary in self._paginate("ListDistributions", "DistributionList"):
            aliases = {summary["Id"], summary["DomainName"], *summary.get("Aliases", {}).get("Items", [])}
            if any(_alias_matches(alias.lower(), hostname) for alias in aliases):
                shape = self.call("cloudfront", "GetDistribution", Id=summary["Id"])["Distribution"]
                return Distribution(shape["Id"], shape["ARN"], shape["DomainName"], shape["DistributionConfig"])
        return None

    def get_policy(self, kind: str, key: str) -> Params:
        """Return the configuration of a policy of a kind (``CachePolicy``); {} without an ID."""
        if not key:
            return {}
        if key in MANAGED_POLICIES[kind]:
            return MANAGED_POLICIES[kind][key]
        config: Params = self.call("cloudfront", f"Get{kind}", Id=key)[kind][f"{kind}Config"]
        return config

    def get_function_code(self, arn: str) -> bytes:
        """Return the published code of a function."""
        code = self.call("cloudfront", "GetFunction", Name=arn.rpartition("/")[2], Stage="LIVE")["FunctionCode"]
        return code.encode() if isinstance(code, str) else bytes(code)

    def is_signed(self, origin: Params) -> bool:
        """Return whether CloudFront signs its requests to an origin."""
        control_id = origin.get("OriginAccessControlId")
        if not control_id:
            return False
        access_control = self.call("cloudfront", "GetOriginAccessControl", Id=control_id)["OriginAccessControl"]
        return str(access_control["OriginAccessControlConfig"]["SigningBehavior"]) != "never"

    def list_completed_invalidations(self, distribution: str, applied_ids: set[str]) -> Iterator[tuple[str, list[str]]]:
        """Yield ID and paths of completed invalidations that are not in ``applied_ids``."""
        for summary in self._paginate("ListInvalidations", "InvalidationList", DistributionId=distribution):
            if summary["Id"] in applied_ids:
                continue
            response = self.call("cloudfront", "GetInvalidation", DistributionId=distribution, Id=summary["Id"])
            if response["Invalidation"]["Status"] == "Completed":
                yield summary["Id"], response["Invalidation"]["InvalidationBatch"]["Paths"].get("Items", [])

    def get_bucket_policy(self, bucket: str) -> str:
        """Return a bucket's policy, or "" if it has none."""
        try:
            return str(self.call("s3", "GetBucketPolicy", Bucket=bucket)["Policy"])
        except AwsError:
            return ""

    def get_bucket_cors(self, bucket: str) -> list[Params]:
        """Return a bucket's CORS rules."""
        try:
            return list(self.call("s3", "GetBucketCors", Bucket=bucket).get("CORSRules", []))
        except AwsError:
            return []

    def _paginate(self, operation: str, member: str, **params: str) -> Iterator[Params]:
        marker: dict[str, str] = {}
        while True:
            page = self.call("cloudfront", operation, **params, **marker)[member]
            yield from page.get("Items", [])
            if not page.get("IsTruncated"):
                return
            marker = {"Marker": page["NextMarker"]}


def _alias_matches(alias: str, hostname: str) -> bool:
    """Return whether a host matches an alias, whose leading wildcard stands for one label."""
    return alias == hostname or (alias.startswith("*.") and alias[1:] == hostname[hostname.find(".") :])
