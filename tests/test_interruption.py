"""Pauses of worker threads end when the run is interrupted, whatever waits in them."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from botocore.hooks import HierarchicalEmitter

from orchestrator import interruption
from orchestrator.aws.botocore_hooks import FastEventAliaser
from orchestrator.problems import ExitCode, Problems

PRODUCT = Path(interruption.__file__).parent
IN_WORKERS = ("aws", "doctor", "planning", "release", "resources")
"""Packages whose functions run in the threads of a pool."""
LONG_SECONDS = 60.0


def list_modules() -> list[Path]:
    return [path for package in IN_WORKERS for path in (PRODUCT / package).rglob("*.py")]


def is_call_of(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == name


def test_no_worker_sleeps_without_an_end() -> None:
    """``time.sleep`` and a pool of the standard library do not hear that the run is interrupted."""
    modules = list_modules()
    nodes = [(path, node) for path in modules for node in ast.walk(ast.parse(path.read_text()))]

    assert len(modules) > 100
    assert [path.name for path, node in nodes if is_call_of(node, "ThreadPoolExecutor")] == []
    assert sorted({path.name for path, node in nodes if is_call_of(node, "time.sleep")}) == []


@pytest.mark.parametrize("delay", [LONG_SECONDS, 0])
def test_a_pause_of_botocore_ends_with_the_run(delay: float) -> None:
    """botocore asks its handlers for the seconds before the next attempt (``Endpoint._needs_retry``)."""
    emitter = HierarchicalEmitter()
    emitter.register("needs-retry.s3", lambda **_: delay)
    stop_requested = threading.Event()
    with interruption.start_pool(1, "test", stop_requested) as pool:
        future = pool.submit(FastEventAliaser(emitter).emit, "needs-retry.s3.PutObject")
        if not delay:
            assert future.result(5) == [(None, 0)]
            return
        stop_requested.set()
        with pytest.raises(Problems) as stopped:
            future.result(5)

    assert stopped.value.exit_code is ExitCode.INTERRUPTED


@pytest.mark.parametrize("answer", [None, False])
def test_an_attempt_that_is_not_repeated_is_not_paused(answer: Any) -> None:
    emitter = HierarchicalEmitter()
    emitter.register("needs-retry.s3", lambda **_: answer)
    (_, response), *others = FastEventAliaser(emitter).emit("needs-retry.s3.PutObject")

    assert (response, others) == (answer, [])


def test_pools_within_a_pool_end_with_it() -> None:
    """A batch of calls pauses in threads of its own."""
    stop_requested, has_started = threading.Event(), threading.Event()

    def pause_in_a_pool() -> None:
        with interruption.start_pool(1, "inner") as inner:
            has_started.set()
            inner.submit(interruption.pause, LONG_SECONDS).result()

    with interruption.start_pool(1, "outer", stop_requested) as outer:
        future = outer.submit(pause_in_a_pool)
        assert has_started.wait(5)
        stop_requested.set()
        with pytest.raises(Problems):
            future.result(5)


def test_reads_are_left_behind() -> None:
    """Even those that no pause ends: a server that does not answer would hold up the end for a minute."""
    all_started, answer = threading.Barrier(3, timeout=10), threading.Event()
    waits = (interruption.pause, answer.wait)
    futures: list[Future[Any]] = []

    def start(wait: Callable[[float], object]) -> None:
        all_started.wait()
        wait(LONG_SECONDS)

    def interrupt() -> None:
        with interruption.reading_pool(2, "read") as pool:
            futures.extend(pool.submit(start, wait) for wait in waits)
            all_started.wait()
            raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        assert not futures[1].done()
    finally:
        answer.set()
    assert isinstance(futures[0].exception(10), Problems)
