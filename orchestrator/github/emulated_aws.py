"""Run a workflow step against an emulated AWS, for pull requests without credentials."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.problems import Problems
from orchestrator.vocabulary import Scope


@contextmanager
def emulated_aws(scope: Scope) -> Iterator[None]:
    """Start an empty emulated AWS and point the process environment at it.

    Raises Problems if the emulator is not installed.
    """
    try:
        from orchestrator.emulator import start

        emulator = start(account=scope.account, region=scope.region)
    except ImportError as error:
        raise Problems.from_missing_extra("the emulator", "emulator", error.name) from None
    previous_environment = dict(os.environ)
    with emulator:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(emulator.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(previous_environment)
