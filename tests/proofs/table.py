"""From the JUnit XML of a run to the README's table of proofs.  Every number is counted, none is written down."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

BEGIN, END = "<!-- proofs -->", "<!-- /proofs -->"
BACKENDS = ("moto", "ministack")


@dataclass(frozen=True)
class Promise:
    """One row: what is promised, how it is proved, and the test modules that prove it."""

    promise: str
    proof: str
    modules: tuple[str, ...]

    @property
    def command(self) -> str:
        return "make test ARGS='" + " ".join(f"tests/{module.replace('.', '/')}.py" for module in self.modules) + "'"


PROMISES = (
    Promise(
        "After apply, plan is empty",
        "the real stack, eleven updates of it there and back, its end, every example of the schemas, manifests made at "
        "random",
        ("proofs.test_convergence", "proofs.test_examples", "proofs.test_generated"),
    ),
    Promise(
        "A run that dies anywhere is healed by the next",
        "killed before and after each call that changes AWS; see the counts below",
        ("proofs.test_crash_anywhere",),
    ),
    Promise(
        "A plan changes nothing",
        "all its calls are reads; it is the same under a policy that denies writes and secrets",
        ("proofs.test_plan_writes_nothing",),
    ),
    Promise(
        "There is no state file",
        "from two empty folders the plan is the same to the byte; apply leaves no file",
        ("proofs.test_no_state",),
    ),
    Promise(
        "No noise",
        "AWS's own defaults are no change; what you change by hand is one only where a manifest speaks of it",
        ("proofs.test_noise",),
    ),
    Promise(
        "Throttling and outages are survived",
        "3 calls of 10 fail: the plan is the same, apply ends well; answers lost after the deed leave nothing double",
        ("proofs.test_faults",),
    ),
    Promise(
        "Data does not go by accident",
        "a removed file, no files, a replacement, somebody else's bucket, the wrong account or region: each is refused",
        ("proofs.test_guards",),
    ),
    Promise(
        "What is independent runs at the same time, in the right order",
        "the real stack as AWS sees it, and random graphs",
        ("proofs.test_parallel", "test_apply"),
    ),
)
WITHOUT_AWS = frozenset({"test_apply"})


@dataclass(frozen=True)
class Case:
    """One test that ran."""

    module: str
    name: str
    backend: str
    result: str
    scenario: str = ""
    crashes: int = 0


@dataclass(frozen=True)
class Report:
    """One run: its cases and its day."""

    cases: tuple[Case, ...]
    day: str

    def of(self, promise: Promise, backend: str) -> int:
        mine = (case for case in self.cases if case.module in promise.modules and case.backend == backend)
        return sum(case.crashes or 1 for case in mine)


WORDS = {
    "create": "creates the stack",
    "destroy": "destroys it",
    "create express": "creates the service and buckets alone, on ECS Express",
    "destroy express": "destroys those",
}
"""Scenarios in a reader's words."""


def read(*files: Path) -> Report:
    """The run that ``files`` tell of."""
    suites = [suite for file in files for suite in ET.parse(file).iter("testsuite")]
    cases = tuple(_case(element) for suite in suites for element in suite.iter("testcase"))
    day = min(suite.get("timestamp", "") for suite in suites)[:10]
    return Report(cases, day)


def _case(element: ET.Element) -> Case:
    module = element.get("classname", "").removeprefix("tests.")
    name = element.get("name", "")
    found = re.search(r"\[(?:.*-)?(moto|ministack)\b", name)
    result = next((child.tag for child in element if child.tag in {"failure", "error", "skipped"}), "passed")
    told = {child.get("name"): child.get("value", "") for child in element.iter("property")}
    return Case(
        module=module,
        name=name,
        backend=found[1] if found else "none" if module in WITHOUT_AWS else "moto",
        result=result,
        scenario=told.get("scenario", ""),
        crashes=int(told.get("crashes", 0)),
    )


def problems(report: Report) -> list[str]:
    """Why this run proves less than the table would say."""
    wrong = [f"{case.module}::{case.name}: {case.result}" for case in report.cases if case.result != "passed"]
    known = {module for promise in PROMISES for module in promise.modules}
    wrong += [f"{module} is in no row" for module in sorted({case.module for case in report.cases} - known)]
    seen = {case.module for case in report.cases}
    return [*wrong, *(f"{module} did not run" for module in sorted(known - seen))]


def render(report: Report) -> str:
    """Both tables, in Markdown."""
    lines = [
        f"From a run on {report.day}: {len(report.cases)} tests. `make proofs` runs them again and writes this.",
        "",
        "| promise | proved by | cases on moto | on MiniStack | without AWS | result | run it |",
        "|---|---|--:|--:|--:|---|---|",
        *(_row(report, promise) for promise in PROMISES),
        "",
        *_crashes(report),
    ]
    return "\n".join(lines)


def _row(report: Report, promise: Promise) -> str:
    counts = [str(report.of(promise, backend) or "") for backend in (*BACKENDS, "none")]
    results = Counter(case.result for case in report.cases if case.module in promise.modules)
    result = "all pass" if set(results) == {"passed"} else ", ".join(f"{n} {what}" for what, n in results.items())
    return f"| {promise.promise} | {promise.proof} | {' | '.join(counts)} | {result} | `{promise.command}` |"


def _crashes(report: Report) -> Iterable[str]:
    """A row a scenario: how many calls change AWS, how many deaths were died."""
    cases = [case for case in report.cases if case.scenario]
    died = Counter[tuple[str, str]]()
    for case in cases:
        died[case.scenario, case.backend] += case.crashes
    yield "| killed while it | calls that change AWS | crashes on moto | on MiniStack | healed by the next run |"
    yield "|---|--:|--:|--:|---|"
    for scenario in dict.fromkeys(case.scenario for case in cases):
        moto, ministack = (died[scenario, backend] for backend in BACKENDS)
        healed = all(case.result == "passed" for case in cases if case.scenario == scenario)
        words = WORDS.get(scenario, f"updates: {scenario}")
        yield f"| {words} | {max(moto, ministack) // 2} | {moto} | {ministack} | {'all' if healed else 'NOT all'} |"
    total = [sum(count for (_, where), count in died.items() if where == backend) for backend in BACKENDS]
    yield f"| **together** | {max(total) // 2} | {total[0]} | {total[1]} | |"


def insert(readme: str, text: str) -> str:
    """``readme`` with ``text`` between the marks."""
    head, _, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise ValueError(f"the README has no {BEGIN} ... {END}")
    return f"{head}{BEGIN}\n{text}\n{END}{tail}"
