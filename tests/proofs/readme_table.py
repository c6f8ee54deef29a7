"""From the JUnit XML of a run to the README's table of proofs.  Every number is counted, none is written down."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

BEGIN_MARKER, END_MARKER = "<!-- proofs -->", "<!-- /proofs -->"
BACKENDS = ("moto", "ministack")


@dataclass(frozen=True)
class Guarantee:
    """One row: what is promised, how it is proved, and the test modules that prove it."""

    guarantee: str
    proof: str
    modules: tuple[str, ...]

    @property
    def command(self) -> str:
        return "make test ARGS='" + " ".join(f"tests/{module.replace('.', '/')}.py" for module in self.modules) + "'"


GUARANTEES = (
    Guarantee(
        "After apply, plan is empty",
        "the real stack, eleven updates of it there and back, its end, every example of the schemas, manifests made at "
        "random",
        ("proofs.test_convergence", "proofs.test_examples", "proofs.test_generated"),
    ),
    Guarantee(
        "A run that dies anywhere is healed by the next",
        "killed before and after each call that changes AWS; see the counts below",
        ("proofs.test_crash_anywhere",),
    ),
    Guarantee(
        "A plan changes nothing",
        "all its calls are reads; it is the same under a policy that denies writes and secrets",
        ("proofs.test_plan_writes_nothing",),
    ),
    Guarantee(
        "There is no state file",
        "from two empty folders the plan is the same to the byte; apply leaves no file",
        ("proofs.test_no_state",),
    ),
    Guarantee(
        "No noise",
        "AWS's own defaults are no change; what you change by hand is one only where a manifest speaks of it",
        ("proofs.test_noise",),
    ),
    Guarantee(
        "Throttling and outages are survived",
        "3 calls of 10 fail: the plan is the same, apply ends well; answers lost after the deed leave nothing double",
        ("proofs.test_faults",),
    ),
    Guarantee(
        "Data does not go by accident",
        "a removed file, no files, a replacement, somebody else's bucket, the wrong account or region: each is refused",
        ("proofs.test_guards",),
    ),
    Guarantee(
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

    def count_cases(self, guarantee: Guarantee, backend: str) -> int:
        matching = (case for case in self.cases if case.module in guarantee.modules and case.backend == backend)
        return sum(case.crashes or 1 for case in matching)


SCENARIO_TITLES = {
    "create": "creates the stack",
    "destroy": "destroys it",
    "create express": "creates the service and buckets alone, on ECS Express",
    "destroy express": "destroys those",
}
"""Scenarios in a reader's words."""


def read_report(*files: Path) -> Report:
    """The run that ``files`` tell of."""
    suites = [suite for file in files for suite in ET.parse(file).iter("testsuite")]
    cases = tuple(_parse_case(element) for suite in suites for element in suite.iter("testcase"))
    day = min(suite.get("timestamp", "") for suite in suites)[:10]
    return Report(cases, day)


def _parse_case(element: ET.Element) -> Case:
    module = element.get("classname", "").removeprefix("tests.")
    name = element.get("name", "")
    match = re.search(r"\[(?:.*-)?(moto|ministack)\b", name)
    result = next((child.tag for child in element if child.tag in {"failure", "error", "skipped"}), "passed")
    properties = {child.get("name"): child.get("value", "") for child in element.iter("property")}
    return Case(
        module=module,
        name=name,
        backend=match[1] if match else "none" if module in WITHOUT_AWS else "moto",
        result=result,
        scenario=properties.get("scenario", ""),
        crashes=int(properties.get("crashes", 0)),
    )


def find_problems(report: Report) -> list[str]:
    """Why this run proves less than the table would say."""
    issues = [f"{case.module}::{case.name}: {case.result}" for case in report.cases if case.result != "passed"]
    expected_modules = {module for guarantee in GUARANTEES for module in guarantee.modules}
    issues += [f"{module} is in no row" for module in sorted({case.module for case in report.cases} - expected_modules)]
    run_modules = {case.module for case in report.cases}
    return [*issues, *(f"{module} did not run" for module in sorted(expected_modules - run_modules))]


def render_tables(report: Report) -> str:
    """Both tables, in Markdown."""
    lines = [
        f"From a run on {report.day}: {len(report.cases)} tests. `make proofs` runs them again and writes this.",
        "",
        "| promise | proved by | cases on moto | on MiniStack | without AWS | result | run it |",
        "|---|---|--:|--:|--:|---|---|",
        *(_guarantee_row(report, guarantee) for guarantee in GUARANTEES),
        "",
        *_iter_crash_rows(report),
    ]
    return "\n".join(lines)


def _guarantee_row(report: Report, guarantee: Guarantee) -> str:
    counts = [str(report.count_cases(guarantee, backend) or "") for backend in (*BACKENDS, "none")]
    results = Counter(case.result for case in report.cases if case.module in guarantee.modules)
    result = (
        "all pass"
        if set(results) == {"passed"}
        else ", ".join(f"{n} {outcome_name}" for outcome_name, n in results.items())
    )
    return f"| {guarantee.guarantee} | {guarantee.proof} | {' | '.join(counts)} | {result} | `{guarantee.command}` |"


def _iter_crash_rows(report: Report) -> Iterable[str]:
    """A row a scenario: how many calls change AWS, how many deaths were died."""
    cases = [case for case in report.cases if case.scenario]
    crash_counts = Counter[tuple[str, str]]()
    for case in cases:
        crash_counts[case.scenario, case.backend] += case.crashes
    yield "| killed while it | calls that change AWS | crashes on moto | on MiniStack | healed by the next run |"
    yield "|---|--:|--:|--:|---|"
    for scenario in dict.fromkeys(case.scenario for case in cases):
        moto, ministack = (crash_counts[scenario, backend] for backend in BACKENDS)
        is_healed = all(case.result == "passed" for case in cases if case.scenario == scenario)
        title = SCENARIO_TITLES.get(scenario, f"updates: {scenario}")
        yield f"| {title} | {max(moto, ministack) // 2} | {moto} | {ministack} | {'all' if is_healed else 'NOT all'} |"
    total = [
        sum(count for (_, crash_backend), count in crash_counts.items() if crash_backend == backend)
        for backend in BACKENDS
    ]
    yield f"| **together** | {max(total) // 2} | {total[0]} | {total[1]} | |"


def insert_table(readme: str, text: str) -> str:
    """``readme`` with ``text`` between the marks."""
    head, _, rest = readme.partition(BEGIN_MARKER)
    _, end, tail = rest.partition(END_MARKER)
    if not end:
        raise ValueError(f"the README has no {BEGIN_MARKER} ... {END_MARKER}")
    return f"{head}{BEGIN_MARKER}\n{text}\n{END_MARKER}{tail}"
