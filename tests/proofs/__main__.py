"""Run every proof and write the results to docs/explanation/safety.md: ``python -m tests.proofs``.

``--from FILE`` uses the JUnit XML of an earlier run instead (``pytest --junit-xml FILE``); repeat it for a run in
parts.  ``--rows`` updates only the rows of which every module is in these files.  If a proof failed or is missing, the
table goes to standard output only, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.proofs import proof_table, real_stack

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "safety.md"
TEST_PATHS = (
    "tests/proofs",
    *(
        f"tests/{module.replace('.', '/')}.py"
        for guarantee in proof_table.GUARANTEES
        for module in guarantee.modules
        if not module.startswith("proofs.")
    ),
)


def run_proofs(report_path: Path, pytest_options: list[str]) -> None:
    """Run the proofs, and write their JUnit XML to ``report_path``."""
    subprocess.run(
        [sys.executable, "-m", "pytest", *TEST_PATHS, f"--junit-xml={report_path}", *pytest_options],
        cwd=ROOT,
        env={**os.environ, real_stack.EXHAUSTIVE: "true"},
        check=False,
    )


def main() -> int:
    """Return 0 if every proof passed and the page was updated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--from",
        dest="files",
        type=Path,
        action="append",
        help="JUnit XML of an earlier run, or of a part of it (repeatable)",
    )
    parser.add_argument("--rows", action="store_true", help="update only the rows that --from proves whole")
    options, pytest_options = parser.parse_known_args()
    if options.rows:
        PAGE.write_text(proof_table.update_rows(PAGE.read_text(), proof_table.read_report(*options.files)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        files = options.files or [Path(folder, "proofs.xml")]
        if not options.files:
            run_proofs(files[0], pytest_options)
        report = proof_table.read_report(*files)
    text = proof_table.render_tables(report)
    sys.stdout.write(text + "\n")
    if issues := proof_table.find_problems(report):
        sys.stderr.write("\n".join([f"{PAGE.relative_to(ROOT)} not updated:", *issues]) + "\n")
        return 1
    PAGE.write_text(proof_table.insert_table(PAGE.read_text(), text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
