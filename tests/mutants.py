"""Mutation testing of the parts that decide: `make mutants`.

mutmut makes a copy of the product with one small fault in each copy of a function, and runs the tests that call it.
This module chooses which mutants run (of the functions that a branch changed, of modules, or a random sample), and
compares the survivors with ``mutants.yaml``:

    killed:       area: percent of the mutants, of those that a test calls, that are killed at least; only ever raised
    equivalents:  mutant: why no test can see it; it does not count

A survivor is looked at with ``mutmut show NAME``, and then killed by a test or, if nothing can see it, listed as an
equivalent.  The tests that it runs are listed in pyproject.toml; slow ones and those of a second backend are not.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "mutants"
RATCHET = Path(__file__).with_name("mutants.yaml")
KILLED_CODES = frozenset({1, 3})
"""Exit codes of pytest with which mutmut counts a mutant as killed (mutmut 3.8, ``mutmut.models.results``)."""
TIMEOUT_CODES = frozenset({-24, 24, 36, 152, 255})
NO_TESTS_CODES = frozenset({5, 33})


def list_results() -> dict[str, int | None]:
    """Return the exit code of every mutant, by its name; None if it did not run."""
    results: dict[str, int | None] = {}
    for path in sorted(FOLDER.rglob("*.meta")):
        results |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return results


def module_of(mutant: str) -> str:
    """Return the module of a mutant, such as ``orchestrator.planning.diff.x_diff__mutmut_1``."""
    return mutant.rpartition(".")[0]


def list_changed_modules(base: str) -> list[str]:
    """Return the modules of the product that differ from the merge base with ``base``."""
    command = ["git", "diff", "--name-only", f"{base}...", "--", "orchestrator"]
    paths = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    return [
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in paths if path.endswith(".py")
    ]


def select(names: Iterable[str], modules: Iterable[str], sample: int | None, seed: int) -> list[str]:
    """Return the mutants of ``modules`` (patterns; all without any), or a random ``sample`` of them."""
    patterns = list(modules)
    chosen = sorted(
        name for name in names if not patterns or any(fnmatch.fnmatch(module_of(name), pattern) for pattern in patterns)
    )
    if sample is None or sample >= len(chosen):
        return chosen
    return sorted(random.Random(seed).sample(chosen, sample))


def find_excess(results: Mapping[str, int | None], ratchet: Mapping[str, Any]) -> list[str]:
    """Return a line for each area in which too many mutants survive, with their names, and for each stale entry."""
    equivalents, lines = ratchet["equivalents"] or {}, []
    for area, percent in (ratchet["killed"] or {}).items():
        codes = {name: code for name, code in results.items() if name.startswith(area) and name not in equivalents}
        survivors = sorted(name for name, code in codes.items() if code == 0)
        killed = sum(code in KILLED_CODES | TIMEOUT_CODES for code in codes.values())
        if survivors and 100 * killed < percent * (killed + len(survivors)):
            lines.append(f"{area}: less than {percent} % are killed; these survive: {', '.join(survivors)}")
    killed_equivalents = [name for name in equivalents if results.get(name) in KILLED_CODES]
    return [*lines, *(f"{name} is listed as an equivalent, but a test sees it" for name in killed_equivalents)]


def summarise(results: Mapping[str, int | None]) -> str:
    """Return the kill rate, of the mutants that some test calls, and how many are beyond that."""
    killed = sum(code in KILLED_CODES | TIMEOUT_CODES for code in results.values())
    survived = sum(code == 0 for code in results.values())
    uncalled = sum(code in NO_TESTS_CODES for code in results.values())
    rate = f"{killed / (killed + survived):.1%}" if killed + survived else "none"
    return f"{killed} killed, {survived} survived ({rate} killed); {uncalled} in functions that no such test calls"


def run_mutmut(names: list[str]) -> None:
    """Run mutmut on these mutants; it makes what is missing, and keeps the results of what did not change."""
    subprocess.run([sys.executable, "-m", "mutmut", "run", *names], cwd=ROOT, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run mutants and compare the survivors with tests/mutants.yaml.")
    parser.add_argument(
        "modules", nargs="*", help="patterns, such as orchestrator.planning.*; without any, what changed"
    )
    parser.add_argument("--base", default="origin/main", help="the branch to compare with (default: origin/main)")
    parser.add_argument("--all", action="store_true", help="run all mutants")
    parser.add_argument("--sample", type=int, help="run that many, chosen at random")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    everything = options.all or options.sample is not None
    modules = options.modules or ([] if everything else list_changed_modules(options.base))
    if not modules and not everything:
        sys.stdout.write("No module of the product has changed.\n")
        return 0
    if options.sample is None:
        run_mutmut([f"{module}.*" for module in modules])
        names = select(list_results(), modules, None, options.seed)
    else:
        run_mutmut(["orchestrator.ownership_tags.*"])  # makes the mutants of all modules
        names = select(list_results(), modules, options.sample, options.seed)
        run_mutmut(names)
    results = list_results()
    results = {name: results[name] for name in names}
    sys.stdout.write(f"{summarise(results)}\n")
    excess = find_excess(results, yaml.safe_load(RATCHET.read_text(encoding="utf-8")))
    sys.stdout.writelines(f"{line}\n" for line in excess)
    return 1 if excess else 0


if __name__ == "__main__":
    sys.exit(main())
