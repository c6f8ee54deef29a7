"""The requests that IAM judges for each call that was really made, in an environment that owns what it names.

The model of what a call asks for is the emulator's (``orchestrator/emulator/authorization``), which is written apart
from the product's own tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.emulator.authorization.call_requests import CallRequests, Context
from tests.bootstrap.policy_evaluator import Request
from tests.bootstrap.service_authorization import get_action

__all__ = ["Call", "Context", "Environment"]

NEVER_OURS = (":vpc/", ":route-table/")
"""Resources that calls name but no environment owns."""
Call = tuple[str, str, Mapping[str, Any]]


@dataclass(frozen=True)
class Environment:
    """Where the calls were made: an environment, and the KMS keys of its buckets and secrets by name."""

    project: str = "joiabagur"
    name: str = "prod"
    account: str = "123456789012"
    region: str = "eu-west-1"
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def tags(self) -> Mapping[str, str]:
        return {"orchestrator:project": self.project, "orchestrator:environment": self.name}

    @property
    def usage_tag(self) -> str:
        return f"orchestrator:used-by:{self.project}/{self.name}"

    @property
    def role_path(self) -> str:
        return f"/orchestrator/{self.project}/{self.name}/"

    @property
    def boundary(self) -> str:
        path = f"/orchestrator/{self.project}/{self.name}.github/"
        return f"arn:aws:iam::{self.account}:policy{path}{self.project}-{self.name}-boundary"

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        return f"arn:aws:{service}:{self.region if regional else ''}:{self.account}:{resource}"

    def role_arns(self, name: str, action: str) -> list[str]:
        """A role that exists; of one that GetRole does not find, messages say "on resource: role NAME"."""
        paths = (self.role_path, "/") if action == "iam:GetRole" else (self.role_path,)
        return [self.arn("iam", f"role{path}{name}", regional=False) for path in paths]

    def role_boundary(self, name: str) -> str:
        return self.boundary

    def secret_arns(self, name: str) -> list[str]:
        """Messages name a secret with and without the six characters that AWS appends."""
        return [self.arn("secretsmanager", f"secret:{item}") for item in (name, f"{name}-a1B2c3")]

    def resource_tags(self, arn: str, parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Ours, but for a mark on what another environment created."""
        if any(part in arn for part in NEVER_OURS):
            return {}
        is_mark = [tag.get("Key") for tag in parameters.get("Tags", ()) if isinstance(tag, Mapping)] == [self.usage_tag]
        return {**self.tags, **({"orchestrator:project": "another"} if is_mark and ":vpc-endpoint/" in arn else {})}

    def key_of(self, service: str, name: str) -> str | None:
        return self.keys.get(name)

    def iter_requests(self, calls: Iterable[Call]) -> Iterator[Request]:
        """The requests of calls, each once."""
        seen: set[str] = set()
        for service, operation, parameters in calls:
            requests = CallRequests(self, service, operation, parameters).iter_all()
            for request in (*requests, *self._iter_shared_endpoints(service, operation, parameters)):
                get_action(request.action)
                key = f"{request} {sorted(request.context.items())}"
                if key not in seen:
                    seen.add(key)
                    yield request

    def _iter_shared_endpoints(self, service: str, operation: str, parameters: Mapping[str, Any]) -> Iterator[Request]:
        """The requests for an endpoint whose creator left: only our mark of usage is on it."""
        endpoint = self.arn("ec2", "vpc-endpoint/vpce-1")
        if operation == "CreateTags" and [tag["Key"] for tag in parameters["Tags"]] == [self.usage_tag]:
            left: Context = {"aws:ResourceTag/orchestrator:shared": "true", "aws:TagKeys": (self.usage_tag,)}
            yield Request("ec2:CreateTags", endpoint, left)
        if operation in {"DeleteVpcEndpoints", "ModifyVpcEndpoint"}:
            yield Request(f"{service}:{operation}", endpoint, {f"aws:ResourceTag/{self.usage_tag}": "cdn.web"})
