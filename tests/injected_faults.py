"""Put faults into a copy of the product and run the tests that have to see them: `make faults`.

``injected_faults.yaml`` lists faults that a reader could overlook, by name:

    file:       the module, and in it ``find``, a text that occurs once, and ``replace``
    tests:      files of tests, or ids, of which at least one has to fail
    guarantee:  the row of the table of proofs (docs/explanation/safety.md) whose proof has to see it

``NAME ...`` puts in these, each alone; ``--guarantees`` those of the table; ``--together`` all at once into one tree,
where each still needs a test that fails (with ``NAME ...``: each of these).  Without any, each alone, which takes a
while.  PYTEST_ADDOPTS goes to pytest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import yaml
from msgspec import Struct

from tests.proofs import proof_table

ROOT = Path(__file__).parent.parent
LIST = Path(__file__).with_suffix(".yaml")
PAGE = ROOT / "docs" / "explanation" / "safety.md"
BEGIN_MARKER, END_MARKER = "<!-- faults -->", "<!-- /faults -->"
PYTEST = ("-q", "-p", "no:cacheprovider")


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """A fault: an edit of one file, and the tests that have to see it."""

    file: str
    find: str
    replace: str
    tests: tuple[str, ...]
    guarantee: str = ""


class Results(Struct, frozen=True):
    """The tests of a run that failed, by node id, and how many ran; files that could not be imported."""

    failed: frozenset[str]
    count: int
    broken: tuple[str, ...] = ()


def load_faults() -> dict[str, Fault]:
    """Return all faults by name."""
    return msgspec.convert(yaml.safe_load(LIST.read_text(encoding="utf-8")), dict[str, Fault])


def apply_faults(folder: Path, faults: Iterable[Fault]) -> None:
    """Edit the files below ``folder``.  Raises ValueError if a text does not occur exactly once."""
    for fault in faults:
        path = folder / fault.file
        text = path.read_text(encoding="utf-8")
        if text.count(fault.find) != 1:
            raise ValueError(f"{fault.file} has {text.count(fault.find)} times {fault.find!r}: update {LIST.name}")
        path.write_text(text.replace(fault.find, fault.replace), encoding="utf-8")


def copy_tree(target: Path) -> None:
    """Copy the files that git knows, and new ones that it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def run_tests(folder: Path, tests: Iterable[str], *options: str) -> Results:
    """Run tests in a copy of the tree."""
    report = folder / "report.xml"
    env = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "ALL_PROOFS": "true"}
    command = [sys.executable, "-m", "pytest", *PYTEST, f"--junit-xml={report}", *options, *dict.fromkeys(tests)]
    process = subprocess.run(command, cwd=folder, env=env, check=False, capture_output=True, text=True)
    if not report.exists():
        raise RuntimeError(process.stdout[-2000:] + process.stderr[-2000:])
    return parse_report(report)


def parse_report(report: Path) -> Results:
    """Read the JUnit XML of a run.  A file that cannot be imported has failed no test."""
    failed: set[str] = set()
    broken: list[str] = []
    count = 0
    for case in ET.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        path = case.get("classname", "").replace(".", "/")
        count += "skipped" not in kinds
        if "error" in kinds and not path:
            broken.append(case.get("name", ""))
        elif kinds & {"failure", "error"}:
            failed.add(f"{path}::{case.get('name', '')}")
    return Results(frozenset(failed), count, tuple(broken))


def is_seen(fault: Fault, failed: Iterable[str]) -> bool:
    """Return whether one of the tests of ``fault`` failed."""
    prefixes = [test.replace(".py", "", 1) for test in fault.tests]
    return any(name.startswith(prefix) for name in failed for prefix in prefixes)


def list_proofs(fault: Fault) -> tuple[str, ...]:
    """Return the tests of a fault that belong to the proof of its guarantee."""
    modules = next(item.modules for item in proof_table.GUARANTEES if item.guarantee == fault.guarantee)
    files = [f"tests/{module.replace('.', '/')}.py" for module in modules]
    return tuple(test for test in fault.tests if test.partition("::")[0] in files)


def render_table(faults: Mapping[str, Fault]) -> str:
    """Render the faults of the guarantees as Markdown."""
    by_guarantee = {fault.guarantee: name for name, fault in faults.items() if fault.guarantee}
    rows = [
        f"| {item.guarantee} | {by_guarantee[item.guarantee].replace('-', ' ')} | "
        f"`make faults ARGS={by_guarantee[item.guarantee]}` |"
        for item in proof_table.GUARANTEES
    ]
    return "\n".join(["| guarantee | a fault that its proof sees | shown by |", "|---|---|---|", *rows])


def insert_table(page: str, text: str) -> str:
    """Return ``page`` with ``text`` between the markers."""
    head, _, rest = page.partition(BEGIN_MARKER)
    _, _, tail = rest.partition(END_MARKER)
    return f"{head}{BEGIN_MARKER}\n{text}\n{END_MARKER}{tail}"


def run_alone(name: str, fault: Fault, tests: Iterable[str]) -> bool:
    """Put in one fault, run its tests until one fails, and say what they saw."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        copy_tree(Path(folder))
        apply_faults(Path(folder), [fault])
        results = run_tests(Path(folder), tests, "-n0", "-x")
    seen = sorted(results.failed)
    verdict = f"red: {seen[0]}" if seen else f"GREEN: {results.count} tests see nothing {' '.join(results.broken)}"
    sys.stdout.write(f"{name}: {verdict}\n")
    sys.stdout.flush()
    return bool(seen)


def run_together(faults: Mapping[str, Fault], watched: Mapping[str, Fault]) -> bool:
    """Put all faults into one tree, run the tests of those ``watched``, and name those that no test of theirs sees."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        copy_tree(Path(folder))
        apply_faults(Path(folder), faults.values())
        results = run_tests(Path(folder), (test for fault in watched.values() for test in fault.tests))
    unseen = [name for name, fault in watched.items() if not is_seen(fault, results.failed)]
    sys.stdout.write(
        f"{len(faults)} faults in one tree: {len(results.failed)} of {results.count} tests fail; "
        f"{len(watched) - len(unseen)} of {len(watched)} faults have a test of theirs that fails\n"
    )
    sys.stdout.writelines(f"GREEN: {name}\n" for name in (*unseen, *results.broken))
    return not unseen and not results.broken


def main() -> int:
    """Return 0 if the tests see every fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--together", action="store_true", help="all at once, in one tree")
    parser.add_argument("--guarantees", action="store_true", help="those of the table of proofs")
    parser.add_argument("--write-table", action="store_true", help="write the table into the page, and run nothing")
    options = parser.parse_args()
    faults = load_faults()
    if unknown := sorted(set(options.names) - set(faults)):
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.write_table:
        PAGE.write_text(insert_table(PAGE.read_text(encoding="utf-8"), render_table(faults)), encoding="utf-8")
        return 0
    if options.together:
        watched = {name: fault for name, fault in faults.items() if name in options.names or not options.names}
        return 0 if run_together(faults, watched) else 1
    chosen = {
        name: fault
        for name, fault in faults.items()
        if name in options.names or (not options.names and (fault.guarantee or not options.guarantees))
    }
    seen = [
        run_alone(name, fault, list_proofs(fault) if fault.guarantee else fault.tests) for name, fault in chosen.items()
    ]
    return 0 if all(seen) else 1


if __name__ == "__main__":
    sys.exit(main())
