"""Render the table of proofs from the JUnit XML of a run; all numbers are counted from it."""

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
    """A row of the table: the guarantee, its proof in words, and the test modules that prove it."""

    guarantee: str
    proof: str
    modules: tuple[str, ...]

    @property
    def command(self) -> str:
        return "make test ARGS='" + " ".join(f"tests/{module.replace('.', '/')}.py" for module in self.modules) + "'"


GUARANTEES = (
    Guarantee(
        "After apply, plan is empty",
        "the real stack, eleven updates of it applied and reverted, its destruction, every example in the schemas, and "
        "random manifests",
        ("proofs.test_convergence", "proofs.test_examples", "proofs.test_generated"),
    ),
    Guarantee(
        "The next run recovers from a crash at any point",
        "killed at each moment between two AWS writes at which AWS or the run differ; see the counts below",
        ("proofs.test_crash_anywhere",),
    ),
    Guarantee(
        "A plan changes nothing",
        "it makes only read calls, and is identical under a policy that denies writes and secrets",
        ("proofs.test_plan_writes_nothing",),
    ),
    Guarantee(
        "There is no state file",
        "from two empty folders the plan is byte-identical; apply leaves no file",
        ("proofs.test_no_state",),
    ),
    Guarantee(
        "No noise in plans",
        "AWS defaults are not shown as changes; manual changes are shown only for fields that a manifest sets",
        ("proofs.test_noise",),
    ),
    Guarantee(
        "Throttling and outages are tolerated",
        "with 30% of calls failing, the plan is the same and apply succeeds; lost responses leave no duplicates",
        ("proofs.test_faults",),
    ),
    Guarantee(
        "Data is not deleted by accident",
        "a removed file, no files, a replacement, a foreign bucket, the wrong account or region: each is refused",
        ("proofs.test_guards",),
    ),
    Guarantee(
        "A resource is found by what nobody edits",
        "descriptions, names and tags edited by hand, lost responses while listings lag, renamed resources, and those "
        "that environments share: kept until the last one leaves",
        ("proofs.test_identity",),
    ),
    Guarantee(
        "A new account takes one run, and a limited one is told why",
        "new roles in all wordings, no service-linked role, Free plan, unverified, a member, an expired session; a run "
        "killed and healed, and everything deleted, while reads miss what is new and AWS lets go late",
        ("proofs.test_account_states", "proofs.test_first_day_faults", "doctor.test_account"),
    ),
    Guarantee(
        "A changed network converges",
        "subnets changed three times, although App Runner allows one connector for a combination of security groups",
        ("proofs.test_network_changes",),
    ),
    Guarantee(
        "Workflows may do what AWS asks of them, and nothing else",
        "every request of the whole life of a stack that uses every option, in both runtimes, and what an attacker "
        "would try; actions and ARNs as the service authorization reference has them",
        ("bootstrap.test_lifecycle", "bootstrap.test_attacks", "bootstrap.test_boundary"),
    ),
    Guarantee(
        "Only the run that holds the lock writes",
        "writers stopped past both leases under throttling, wrong clocks, odd leases and ledgers, every order of calls",
        (
            "runs.test_stopped_writer",
            "aws.test_send_guard",
            "release.test_bucket_lease",
            "schedules.test_release_bucket",
        ),
    ),
    Guarantee(
        "A rollback goes on without the state service, and a record cannot be forged",
        "a service that is away or broken, full disks, forged tokens, plans, rows and exports, slow and many clients",
        (
            *("runs.test_emergency_exit", "cli.test_unlock", "state.test_writers", "state.test_integrity"),
            *("state.test_oidc", "state.test_middleware", "state.test_overload", "state.test_slow_clients"),
            "state.test_webhooks",
        ),
    ),
    Guarantee(
        "Independent changes run in parallel, dependent changes in order",
        "the real stack as AWS observes it, and random graphs",
        ("proofs.test_parallel", "planning.test_apply"),
    ),
)
WITHOUT_AWS = frozenset(
    {"planning.test_apply", "bootstrap.test_attacks", "bootstrap.test_boundary", "schedules.test_release_bucket"}
    | {f"state.test_{name}" for name in ("writers", "integrity", "oidc", "middleware", "overload", "slow_clients")}
    | {"state.test_webhooks"}
)


@dataclass(frozen=True)
class Case:
    """A test that ran."""

    module: str
    name: str
    backend: str
    result: str
    scenario: str = ""
    crashes: int = 0
    writes: int = 0
    """Number of the last write that was killed at."""


@dataclass(frozen=True)
class Report:
    """A test run: its cases and its date."""

    cases: tuple[Case, ...]
    day: str

    def count_cases(self, guarantee: Guarantee, backend: str) -> int:
        matching = (case for case in self.cases if case.module in guarantee.modules and case.backend == backend)
        return sum(case.crashes or 1 for case in matching)


SCENARIO_TITLES = {
    "create": "create the stack",
    "destroy": "destroy the stack",
    "create express": "create only the service and the buckets, on ECS Express",
    "destroy express": "destroy the service and the buckets, on ECS Express",
    "restore snapshot": "`restore database --snapshot`",
    "restore time": "`restore database --to`",
    "restore drill": "`restore database --drill`",
    "restore files": "`restore files --overwrite`",
    "restore secret": "`restore secret`",
    "restore ledger": "`restore ledger`",
    "migrate files": "`migrate files`",
    "rotate secret": "`secret rotate`",
    "upgrade database": "`upgrade database --now`",
}
"""Titles of scenarios in the table."""


def read_report(*files: Path) -> Report:
    """Read a run from one or more JUnit XML files."""
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
        writes=int(properties.get("writes", 0)),
    )


def find_problems(report: Report) -> list[str]:
    """Return why this run does not prove the whole table; an empty list if it does."""
    issues = [f"{case.module}::{case.name}: {case.result}" for case in report.cases if case.result != "passed"]
    expected_modules = {module for guarantee in GUARANTEES for module in guarantee.modules}
    issues += [
        f"{module} is not in the table" for module in sorted({case.module for case in report.cases} - expected_modules)
    ]
    run_modules = {case.module for case in report.cases}
    return [*issues, *(f"{module} did not run" for module in sorted(expected_modules - run_modules))]


def render_tables(report: Report) -> str:
    """Render both tables as Markdown."""
    lines = [
        f"From a run on {report.day} with {len(report.cases)} tests. Run `make proofs` to update this table.",
        "",
        "| guarantee | proof | cases on moto | on MiniStack | without AWS | result | command |",
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
    """Yield a row per scenario: the number of AWS writes and of simulated crashes."""
    cases = [case for case in report.cases if case.scenario]
    crash_counts = Counter[tuple[str, str]]()
    write_counts = Counter[str]()
    for case in cases:
        crash_counts[case.scenario, case.backend] += case.crashes
        write_counts[case.scenario] = max(write_counts[case.scenario], case.writes)
    yield "| killed during | AWS writes | crashes on moto | on MiniStack | recovered by the next run |"
    yield "|---|--:|--:|--:|---|"
    for scenario in dict.fromkeys(case.scenario for case in cases):
        moto, ministack = (crash_counts[scenario, backend] for backend in BACKENDS)
        is_healed = all(case.result == "passed" for case in cases if case.scenario == scenario)
        title = SCENARIO_TITLES.get(scenario, f"update: {scenario}")
        yield f"| {title} | {write_counts[scenario]} | {moto} | {ministack} | {'all' if is_healed else 'NOT all'} |"
    total = [
        sum(count for (_, crash_backend), count in crash_counts.items() if crash_backend == backend)
        for backend in BACKENDS
    ]
    yield f"| **total** | {write_counts.total()} | {total[0]} | {total[1]} | |"


def update_rows(page: str, report: Report) -> str:
    """Return ``page`` with the rows that the run has proved whole, each with its day; the others stay as they are.

    Raises ValueError if a case did not pass, or the page has no table.
    """
    failed = [f"{case.module}::{case.name}: {case.result}" for case in report.cases if case.result != "passed"]
    if failed:
        raise ValueError("\n".join(failed))
    run_modules = {case.module for case in report.cases}
    new_rows = {
        guarantee.guarantee: _guarantee_row(report, guarantee).replace("| all pass |", f"| all pass, {report.day} |")
        for guarantee in GUARANTEES
        if run_modules.issuperset(guarantee.modules)
    }
    lines = page.split("\n")
    start = lines.index(next(line for line in lines if line.startswith("| guarantee | proof | cases"))) + 2
    stop = next(index for index in range(start, len(lines)) if not lines[index].startswith("|"))
    rows = {line.strip("| ").partition(" | ")[0]: line for line in lines[start:stop]} | new_rows
    ordered = [rows[guarantee.guarantee] for guarantee in GUARANTEES if guarantee.guarantee in rows]
    return "\n".join([*lines[:start], *ordered, *lines[stop:]])


def insert_table(page: str, text: str) -> str:
    """Return ``page`` with ``text`` between the markers; raise ValueError if they are missing."""
    head, _, rest = page.partition(BEGIN_MARKER)
    _, end, tail = rest.partition(END_MARKER)
    if not end:
        raise ValueError(f"the page has no {BEGIN_MARKER} ... {END_MARKER}")
    return f"{head}{BEGIN_MARKER}\n{text}\n{END_MARKER}{tail}"
