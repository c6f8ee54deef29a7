"""Format the command that starts a workflow by hand.  Pure."""

from __future__ import annotations

from typing import Final

DEFAULT_ENVIRONMENT: Final = "prod"
"""The environment that the workflows use if the command does not name one."""


def format_command(workflow: str, environment: str, **inputs: str | int) -> str:
    """Return the ``gh`` command that starts ``workflow`` for an environment; GitHub refuses inputs it does not declare.

    The default environment is left out, because a workflow for one environment has no input for it.
    """
    named = {} if environment == DEFAULT_ENVIRONMENT else {"environment": environment}
    options = "".join(f" -f {name}={value}" for name, value in {**named, **inputs}.items())
    return f"gh workflow run {workflow}.yml{options}"
