"""The generated roles of one project, as IAM judges them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator.bootstrap import policy_documents
from orchestrator.vocabulary import DesiredState
from tests.bootstrap.policy_evaluator import Request, is_allowed

ROLES = ("plan", "deploy")


@dataclass(frozen=True)
class Roles:
    """The plan and deploy roles that the workflows get for some manifests."""

    desired: DesiredState

    @cached_property
    def documents(self) -> Mapping[str, list[Mapping[str, Any]]]:
        return {
            "plan": policy_documents.build_plan_policies(self.desired),
            "deploy": policy_documents.build_deploy_policies(self.desired),
        }

    @cached_property
    def ceiling(self) -> Mapping[str, Any]:
        return policy_documents.build_workflow_boundary(self.desired)

    def may(self, role: str, request: Request) -> bool:
        return is_allowed(self.documents[role], self.ceiling, request)

    def list_denied(self, role: str, requests: Iterable[Request]) -> list[str]:
        """The requests that AWS would deny, with what it knows of them."""
        return [f"{request} {dict(request.context)}" for request in requests if not self.may(role, request)]
