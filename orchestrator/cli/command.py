"""A verb: a command whose help ends with examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


class CliCommand(click.Command):
    """A command with ``examples``, each a line that can be typed."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def cli_command(name: str, *examples: str) -> Callable[[Callable[..., Any]], CliCommand]:
    """Make a function the verb ``name``; its docstring is the help."""
    return click.command(name, cls=CliCommand, examples=examples)
