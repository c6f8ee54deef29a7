"""A deterministic scheduler: actors in threads of which one runs at a time, from one call of AWS to its next.

``explore`` runs a scenario in every order of its actors' calls, up to a number of switches away from an actor that
could go on (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007: most faults of concurrency need two or
fewer).  A schedule is a list of choices; a failure prints it, and ``run(scenario, schedule)`` plays it again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

MAX_STEPS = 200


class Choice(Struct, frozen=True):
    """Which of the actors that could run did, and which of them was the one that ran before."""

    actor: int
    runnable: tuple[int, ...]
    previous: int | None


class AbandonedError(BaseException):
    """The scenario is over; raised in the actors that have not ended."""


class Scheduler:
    """Runs actors by turns.  ``pause`` is called by an actor before each call that others can observe."""

    def __init__(self) -> None:
        self._turns: list[threading.Semaphore] = []
        self._back = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._by_thread: dict[int, int] = {}
        self._ended: set[int] = set()
        self._errors: list[BaseException] = []
        self._is_over = False

    def add(self, actor: Callable[[], None]) -> None:
        """Add an actor; it begins with its first turn."""
        number = len(self._turns)
        self._turns.append(threading.Semaphore(0))
        self._threads.append(threading.Thread(target=self._run_actor, args=(number, actor), daemon=True))

    def pause(self) -> None:
        """Give up the turn and wait for the next; calls of other threads, such as the set-up, do not wait."""
        number = self._by_thread.get(threading.get_ident())
        if number is None:
            return
        self._back.release()
        self._turns[number].acquire()
        if self._is_over:
            raise AbandonedError

    def run(self, schedule: Sequence[int]) -> list[Choice]:
        """Run to the end: by ``schedule``, after that without switching.  Raises the first error of an actor."""
        for thread in self._threads:
            thread.start()
        choices: list[Choice] = []
        previous: int | None = None
        while not self._errors and len(self._ended) < len(self._turns):
            runnable = tuple(number for number in range(len(self._turns)) if number not in self._ended)
            preferred = previous if previous in runnable else runnable[0]
            actor = schedule[len(choices)] if len(choices) < len(schedule) else preferred
            assert actor in runnable, f"the schedule {list(schedule)} does not fit the scenario"
            choices.append(Choice(actor, runnable, previous))
            assert len(choices) < MAX_STEPS, "the scenario does not end"
            self._turns[actor].release()
            self._back.acquire()
            previous = actor
        self._is_over = True
        for number, thread in enumerate(self._threads):
            self._turns[number].release()
            thread.join(5)
        if self._errors:
            raise self._errors[0]
        return choices

    def _run_actor(self, number: int, actor: Callable[[], None]) -> None:
        self._by_thread[threading.get_ident()] = number
        self._turns[number].acquire()
        try:
            if not self._is_over:
                actor()
        except AbandonedError:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to whoever runs the scenario
            self._errors.append(error)
        self._ended.add(number)
        self._back.release()


Scenario = Callable[[Scheduler], Callable[[], None]]
"""Adds its actors to a scheduler and returns what checks the end."""


def run(scenario: Scenario, schedule: Sequence[int]) -> list[Choice]:
    """Run a scenario by one schedule; a failure names it."""
    scheduler = Scheduler()
    check = scenario(scheduler)
    try:
        choices = scheduler.run(schedule)
        check()
    except BaseException as error:
        error.add_note(f"to play it again: run(scenario, {list(schedule)})")
        raise
    return choices


def explore(scenario: Scenario, *, max_switches: int = 2) -> int:
    """Run a scenario in every order with at most ``max_switches`` switches; return the number of orders."""
    count = 0
    for _ in _orders(scenario, max_switches):
        count += 1
    return count


def _orders(scenario: Scenario, max_switches: int) -> Iterator[list[Choice]]:
    pending: list[list[int]] = [[]]
    while pending:
        schedule = pending.pop()
        choices = run(scenario, schedule)
        yield choices
        for index in range(len(schedule), len(choices)):
            prefix = [choice.actor for choice in choices[:index]]
            for actor in choices[index].runnable:
                is_other = actor != choices[index].actor
                if is_other and _count_switches(choices[:index], choices[index], actor) <= max_switches:
                    pending.append([*prefix, actor])


def _count_switches(choices: list[Choice], last: Choice, actor: int) -> int:
    """Count the switches away from an actor that could go on; one that has ended has to be left."""
    steps = [(choice.previous, choice.actor, choice.runnable) for choice in choices]
    steps.append((last.previous, actor, last.runnable))
    return sum(previous in runnable and previous != chosen for previous, chosen, runnable in steps)
