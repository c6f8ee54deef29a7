"""Define commands whose help ends with examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from orchestrator.cli.command_result import build_result_option


class CliCommand(click.Command):
    """A command with ``examples``: command lines shown at the end of its help.

    Gets ``--format json`` unless it has a ``--format`` of its own, or passes a stream on (``streams``): a program's,
    a server's or a file's.
    """

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), streams: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples
        names = {name for parameter in self.params for name in parameter.opts}
        if "--log-format" in names and "--format" not in names and not streams:
            self.params.append(build_result_option())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class CliGroup(CliCommand, click.Group):
    """A command with ``examples`` that also has commands of its own."""


def cli_command(name: str, *examples: str, streams: bool = False) -> Callable[[Callable[..., Any]], CliCommand]:
    """Return a decorator that makes a function the command ``name``; its docstring is the help.

    ``streams``: the command passes on a stream, so that it cannot end with one JSON document.
    """
    return click.command(name, cls=CliCommand, examples=examples, streams=streams)
