"""Fork this process with the emulated AWS in it, so that each case has its own copy."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from orchestrator.emulator import Emulator


def prepare_to_fork(emulator: Emulator) -> None:
    """Prepare for forks: stop all threads, and exempt existing objects from garbage collection.

    A collection would touch all memory pages, and every touched page is copied in each fork.
    """
    emulator.pause()
    gc.collect()
    gc.freeze()


def run_in_fork(
    emulator: Emulator, body: Callable[..., Any], make_workers: Callable[[], tuple[Any, ...]] = tuple
) -> Any:
    """Run ``body`` in a fork, and return its result, serialised as JSON.

    ``make_workers`` makes further processes in the fork, before it has any thread; ``body`` gets them. An exception in
    the fork is returned as a list with one message.
    """
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read_fd)
            workers = make_workers()
            emulator.open(urlsplit(os.environ["AWS_ENDPOINT_URL"]).port or 0)  # existing clients use this port
            result = json.dumps(body(*workers))
        except BaseException as error:  # noqa: BLE001 - report everything to the parent
            result = json.dumps([f"{type(error).__name__}: {error}"])
        with os.fdopen(write_fd, "w") as pipe:
            pipe.write(result)
        os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd) as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    return json.loads(result)
