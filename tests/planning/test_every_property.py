"""Each property that AWS lets one set is changed once, in what AWS answers, and the plan has to name it.

The properties are those of ``orchestrator/resources/aws_properties``, which ``tests/resources/test_aws_properties.py``
holds against botocore's service models.  The responses are those of both backends, recorded while a stack with every
type is planned; the changed values are of the shapes in botocore's models.  So this asks no backend to store a property
that it does not know.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from botocore import xform_name
from botocore.model import ServiceModel
from botocore.session import Session
from msgspec.structs import replace

from orchestrator import resources
from orchestrator.aws import AwsError, Clients
from orchestrator.ownership_tags import build_ownership_tags
from orchestrator.planning import pipeline
from orchestrator.problems import Position
from orchestrator.vocabulary import Change, DesiredState, Plan, Resource
from tests.planning.changed_responses import change as change_response
from tests.planning.test_hand_edits import list_differences
from tests.proofs import real_stack

RESPONSES: Mapping[str, Mapping[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("aws_property_responses.yaml").read_text(encoding="utf-8")
)
FURTHER_TYPES = """
apiVersion: orchestrator/v1
kind: Database
metadata: {name: reports}
spec: {version: "16", database: shop, username: shop, parameters: {log_min_duration_statement: 500}}
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: jobs}
spec:
  runtime: ecs-express
  health: {path: /health}
  environment: {MODE: fast}
  secrets: [secret.app]
  image: {repository: jobs, prebuilt: "${project.registry}/jobs@sha256:DIGEST"}
---
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: traced}
spec:
  tracing: true
  image: {repository: traced, prebuilt: "${project.registry}/traced@sha256:DIGEST"}
""".replace("DIGEST", "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef")
TAGGING = "resourcegroupstaggingapi.get_resources ResourceTagMappingList[].Tags[].Value"
SESSION = Session()
HEADERS = "securityHeaders: {contentSecurityPolicy: default-src 'self', custom: {X-Team: shop}, remove: [Server]}"

pytestmark = pytest.mark.both_backends


class RecordedClients(real_stack.SharedClients):
    """Answers every call as the first time, and some as they are in ``changed``."""

    def __init__(self) -> None:
        vars(self).update(vars(real_stack.clients(attempts=1)))  # a changed region answers nothing, however often asked
        self.answers: dict[str, Any] = {}
        self.changed: dict[str, Any] = {}

    def _answer(self, key: str, ask: Any) -> Any:
        if key not in self.answers:
            try:
                self.answers[key] = ask()
            except AwsError as error:
                self.answers[key] = error
        answer = self.changed.get(key, self.answers[key])
        if isinstance(answer, AwsError):
            raise answer
        return answer

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        key = json.dumps([service, operation, "call", parameters, region])
        return self._answer(key, lambda: Clients.call(self, service, operation, parameters, region))

    def pages(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> list[Any]:
        key = json.dumps([service, operation, "pages", parameters, region])
        answer: list[Any] = self._answer(key, lambda: Clients.pages(self, service, operation, parameters, region))
        return answer

    def change(self, target: str, new_value: Any) -> None:
        """Change all answers at ``SERVICE.OPERATION PATH``, in addition to what was changed before."""
        operation, _, path = target.partition(" ")
        service, _, operation = operation.partition(".")
        model = load_model(service)
        shape = next(
            model.operation_model(name).output_shape for name in model.operation_names if xform_name(name) == operation
        )
        keys = [key for key in self.answers if json.loads(key)[:2] == [service, operation]]
        assert keys, f"no plan calls {service}:{operation}"
        for key in keys:
            recorded = self.answers[key]
            answer = self.changed.get(key, recorded)
            answer = {} if isinstance(answer, AwsError) else answer
            if isinstance(answer, list):
                self.changed[key] = [change_response(shape, page, path, new_value) for page in answer]
            else:
                self.changed[key] = change_response(shape, answer, path, new_value)


@cache
def load_model(service: str) -> ServiceModel:
    return SESSION.get_service_model(service)


class Property(NamedTuple):
    """A property, the name under which a plan has to report it, and where responses show it."""

    resource_type: str
    name: str
    reported: str
    targets: tuple[str, ...]
    new_value: Any
    not_on: tuple[str, ...]

    def concerns(self, address: str) -> bool:
        return address.startswith(f"{self.resource_type}.") and address not in self.not_on


def list_properties(resource_type: str) -> list[Property]:
    properties = resources.load_properties(resource_type)
    assert properties is not None
    responses = RESPONSES[resource_type]
    listed = []
    for name, reported in {**properties.owned, **properties.watched}.items():
        if name in responses.get("unshown", {}):
            continue
        start = max((start for start in responses["read"] if name.startswith(start)), key=len)
        targets = tuple(target + name[len(start) :] for target in responses["read"][start].split(" & "))
        not_on = tuple(responses.get("not_on", {}).get(name, ()))
        new_value = responses.get("set", {}).get(name)
        listed.append(Property(resource_type, name, reported, targets, new_value, not_on))
    return listed


def arrange_rounds(types: Iterable[str]) -> list[list[Property]]:
    """All properties in as few rounds as possible: in a round each has a name in the report that no other has."""
    rounds: dict[int, list[Property]] = defaultdict(list)
    counts: Counter[tuple[str, str]] = Counter()
    for item in itertools.chain.from_iterable(map(list_properties, types)):
        rounds[counts[item.resource_type, item.reported]].append(item)
        counts[item.resource_type, item.reported] += 1
    return list(rounds.values())


def load_every_type(folder: Path) -> DesiredState:
    """The real stack with one resource of every type that it has not."""

    def add_documents(manifests: Path) -> None:
        (manifests / "further.yaml").write_text(FURTHER_TYPES)

    edit = real_stack.replace_text("cdn.yaml", ("securityHeaders: true", HEADERS))
    desired = real_stack.load_stack(folder, edit, add_documents)
    tags = build_ownership_tags(desired.scope, "project.joiabagur")
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}
    policy = {"path": desired.scope.iam_path, "description": "what is allowed", "document": document, "tags": tags}
    where = Position("further.yaml")
    issuer = "token.actions.githubusercontent.com"
    further = (
        Resource("iam_policy", "readers", f"{desired.scope.name_prefix}-readers", policy, "project.joiabagur", where),
        Resource(
            "iam_oidc_provider", "github", issuer, {"audiences": ["sts.amazonaws.com"]}, "project.joiabagur", where
        ),
    )
    return replace(desired, resources=(*desired.resources, *further))


def reported_names(change: Change) -> set[str]:
    return {*(field.path[0] for field in change.fields), *(item.field for item in change.unmanaged)}


def plan_with(clients: RecordedClients, desired: DesiredState) -> Plan:
    return pipeline.plan(desired, clients=clients).plan


@pytest.mark.parametrize("backend", real_stack.BACKENDS)
def test_every_changed_property_is_named(backend: str, tmp_path: Path) -> None:
    with real_stack.emulated_aws(backend):
        desired = load_every_type(tmp_path / "manifests")
        assert real_stack.list_failures(real_stack.apply(desired)) == []
        clients = RecordedClients()
        assert list_differences(plan_with(clients, desired)) == set()
        clients.change(TAGGING, None)
        plan_with(clients, desired)  # reads the tags of each resource, which the tagging API confirms otherwise
        types = sorted({resource.type for resource in desired.resources} & RESPONSES.keys())
        assert types == sorted(RESPONSES)

        missed = []
        rounds = arrange_rounds(types)
        for changed_properties in rounds:
            clients.changed = {}
            for item in changed_properties:
                for target in item.targets:
                    clients.change(target, item.new_value)
            plan = plan_with(clients, desired)
            missed += [
                f"{change.address}: {item.name} is not reported as {item.reported}"
                for item in changed_properties
                for change in plan.changes
                if item.concerns(change.address) and item.reported not in reported_names(change)
            ]
    assert sum(map(len, rounds)) > 300
    assert missed == []
