"""Validating is run on every push: it imports what it needs and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = {
    "boto3",
    "botocore",
    "rich",
    "httpx",
    "structlog",
    "asyncio",
    "difflib",
    "lark",
    "orchestrator.aws",
}
PROBE = """
import sys
from pathlib import Path
from orchestrator.manifest import check, load
check.check(load.load(Path("manifests")), None)
print(*sorted(name for name in sys.modules if name in {heavy!r} or name.startswith("orchestrator.resources.")))
"""


def test_validating_starts_light() -> None:
    """No AWS library, no renderer, no resource module, and no speller while nothing is misspelt.

    Nor a grammar: jsonschema compiles one of RFC 3987 at import, if ``rfc3987-syntax`` is installed (0.6 s).
    """
    command = [sys.executable, "-c", PROBE.format(heavy=HEAVY)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (run.stdout.strip(), run.stderr) == ("", "")


def test_the_command_starts_light() -> None:
    """Expanding the manifests names fields of resources, and needs no AWS library for it."""
    probe = "import sys; from orchestrator.cli.main import main; main(['validate']); print({names})"
    names = "*sorted({'boto3', 'botocore', 'lark', 'orchestrator.aws'} & set(sys.modules))"
    command = [sys.executable, "-c", probe.replace("{names}", names)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert "are valid" in run.stdout
    assert run.stdout.splitlines()[-1] == ""


def test_loading_needs_no_validator() -> None:
    """jsonschema is the heaviest import of all, and only checking uses it."""
    probe = "import sys, orchestrator.manifest.load, orchestrator.manifest.overlay; print('jsonschema' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (run.stdout.strip(), run.stderr) == ("False", "")
