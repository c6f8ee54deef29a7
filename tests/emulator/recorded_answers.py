"""Replay recorded answers of AWS; ``python -m tests.emulator.recorded_answers`` writes docs/reference/emulator.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import jmespath
import yaml
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError, UnknownServiceError

from orchestrator.emulator import Emulator, start
from orchestrator.steps import to_operation_name

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_suffix(".yaml")
PAGE = ROOT / "docs" / "reference" / "emulator.md"
_REFERENCE = re.compile(r"\$\{(\d+)\.([^}]+)\}")
_OPERATION = re.compile(r"""(?:call|pages|get|all|ApiCall)\(\s*"([a-z0-9-]+)",\s*"([a-z0-9_]+)\"""")


@dataclass(frozen=True)
class Fact:
    """One recorded answer, and what has to be done before."""

    entry: Mapping[str, Any]

    @property
    def operation(self) -> str:
        """``service:operation`` in boto3's names."""
        return str(self.entry["call"][0])

    @property
    def service(self) -> str:
        return self.operation.partition(":")[0]

    @property
    def differs(self) -> str:
        return str(self.entry.get("differs", ""))

    def find_differences(self, emulator: Emulator) -> list[str]:
        """Ask an empty emulator, and return where its answer is not AWS's."""
        answers: list[Any] = []
        for call in self.entry.get("given", ()):
            answers.append(_ask(emulator, call, answers))
        return list(self._compare(_ask(emulator, self.entry["call"], answers), answers))

    def _compare(self, answer: Mapping[str, Any], answers: list[Any]) -> Iterator[str]:
        error = answer.get("Error", {})
        expected = {"status": answer["ResponseMetadata"]["HTTPStatusCode"], "code": error.get("Code")}
        expected["message"] = error.get("Message")
        for name, actual in expected.items():
            if name in self.entry and self.entry[name] != actual:
                yield f"{name} is {actual!r}, AWS: {self.entry[name]!r}"
        for path, value in self.entry.get("has", {}).items():
            actual, wanted = jmespath.search(path, answer), _fill(value, answers)
            if actual is None if wanted == "*" else actual != wanted:
                yield f"{path} is {actual!r}, AWS: {wanted!r}"
        for path in self.entry.get("lacks", ()):
            if jmespath.search(path, answer) is not None:
                yield f"{path} is {jmespath.search(path, answer)!r}, AWS does not say it"


@cache
def load() -> tuple[Fact, ...]:
    return tuple(Fact(entry) for entry in yaml.load(FILE.read_text(), yaml.CSafeLoader)["facts"])


@cache
def product_operations() -> frozenset[str]:
    """Every AWS operation that the product's own code names, in boto3's names."""
    files = [path for path in (ROOT / "orchestrator").rglob("*.py") if "emulator" not in path.parts]
    named = {match for path in files for match in _OPERATION.findall(path.read_text())}
    return frozenset(f"{service}:{name}" for service, name in named if name in _operation_names(service))


@cache
def _operation_names(service: str) -> frozenset[str]:
    """Return boto3's names of a service's operations; none for what is not a service."""
    try:
        model = botocore.session.get_session().get_service_model(service)
    except UnknownServiceError:
        return frozenset()
    return frozenset(xform_name(name) for name in model.operation_names)


def witnessed_operations() -> frozenset[str]:
    """Every operation of which a recorded answer is held against the emulator."""
    return frozenset(fact.operation for fact in load())


PAGE_TEMPLATE = """# Where the emulator differs from AWS

Written by `python -m tests.emulator.recorded_answers`. The judge is what real AWS answered, recorded by others:
LocalStack's snapshots, cloud-custodian's recordings and terraform-provider-aws. Codes, statuses, texts and members of
these answers are facts in `tests/emulator/recorded_answers.yaml`; each test run asks the emulator for all of them.

**{agreed} of {count} recorded facts agree.** Of the operations that the orchestrator itself uses, all recorded facts
agree. A test fails if one does not, or if a difference that is listed here is gone.

| service | facts | agree |
|---|--:|--:|
{services}

## Known differences

{differences}

## LocalStack's tests

The tests of LocalStack (commit 8b9a79f of 2026-03-23) with answers recorded on AWS, run by hand against this emulator
with moto on 2026-11-30, before and after its answers were corrected. Most of what fails are services, options and
extensions of LocalStack that the orchestrator does not use.

| tests | passed before | pass now | of |
|---|--:|--:|--:|
{suites}

## Not witnessed

Of {used} operations that the orchestrator uses, {witnessed} are witnessed by a recorded answer. For the others the
emulator follows AWS's service models and documentation. Nobody has published recordings of ECS Express Mode, of App
Runner's operations, of Budgets' notifications, or of the creation of CloudFront functions and access controls. Whoever
has an account can give some: `orchestrator rehearse --canary` and `orchestrator emulator --record FILE` write them.

| service | operations without a recording |
|---|---|
{unwitnessed}
"""


def render_page() -> str:
    """Return docs/reference/emulator.md."""
    facts, suites = load(), yaml.load(FILE.read_text(), yaml.CSafeLoader)["suites"]
    counts = Counter(fact.service for fact in facts)
    agreed = Counter(fact.service for fact in facts if not fact.differs)
    used, unwitnessed = product_operations(), sorted(product_operations() - witnessed_operations())
    names_by_service: dict[str, list[str]] = {}
    for operation in unwitnessed:
        service, _, name = _api_name(operation).partition(":")
        names_by_service.setdefault(service, []).append(name)
    differing = [
        f"* `{_api_name(fact.operation)}`: {fact.entry['fact']}; {fact.differs}." for fact in facts if fact.differs
    ]
    return PAGE_TEMPLATE.format(
        agreed=sum(agreed.values()),
        count=len(facts),
        services="\n".join(f"| {service} | {counts[service]} | {agreed[service]} |" for service in sorted(counts)),
        differences="\n".join(differing),
        suites="\n".join(f"| {item['name']} | {item['before']} | {item['now']} | {item['of']} |" for item in suites),
        used=len(used),
        witnessed=len(used) - len(unwitnessed),
        unwitnessed="\n".join(f"| {service} | {', '.join(names)} |" for service, names in names_by_service.items()),
    )


def _api_name(operation: str) -> str:
    service, _, name = operation.partition(":")
    return f"{service}:{to_operation_name(name)}"


def _ask(emulator: Emulator, call: list[Any], answers: list[Any]) -> dict[str, Any]:
    service, _, name = call[0].partition(":")
    client = boto3.client(
        service,
        region_name="eu-west-1",
        endpoint_url=emulator.url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"max_attempts": 1}),
    )
    try:
        answer: dict[str, Any] = getattr(client, name)(**_fill(call[1], answers))
    except ClientError as error:
        return dict(error.response)
    return answer


def _fill(value: Any, answers: list[Any]) -> Any:
    """Return parameters with members of earlier answers in place of ``${N.path}``."""
    match value:
        case dict():
            return {key: _fill(item, answers) for key, item in value.items()}
        case list():
            return [_fill(item, answers) for item in value]
        case str() if found := _REFERENCE.fullmatch(value):
            return jmespath.search(found[2], answers[int(found[1])])
    return value


if __name__ == "__main__":
    PAGE.write_text(render_page())
    with start() as running:
        for fact_to_check in load():
            running.reset()
            for difference in fact_to_check.find_differences(running):
                print(f"{fact_to_check.operation}: {fact_to_check.entry['fact']}: {difference}")  # noqa: T201 - a report
