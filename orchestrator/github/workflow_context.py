"""What a verb finds around it in a workflow, where that is not what it would find on a laptop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.problems import Problems
from orchestrator.vocabulary import Scope


@contextmanager
def emulated_aws(scope: Scope) -> Iterator[None]:
    """An empty AWS on this machine, and an environment that leads there and nowhere else.

    Raises Problems where the emulator is not installed.
    """
    try:
        from orchestrator.emulator import start

        emulator = start(account=scope.account, region=scope.region)
    except ImportError as error:
        raise Problems.from_message(
            f"the emulator needs {error.name}", hint="pip install 'orchestrator[emulator]'"
        ) from None
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
