"""Import TensorFlow and Keras without the messages that TensorFlow's libraries write while they load.

``TF_CPP_MIN_LOG_LEVEL`` does not silence them: they are written before the logging of the libraries is set up.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

STDERR = 2
"""File descriptor that C++ libraries write to."""


def import_tensorflow() -> Any:
    """Return the module ``tensorflow``.  Raises ImportError, after writing what the libraries said."""
    return _import("tensorflow")


def import_keras() -> Any:
    """Return the module ``keras``.  Raises ImportError, after writing what the libraries said."""
    return _import("keras")


def _import(name: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if name in sys.modules:
        return sys.modules[name]
    with quiet_stderr():
        return import_module(name)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discard what is written to the file descriptor of stderr, unless the block raises: then write it afterwards."""
    sys.stderr.flush()
    try:
        saved = os.dup(STDERR)
    except OSError:  # the process has no stderr
        yield
        return
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), STDERR)
        try:
            yield
        except BaseException:
            os.dup2(saved, STDERR)
            messages.seek(0)
            os.write(STDERR, messages.read())
            raise
        finally:
            os.dup2(saved, STDERR)
            os.close(saved)
