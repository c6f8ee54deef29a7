"""Steps: what a change asks of AWS, as data.  A change is a generator that yields steps and is sent their answers.

``record`` drives it with Unknown answers (a plan), ``play`` drives the same generator with real ones (an apply).
Pure: nothing here performs a step.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, TypeAlias

from msgspec import Struct, field

from orchestrator.values import Sensitive, Unknown, Value, describe, to_plain
from orchestrator.vocabulary import PlannedStep


class ApiCall(Struct, frozen=True):
    """One API call: boto3's names, e.g. ``("rds", "create_db_instance")``.

    ``ok``: error codes that mean the call's work is done already (its answer is then ``{}``).
    ``ok_text``: only when the message contains it.
    ``retry``: error codes to try again on for up to ``patience`` seconds (IAM not propagated, resource busy).
    ``retry_text``: only when the message contains it.  ``sensitive``: the answer is a secret.
    ``region``: where, when not the project's region.  ``advice``: error code -> what to do when AWS refuses with it.
    """

    service: str
    operation: str
    parameters: Mapping[str, Value]
    ok_codes: tuple[str, ...] = ()
    ok_message: str = ""
    retry_codes: tuple[str, ...] = ()
    retry_message: str = ""
    timeout_seconds: float = 150.0
    is_sensitive: bool = False
    region: str | None = None
    hints: Mapping[str, str] = field(default_factory=dict)


class Wait(Struct, frozen=True):
    """Read ``call`` until ``path`` (JMESPath on its answer; it may hold an earlier answer) is one of ``until``.

    ``what``: what is waited for, in words, where the path does not read well.
    ``failed``: values that end the wait as a failure.  ``gone``: error codes that count as reached (deletion).
    ``patience`` in seconds; when it runs out the resource is unhealthy and ``stuck`` says what to look at.
    ``log``: the log group whose last lines say why it failed.  ``why``: the path of AWS's own reason in the answer.
    """

    call: ApiCall
    path: Value
    target_values: tuple[Value, ...] = ()
    failed_values: tuple[Value, ...] = ()
    gone_codes: tuple[str, ...] = ()
    timeout_seconds: float = 900.0
    stuck_hint: str = ""
    description: str = ""
    log_group: Value = ""
    reason_path: str = ""


class GenerateSecret(Struct, frozen=True):
    """A new random secret of ``length`` letters and digits; the answer is Sensitive."""

    length: int = 32


class Compute(Struct, frozen=True):
    """``function(*arguments)`` on answers that planning does not know yet; pure, and named for the plan."""

    name: str
    function: Callable[..., Value]
    arguments: tuple[Value, ...]


class Sweep(Struct, frozen=True):
    """Repeat: read ``listing``, give its answer to ``remove``, perform what that returns, until it returns None.

    ``removal`` is the operation that ``remove`` calls, of the listing's service: the plan names it beforehand.
    """

    listing: ApiCall
    removal: str
    remove: Callable[[Any], ApiCall | None]
    note: str


def _ignore_progress(_: int) -> None:
    """For those who do not want to know."""


class Batch(Struct, frozen=True):
    """Many calls in no order of their own, several at a time; ``note`` says what they do, for the plan.

    The calls may be too many to show: the plan names the operation and how many there are.  Every call must be
    harmless to repeat.  The answer is ``{}``.  ``tell`` is told the number of calls done after each, by one thread at a
    time; what it raises ends the batch.
    """

    calls: tuple[ApiCall, ...]
    note: str
    on_progress: Callable[[int], None] = _ignore_progress


class LocalCall(Struct, frozen=True):
    """Work on this machine, such as a build: ``function(*arguments)``, whose answer may be anything.

    ``function`` raises Problems when it fails.  ``name`` and ``note`` say in the plan what it does; arguments may be
    Sensitive and are not shown.
    """

    name: str
    function: Callable[..., Value]
    arguments: tuple[Value, ...]
    note: str = ""


Step: TypeAlias = ApiCall | Wait | GenerateSecret | Compute | Sweep | Batch | LocalCall
Outputs: TypeAlias = Mapping[str, Value]
Steps: TypeAlias = Generator[Step, Any, Outputs]


def call(service: str, operation: str, /, **parameters: Value) -> ApiCall:
    """A call with nothing special about it."""
    return ApiCall(service, operation, parameters)


class StepTrace(Struct, frozen=True):
    """What a generator would do: its steps, and the outputs it would leave, Unknown where AWS decides."""

    steps: tuple[Step, ...]
    outputs: Outputs


def trace_steps(address: str, steps: Steps) -> StepTrace:
    """Drive ``steps`` with Unknown answers and write down what it asks for."""
    return _drive(steps, lambda step: _unknown_response(address, step))


def execute_steps(steps: Steps, perform: Callable[[Step], Any]) -> Outputs:
    """Drive ``steps`` with ``perform``; what it raises is raised inside the generator, at the step's place."""
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
    """A step as the plan shows it: the IAM-style action and parameters without secrets."""
    match step:
        case ApiCall():
            return PlannedStep(_iam_action(step), to_plain(step.parameters))
        case Wait(inner, path, until):
            target = " or ".join(map(str, until)) or "gone"
            subject = step.description or describe(path)
            return PlannedStep(
                _iam_action(inner), note=f"wait until {subject} is {target}" if until else "wait until gone"
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
            return PlannedStep(_iam_action(calls[0]) if calls else "nothing", note=f"{len(calls)} times: {note}")
        case LocalCall(name, _, _, note):
            return PlannedStep(name, note=note)


def _iam_action(step: ApiCall) -> str:
    return f"{step.service}:{to_operation_name(step.operation)}"


ACRONYMS = {"db": "DB", "id": "ID"}


def to_operation_name(operation: str) -> str:
    """boto3's ``create_db_instance`` as AWS writes it in policies and documents: ``CreateDBInstance``."""
    return "".join(ACRONYMS.get(word, word.capitalize()) for word in operation.split("_"))


def iter_mutations(steps: tuple[Step, ...]) -> Iterator[ApiCall]:
    """The calls among ``steps`` that change something."""
    for step in steps:
        for item in step.calls if isinstance(step, Batch) else (step,):
            if isinstance(item, ApiCall) and not is_read(item.operation):
                yield item


READ_PREFIXES = ("describe_", "get_", "list_", "head_", "lookup_", "batch_get_")
NON_READ_OPERATIONS = frozenset({"get_secret_value", "get_authorization_token"})


def is_read(operation: str) -> bool:
    """Whether an operation is on the read list: it changes nothing and hands out no secret."""
    return operation.startswith(READ_PREFIXES) and operation not in NON_READ_OPERATIONS
