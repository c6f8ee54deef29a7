"""The table of proofs says what a run says, and nothing when the run proves less than it would say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proofs import proof_table
from tests.proofs.__main__ import PAGE

PASSED = '<testcase classname="tests.{module}" name="test_it[{backend}-x]" />'
CRASHED = """<testcase classname="tests.proofs.test_crash_anywhere" name="test_it[create 0/4-{backend}]"><properties>
<property name="scenario" value="create" /><property name="backend" value="{backend}" />
<property name="crashes" value="12" /><property name="writes" value="{writes}" /></properties>{inside}</testcase>"""


def report(folder: Path, *cases: str) -> proof_table.Report:
    file = folder / "junit.xml"
    inside = "".join(cases)
    file.write_text(f'<testsuites><testsuite timestamp="2026-11-23T10:00:00">{inside}</testsuite></testsuites>')
    return proof_table.read_report(file)


def everything(backend: str = "moto") -> list[str]:
    modules = [module for promise in proof_table.GUARANTEES for module in promise.modules]
    return [PASSED.format(module=module, backend=backend) for module in modules]


def test_crashes_are_counted_by_scenario_and_backend(tmp_path: Path) -> None:
    """Two shards of twelve deaths each on one backend, one on the other; as many writes as the last one says."""
    runs = (("moto", 19), ("moto", 20), ("ministack", 18))
    crashes = [CRASHED.format(backend=backend, writes=writes, inside="") for backend, writes in runs]
    text = proof_table.render_tables(report(tmp_path, *everything(), *crashes))

    assert "| create the stack | 20 | 24 | 12 | all |" in text
    assert "From a run on 2026-11-23" in text


def test_a_whole_run_without_failures_has_no_problems(tmp_path: Path) -> None:
    """Every module of every row ran and passed."""
    assert proof_table.find_problems(report(tmp_path, *everything())) == []


@pytest.mark.parametrize("inside", ["<failure />", "<error />", "<skipped />"])
def test_what_did_not_pass_is_a_problem(tmp_path: Path, inside: str) -> None:
    """A failure, an error, a skip: the page keeps its old table, and the new one says so."""
    found = report(tmp_path, *everything(), CRASHED.format(backend="moto", writes=20, inside=inside))

    assert len(proof_table.find_problems(found)) == 1
    assert "| NOT all |" in proof_table.render_tables(found)


def test_a_module_that_is_in_no_row_or_did_not_run_is_a_problem(tmp_path: Path) -> None:
    """A new proof needs a row; a row needs its proof."""
    found = report(tmp_path, *everything()[1:], PASSED.format(module="proofs.test_new", backend="moto"))

    assert proof_table.find_problems(found) == [
        "proofs.test_new is not in the table",
        f"{proof_table.GUARANTEES[0].modules[0]} did not run",
    ]


def test_every_proof_there_is_has_a_row() -> None:
    """No file of proofs is left out of the table."""
    rows = {module for promise in proof_table.GUARANTEES for module in promise.modules}
    files = {f"proofs.{path.stem}" for path in (Path(__file__).parent / "proofs").glob("test_*.py")}

    assert files <= rows
    assert [
        module for module in rows if not Path(__file__).parent.joinpath(*module.split(".")).with_suffix(".py").exists()
    ] == []


def test_the_page_shows_no_guarantee_that_the_table_does_not_have() -> None:
    """Words and commands of every row on the page are those of a guarantee."""
    rows = [row.strip("| ").split(" | ") for row in PAGE.read_text().splitlines() if "`make test ARGS=" in row]

    assert rows
    assert {(row[0], row[1], row[-1]) for row in rows} <= {
        (guarantee.guarantee, guarantee.proof, f"`{guarantee.command}`") for guarantee in proof_table.GUARANTEES
    }


def test_only_what_is_between_the_marks_is_replaced() -> None:
    """The rest of the page stays; without marks it is an error."""
    assert (
        proof_table.insert_table("a <!-- proofs -->old<!-- /proofs --> b", "new")
        == "a <!-- proofs -->\nnew\n<!-- /proofs --> b"
    )
    with pytest.raises(ValueError, match="has no"):
        proof_table.insert_table("a", "new")


def test_rows_of_a_part_are_updated_with_their_day_and_the_others_stay(tmp_path: Path) -> None:
    """Two rows ran whole and one in part; the page keeps the order of the guarantees."""
    whole, part = proof_table.GUARANTEES[3], proof_table.GUARANTEES[0]
    modules = [*whole.modules, *part.modules[:1]]
    found = report(tmp_path, *(PASSED.format(module=module, backend="moto") for module in modules))
    head = "| guarantee | proof | cases on moto |\n|---|\n"

    page = proof_table.update_rows(f"{head}| A plan changes nothing | old |\nend", found)

    assert page.split("\n")[2:] == [
        "| A plan changes nothing | old |",
        f"| {whole.guarantee} | {whole.proof} | 1 |  |  | all pass, 2026-11-23 | `{whole.command}` |",
        "end",
    ]
    broken = report(tmp_path, CRASHED.format(backend="moto", writes=20, inside="<failure />"))
    with pytest.raises(ValueError, match="failure"):
        proof_table.update_rows(page, broken)
