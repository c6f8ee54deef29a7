"""The list of faults fits the product of today, and a fault that no test sees is told."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests import injected_faults
from tests.injected_faults import Fault, Results
from tests.proofs import proof_table

FAULTS = injected_faults.load_faults()
FAULT = Fault("a.py", "x = 1", "x = 2", ("tests/planning/test_diff.py",))


def test_all_faults_fit_into_one_tree(tmp_path: Path) -> None:
    """Each text is there once, beside the other faults too, and what comes out is a program."""
    for name in {fault.file for fault in FAULTS.values()}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((injected_faults.ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")

    injected_faults.apply_faults(tmp_path, FAULTS.values())

    assert len(FAULTS) >= 60
    assert all(ast.parse(path.read_text(encoding="utf-8")) for path in tmp_path.rglob("*.py"))


def test_every_fault_names_tests_that_there_are() -> None:
    files = {test.partition("::")[0] for fault in FAULTS.values() for test in fault.tests}
    functions = {
        (file, test.partition("::")[2].partition("[")[0])
        for fault in FAULTS.values()
        for test in fault.tests
        for file in [test.partition("::")[0]]
        if "::" in test
    }

    assert [file for file in files if not (injected_faults.ROOT / file).is_file()] == []
    assert [
        (file, function)
        for file, function in functions
        if f"def {function}(" not in (injected_faults.ROOT / file).read_text(encoding="utf-8")
    ] == []


def test_every_guarantee_has_a_fault_that_its_own_proof_sees() -> None:
    """`make faults ARGS=--guarantees` shows them; the page has their table (`--write-table`)."""
    guarantees = [fault.guarantee for fault in FAULTS.values() if fault.guarantee]
    page = injected_faults.PAGE.read_text(encoding="utf-8")

    assert sorted(guarantees) == sorted(item.guarantee for item in proof_table.GUARANTEES)
    assert all(injected_faults.list_proofs(fault) for fault in FAULTS.values() if fault.guarantee)
    assert injected_faults.insert_table(page, injected_faults.render_table(FAULTS)) == page


@pytest.mark.parametrize(("text", "count"), [("x = 10\nx = 1\n", 2), ("y = 1\n", 0)])
def test_a_text_that_is_not_there_once_is_no_fault(tmp_path: Path, text: str, count: int) -> None:
    (tmp_path / "a.py").write_text(text)

    with pytest.raises(ValueError, match=rf"a\.py has {count} times"):
        injected_faults.apply_faults(tmp_path, [FAULT])


REPORT = """<testsuites><testsuite>
  <testcase classname="tests.planning.test_diff" name="test_cases[a]"><failure/></testcase>
  <testcase classname="tests.planning.test_diff" name="test_cases[b]"/>
  <testcase classname="tests.planning.test_plan" name="test_b"><skipped/></testcase>
  <testcase classname="tests.planning.test_apply" name="test_a"><error/></testcase>
  <testcase classname="" name="tests.planning.test_broken"><error/></testcase>
</testsuite></testsuites>"""
IDS = {
    ("tests/planning/test_diff.py",): True,
    ("tests/planning/test_diff.py::test_cases[a]",): True,
    ("tests/planning/test_diff.py::test_cases[b]",): False,
    ("tests/planning/test_plan.py",): False,
    ("tests/planning/test_broken.py",): False,
    ("tests/planning/test_plan.py", "tests/planning/test_apply.py"): True,
}


@pytest.mark.parametrize(("tests", "seen"), IDS.items())
def test_a_fault_is_seen_by_a_failure_of_its_own_tests(tmp_path: Path, tests: tuple[str, ...], seen: bool) -> None:
    """A file that cannot be imported has seen nothing."""
    (tmp_path / "report.xml").write_text(REPORT)

    results = injected_faults.parse_report(tmp_path / "report.xml")

    assert results == Results(
        frozenset({"tests/planning/test_diff::test_cases[a]", "tests/planning/test_apply::test_a"}),
        4,
        ("tests.planning.test_broken",),
    )
    assert injected_faults.is_seen(replace(FAULT, tests=tests), results.failed) is seen
