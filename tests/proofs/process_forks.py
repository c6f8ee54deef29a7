"""Copies of this process with the emulated AWS inside of it: what is done in one is not done in any other."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from orchestrator.emulator import Emulator


def prepare_to_fork(emulator: Emulator) -> None:
    """Make ready for copies: no thread is left, and what is there is not touched by the search for garbage again.

    Each page of memory that a copy touches is copied, and that search touches them all.
    """
    emulator.pause()
    gc.collect()
    gc.freeze()


def run_in_fork(emulator: Emulator, body: Callable[[], Any]) -> Any:
    """Run ``body`` in a copy of this process and of the world in it; returns what it returned, by way of JSON.

    An exception in there comes back as a list of one sentence.
    """
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read_fd)
            emulator.open(urlsplit(os.environ["AWS_ENDPOINT_URL"]).port or 0)  # the clients are made already
            result = json.dumps(body())
        except BaseException as error:  # noqa: BLE001 - whatever it was, the parent has to hear of it
            result = json.dumps([f"{type(error).__name__}: {error}"])
        with os.fdopen(write_fd, "w") as pipe:
            pipe.write(result)
        os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd) as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    return json.loads(result)
