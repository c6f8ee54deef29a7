"""Define commands whose help ends with examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


class CliCommand(click.Command):
    """A command with ``examples``: command lines shown at the end of its help."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class CliGroup(CliCommand, click.Group):
    """A command with ``examples`` that also has commands of its own."""


def cli_command(name: str, *examples: str) -> Callable[[Callable[..., Any]], CliCommand]:
    """Return a decorator that makes a function the command ``name``; its docstring is the help."""
    return click.command(name, cls=CliCommand, examples=examples)
