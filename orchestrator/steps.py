"""Describe the work of a change as steps.  A change is a generator that yields steps and is sent their responses.

``trace_steps`` drives it with Unknown responses (a plan), ``execute_steps`` with real ones (an apply).
Pure: nothing here performs a step.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, TypeAlias

from msgspec import Struct

from orchestrator.quantities import format_count
from orchestrator.values import Sensitive, Unknown, Value, describe, to_plain
from orchestrator.vocabulary import PlannedStep


def _read_nothing(aws: Any, message: str) -> Any:
    """Return None: nothing is known about an existing resource."""


def _ignore_retry(_: str) -> None:
    """Ignore what a retried call waits for."""


class ApiCall(Struct, frozen=True):
    """One API call, with boto3's names, e.g. ``("rds", "create_db_instance")``.

    Errors are named by code, or ``Code: text`` if the message has to contain a text; case does not matter.
    ``ok_codes``: errors that mean the work is already done (the response is then ``{}``).
    ``exists_codes``: errors that mean that there already is such a resource, perhaps somebody else's.
    ``read_existing(reader, message)`` then reads it, checks whose it is and returns the response to continue with, None
    if reads do not show it yet, or raises Problems.  Never use ``ok_codes`` for that.
    ``retry_codes``: errors to retry for up to ``timeout_seconds`` (resource busy).  What ends by itself for every such
    call is in ``aws/error_catalogue.py``.
    ``is_sensitive``: the response is a secret.  ``region``: if not the project's region.  ``on_retry`` gets what the
    call waits for, once, if it takes seconds.
    ``refresh(reader, parameters)``: after ``PreconditionFailed``, which means that somebody changed the resource since
    it was read, read it again and return the parameters to try once more.
    """

    service: str
    operation: str
    parameters: Mapping[str, Value]
    ok_codes: tuple[str, ...] = ()
    retry_codes: tuple[str, ...] = ()
    timeout_seconds: float = 150.0
    is_sensitive: bool = False
    region: str | None = None
    exists_codes: tuple[str, ...] = ()
    read_existing: Callable[[Any, str], Any] = _read_nothing
    on_retry: Callable[[str], None] = _ignore_retry
    refresh: Callable[[Any, Mapping[str, Any]], Mapping[str, Value]] | None = None


class Wait(Struct, frozen=True):
    """Repeat ``call`` until ``path`` (JMESPath on its response; may hold an earlier response) has a target value.

    ``description``: names the value for people, if the path does not read well.
    ``failed_values``: values that end the wait as a failure.  ``deleted_codes``: errors that count as success
    (deletion).  After ``timeout_seconds`` the resource is unhealthy, and ``stuck_hint`` says what to check.
    ``log_group``: its last lines are added to a failure.  ``reason_path``: the path of AWS's reason in the response.
    ``failure_call``: a second read at every poll; the wait fails early if ``failure_path`` finds a reason in it.
    """

    call: ApiCall
    path: Value
    target_values: tuple[Value, ...] = ()
    failed_values: tuple[Value, ...] = ()
    deleted_codes: tuple[str, ...] = ()
    timeout_seconds: float = 900.0
    stuck_hint: str = ""
    description: str = ""
    log_group: Value = ""
    reason_path: str = ""
    failure_call: ApiCall | None = None
    failure_path: str = ""


class GenerateSecret(Struct, frozen=True):
    """Generate a random secret of ``length`` letters and digits; the response is Sensitive."""

    length: int = 32


class Compute(Struct, frozen=True):
    """Call a pure ``function(*arguments)`` on responses that a plan does not know yet; the plan shows ``name``."""

    name: str
    function: Callable[..., Value]
    arguments: tuple[Value, ...]


class Sweep(Struct, frozen=True):
    """Repeat: call ``listing``, pass its response to ``remove``, perform the call it returns, until it returns None.

    ``removal`` is the operation that ``remove`` returns, in the listing's service; the plan shows it.  ``on_retry`` is
    that of its calls.
    """

    listing: ApiCall
    removal: str
    remove: Callable[[Any], ApiCall | None]
    note: str
    on_retry: Callable[[str], None] = _ignore_retry


def _ignore_progress(_: int) -> None:
    """Ignore the progress of a batch."""


def _ignore_output(_: str) -> None:
    """Ignore a line of output."""


class Batch(Struct, frozen=True):
    """Many calls in any order, several in parallel; ``note`` says what they do, for the plan.

    The calls may be too many to show, so the plan shows the operation and their number.  Every call must be
    idempotent.  The response is ``{}``.  ``on_progress`` gets the number of completed calls after each, from one thread
    at a time; an exception from it ends the batch.  ``on_retry`` is that of its calls.
    """

    calls: tuple[ApiCall, ...]
    note: str
    on_progress: Callable[[int], None] = _ignore_progress
    on_retry: Callable[[str], None] = _ignore_retry


class LocalCall(Struct, frozen=True):
    """Work on this machine, such as a build: ``function(*arguments)``, which may return anything.

    ``function`` raises Problems if it fails.  The plan shows ``name`` and ``note``; arguments may be Sensitive and are
    not shown.  With ``has_output``, ``function`` also takes ``on_output``, and calls it with each line that its
    programs print, from any thread.  With ``polls_aws``, it also takes ``poll``: ``poll(seconds)`` yields a reader of
    AWS's present state at growing intervals, for that long.
    """

    name: str
    function: Callable[..., Value]
    arguments: tuple[Value, ...]
    note: str = ""
    has_output: bool = False
    on_output: Callable[[str], None] = _ignore_output
    polls_aws: bool = False


Step: TypeAlias = ApiCall | Wait | GenerateSecret | Compute | Sweep | Batch | LocalCall
Outputs: TypeAlias = Mapping[str, Value]
Steps: TypeAlias = Generator[Step, Any, Outputs]


def call(service: str, operation: str, /, **parameters: Value) -> ApiCall:
    """Return an ApiCall without options."""
    return ApiCall(service, operation, parameters)


class StepTrace(Struct, frozen=True):
    """The steps that a change would perform, and its outputs, Unknown where AWS decides them."""

    steps: tuple[Step, ...]
    outputs: Outputs


def trace_steps(address: str, steps: Steps) -> StepTrace:
    """Drive ``steps`` with Unknown responses and return the steps it yields."""
    return _drive(steps, lambda step: _unknown_response(address, step))


def execute_steps(steps: Steps, perform: Callable[[Step], Any]) -> Outputs:
    """Drive ``steps`` with ``perform`` and return the outputs.

    Raises whatever ``perform`` raises.
    """
    return _drive(steps, perform).outputs


def _drive(steps: Steps, respond: Callable[[Step], Any]) -> StepTrace:
    visited: list[Step] = []
    try:
        step = next(steps)
        while True:
            visited.append(step)
            step = steps.send(respond(step))
    except StopIteration as stop:
        return StepTrace(tuple(visited), stop.value or {})


def _unknown_response(address: str, step: Step) -> Value:
    if isinstance(step, GenerateSecret) or (isinstance(step, ApiCall) and step.is_sensitive):
        return Sensitive(Unknown(f"{address}.secret"))
    if isinstance(step, Compute) and any(isinstance(argument, Sensitive) for argument in step.arguments):
        return Sensitive(Unknown(f"{address}.{step.name}"))
    return Unknown(address)


def to_planned_step(step: Step) -> PlannedStep:
    """Return a step as the plan shows it: the IAM-style action, and parameters without secrets."""
    match step:
        case ApiCall():
            return PlannedStep(_iam_action(step), to_plain(step.parameters))
        case Wait(inner, path, until):
            target = " or ".join(map(str, until)) or "gone"
            subject = step.description or describe(path)
            return PlannedStep(
                _iam_action(inner), note=f"wait until {subject} is {target}" if until else "wait until deleted"
            )
        case GenerateSecret(length):
            return PlannedStep("generate", note=f"{length} random characters")
        case Compute(name):
            return PlannedStep("compute", note=name)
        case Sweep(listing, removal, _, note):
            return PlannedStep(
                f"{listing.service}:{to_operation_name(removal)}", note=f"{note}, by {_iam_action(listing)}"
            )
        case Batch(calls, note):
            return PlannedStep(
                _iam_action(calls[0]) if calls else "nothing", note=f"{format_count(len(calls), 'time')}: {note}"
            )
        case LocalCall(name=name, note=note):
            return PlannedStep(name, note=note)


def _iam_action(step: ApiCall) -> str:
    return f"{step.service}:{to_operation_name(step.operation)}"


ACRONYMS = {"db": "DB", "id": "ID"}


def to_operation_name(operation: str) -> str:
    """Return boto3's ``create_db_instance`` as AWS writes it in policies and documentation: ``CreateDBInstance``."""
    return "".join(ACRONYMS.get(word, word.capitalize()) for word in operation.split("_"))


def iter_mutations(steps: tuple[Step, ...]) -> Iterator[ApiCall]:
    """Yield the calls in ``steps`` that change something."""
    for step in steps:
        for item in step.calls if isinstance(step, Batch) else (step,):
            if isinstance(item, ApiCall) and not is_read(item.operation):
                yield item


READ_PREFIXES = ("describe_", "get_", "list_", "head_", "lookup_", "batch_get_")
NON_READ_OPERATIONS = frozenset({"get_secret_value", "get_authorization_token"})


def is_read(operation: str) -> bool:
    """Return whether an operation only reads: it changes nothing and returns no secret."""
    return operation.startswith(READ_PREFIXES) and operation not in NON_READ_OPERATIONS
