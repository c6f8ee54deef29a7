"""Deploy a fresh clone of a checkout to an emulated AWS, as a runner of GitHub would: ``orchestrator init --check``.

The clone has only what git knows or would add: no installed packages, no build results, no caches.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import orchestrator
from orchestrator import shell
from orchestrator.artefacts.images.builder_commands import BUILDER_VARIABLE
from orchestrator.manifest import overlay
from orchestrator.problems import ExitCode, Problems
from orchestrator.quantities import format_count
from orchestrator.runs.terminal import Terminal

TIMEOUT_SECONDS = 3600.0
"""Time for all steps of one deploy."""
_MANIFESTS = "manifests"
_AUTHOR = {f"GIT_{role}_{field}": "init-check" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}


def check(folder: Path, terminal: Terminal) -> int:
    """Deploy every environment of a fresh clone of ``folder``, and return the exit code of the first that failed.

    Raises Problems if the folder is no git repository, or the emulator is not installed.
    """
    try:
        from orchestrator.emulator import container_runtime, start
    except ImportError as error:
        raise Problems.from_missing_extra("the emulator", "emulator", error.name) from None

    with tempfile.TemporaryDirectory(prefix="orchestrator-check-") as temporary:
        clone = Path(temporary) / "clone"
        count = _clone(folder, clone)
        terminal.print_out(f"A fresh clone has {format_count(count, 'file')}: all tracked and untracked files.")
        reason = container_runtime.check_isolation()
        if reason:
            terminal.print_out(f"Services cannot be started on this machine: {reason}.")
        for environment in overlay.list_names(clone / _MANIFESTS):
            with start(run_services=not reason) as emulator:
                terminal.print_out(f"\nDeploying {environment} to an empty emulated AWS.")
                exit_code = _deploy(clone, environment, emulator.environment, terminal)
            if exit_code:
                return exit_code
    terminal.print_out("\nThe fresh clone was deployed successfully.")
    return ExitCode.OK


def _clone(folder: Path, clone: Path) -> int:
    """Copy the files that a commit of everything would contain, commit them, and return their number."""
    listed = shell.run_checked(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        folder=folder,
        failure_message=f"{folder} is not in a git repository",
        hint="git init -b main",
    )
    names = [name for name in listed.split("\0") if name and (folder / name).exists()]
    for name in names:
        target = clone / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / name, target, follow_symlinks=False)
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "--allow-empty", "-m", "Check")):
        shell.run_checked(
            ["git", *arguments],
            folder=clone,
            failure_message="cannot commit the files of the clone",
            environment=_AUTHOR,
        )
    return len(names)


def _deploy(clone: Path, environment: str, aws: Mapping[str, str], terminal: Terminal) -> int:
    """Run the deploy of one environment in the clone, with its output shown as it arrives."""
    package_folder = str(Path(orchestrator.__file__).parents[1])
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name == BUILDER_VARIABLE or not name.startswith(("AWS_", "ORCHESTRATOR_"))
    }
    command = [sys.executable, "-P", "-m", "orchestrator", "deploy", "--auto-approve", "-e", environment]
    return shell.stream(
        command,
        lambda chunk: terminal.print_out(chunk.decode("utf-8", "replace").rstrip("\n")),
        folder=clone,
        environment={**inherited, **aws, "PYTHONPATH": package_folder},
        timeout=TIMEOUT_SECONDS,
    )
