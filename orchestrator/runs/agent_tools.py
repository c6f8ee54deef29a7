"""Answer questions of a coding agent by running read-only commands.

Each answer is what the command prints, as JSON where it has that.  Commands run in processes of their own, which know
neither the state service nor GitHub: they can read AWS with the credentials at hand, and change nothing anywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator import shell

READ_ONLY_COMMANDS = frozenset(
    {"cost", "drift", "explain", "graph", "outlook", "plan", "releases", "render", "status", "validate"}
)
TIMEOUT_SECONDS = 300.0
_HIDDEN_PREFIXES = ("ORCHESTRATOR_", "GITHUB_", "GH_", "ACTIONS_")
"""Variables by which a command would report to the state service or to GitHub."""


class AgentTools:
    """The questions that an agent may ask about the manifests in one folder.

    A project with several environments answers a question about none of them with their names.
    """

    def __init__(self, manifests: Path, environ: Mapping[str, str] | None = None) -> None:
        inherited = os.environ if environ is None else environ
        self._manifests = manifests
        self._environ = {name: value for name, value in inherited.items() if not name.startswith(_HIDDEN_PREFIXES)}

    def validate(self) -> str:
        """Check the manifests of every environment offline. Lists all problems with file, line and hint."""
        return self._run("validate")

    def explain(self, path: str = "") -> str:
        """Explain a manifest kind or field, such as `bucket` or `bucket.spec.lifecycle`. Without a path: all kinds."""
        return self._run("explain", positional=[path] if path else [])

    def render(self, environment: str = "") -> str:
        """Print the merged manifests of one environment, with defaults filled in."""
        return self._run("render", environment=environment)

    def plan(self, environment: str = "") -> str:
        """Show what would change in AWS, as JSON: changes, fields, vetoes and notes. Changes nothing."""
        return self._run("plan", ["--format=json"], environment=environment)

    def drift(self, environment: str = "") -> str:
        """Show where AWS differs from the manifests, as JSON."""
        return self._run("drift", ["--format=json"], environment=environment)

    def status(self, environment: str = "") -> str:
        """Show what runs where, as JSON: release, addresses, health, drift, lock and cost."""
        return self._run("status", ["--format=json"], environment=environment)

    def releases(self, environment: str = "") -> str:
        """List the releases, why each failed or was rolled back, and which can be restored, as JSON."""
        return self._run("releases", ["--format=json"], environment=environment)

    def cost(self, environment: str = "") -> str:
        """Estimate what the stack costs a month, as JSON, by component and by resource."""
        return self._run("cost", ["--format=json"], environment=environment)

    def outlook(self, environment: str = "", days: int = 365) -> str:
        """List the dates on which AWS changes what the stack costs, or changes it by itself."""
        return self._run("outlook", [f"--days={days}"], environment=environment)

    def graph(self, environment: str = "") -> str:
        """Say which component needs which, as JSON."""
        return self._run("graph", ["--format=json"], environment=environment)

    def _run(
        self, command: str, options: Sequence[str] = (), *, environment: str = "", positional: Sequence[str] = ()
    ) -> str:
        """Run a read-only command; its error messages are an answer too.

        Values are passed as ``--name=value`` or behind ``--``, so that none of them can be an option.
        """
        if command not in READ_ONLY_COMMANDS:
            raise PermissionError(f"{command} is not read-only")
        arguments = [*options, f"--manifests={self._manifests}", "--no-color"]
        arguments += [f"--environment={environment}"] if environment else []
        process = [sys.executable, "-m", "orchestrator", command, *arguments, "--", *positional]
        result = shell.run(process, inherited=self._environ, timeout=TIMEOUT_SECONDS)
        status = f"\n(exit code {result.exit_code})" if result.exit_code else ""
        return f"{result.output.strip()}{status}"
