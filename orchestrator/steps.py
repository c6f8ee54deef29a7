"""Steps: what a change asks of AWS, as data.  A change is a generator that yields steps and is sent their answers.

``record`` drives it with Unknown answers (a plan), ``play`` drives the same generator with real ones (an apply).
Pure: nothing here performs a step.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, TypeAlias

from msgspec import Struct, field

from orchestrator.values import Sensitive, Unknown, Value, describe, plain
from orchestrator.vocabulary import PlannedStep


class Call(Struct, frozen=True):
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
    ok: tuple[str, ...] = ()
    ok_text: str = ""
    retry: tuple[str, ...] = ()
    retry_text: str = ""
    patience: float = 150.0
    sensitive: bool = False
    region: str | None = None
    advice: Mapping[str, str] = field(default_factory=dict)


class Wait(Struct, frozen=True):
    """Read ``call`` until ``path`` (JMESPath on its answer; it may hold an earlier answer) is one of ``until``.

    ``what``: what is waited for, in words, where the path does not read well.
    ``failed``: values that end the wait as a failure.  ``gone``: error codes that count as reached (deletion).
    ``patience`` in seconds; when it runs out the resource is unhealthy and ``stuck`` says what to look at.
    ``log``: the log group whose last lines say why it failed.  ``why``: the path of AWS's own reason in the answer.
    """

    call: Call
    path: Value
    until: tuple[Value, ...] = ()
    failed: tuple[Value, ...] = ()
    gone: tuple[str, ...] = ()
    patience: float = 900.0
    stuck: str = ""
    what: str = ""
    log: Value = ""
    why: str = ""


class Generate(Struct, frozen=True):
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

    listing: Call
    removal: str
    remove: Callable[[Any], Call | None]
    note: str


def _tell_nobody(_: int) -> None:
    """For those who do not want to know."""


class Batch(Struct, frozen=True):
    """Many calls in no order of their own, several at a time; ``note`` says what they do, for the plan.

    The calls may be too many to show: the plan names the operation and how many there are.  Every call must be
    harmless to repeat.  The answer is ``{}``.  ``tell`` is told the number of calls done after each, by one thread at a
    time; what it raises ends the batch.
    """

    calls: tuple[Call, ...]
    note: str
    tell: Callable[[int], None] = _tell_nobody


class Run(Struct, frozen=True):
    """Work on this machine, such as a build: ``function(*arguments)``, whose answer may be anything.

    ``function`` raises Problems when it fails.  ``name`` and ``note`` say in the plan what it does; arguments may be
    Sensitive and are not shown.
    """

    name: str
    function: Callable[..., Value]
    arguments: tuple[Value, ...]
    note: str = ""


Step: TypeAlias = Call | Wait | Generate | Compute | Sweep | Batch | Run
Outputs: TypeAlias = Mapping[str, Value]
Steps: TypeAlias = Generator[Step, Any, Outputs]


def call(service: str, operation: str, /, **parameters: Value) -> Call:
    """A call with nothing special about it."""
    return Call(service, operation, parameters)


class Recording(Struct, frozen=True):
    """What a generator would do: its steps, and the outputs it would leave, Unknown where AWS decides."""

    steps: tuple[Step, ...]
    outputs: Outputs


def record(address: str, steps: Steps) -> Recording:
    """Drive ``steps`` with Unknown answers and write down what it asks for."""
    return _drive(steps, lambda step: _unknown_answer(address, step))


def play(steps: Steps, perform: Callable[[Step], Any]) -> Outputs:
    """Drive ``steps`` with ``perform``; what it raises is raised inside the generator, at the step's place."""
    return _drive(steps, perform).outputs


def _drive(steps: Steps, answer: Callable[[Step], Any]) -> Recording:
    done: list[Step] = []
    try:
        step = next(steps)
        while True:
            done.append(step)
            step = steps.send(answer(step))
    except StopIteration as end:
        return Recording(tuple(done), end.value or {})


def _unknown_answer(address: str, step: Step) -> Value:
    if isinstance(step, Generate) or (isinstance(step, Call) and step.sensitive):
        return Sensitive(Unknown(f"{address}.secret"))
    if isinstance(step, Compute) and any(isinstance(argument, Sensitive) for argument in step.arguments):
        return Sensitive(Unknown(f"{address}.{step.name}"))
    return Unknown(address)


def planned(step: Step) -> PlannedStep:
    """A step as the plan shows it: the IAM-style action and parameters without secrets."""
    match step:
        case Call():
            return PlannedStep(_action(step), plain(step.parameters))
        case Wait(inner, path, until):
            goal = " or ".join(map(str, until)) or "gone"
            what = step.what or describe(path)
            return PlannedStep(_action(inner), note=f"wait until {what} is {goal}" if until else "wait until gone")
        case Generate(length):
            return PlannedStep("generate", note=f"{length} random characters")
        case Compute(name):
            return PlannedStep("compute", note=name)
        case Sweep(listing, removal, _, note):
            return PlannedStep(f"{listing.service}:{camel(removal)}", note=f"{note}, by {_action(listing)}")
        case Batch(calls, note):
            return PlannedStep(_action(calls[0]) if calls else "nothing", note=f"{len(calls)} times: {note}")
        case Run(name, _, _, note):
            return PlannedStep(name, note=note)


def _action(step: Call) -> str:
    return f"{step.service}:{camel(step.operation)}"


SPELT_OTHERWISE = {"db": "DB", "id": "ID"}


def camel(operation: str) -> str:
    """boto3's ``create_db_instance`` as AWS writes it in policies and documents: ``CreateDBInstance``."""
    return "".join(SPELT_OTHERWISE.get(word, word.capitalize()) for word in operation.split("_"))


def mutations(steps: tuple[Step, ...]) -> Iterator[Call]:
    """The calls among ``steps`` that change something."""
    for step in steps:
        for each in step.calls if isinstance(step, Batch) else (step,):
            if isinstance(each, Call) and not is_read(each.operation):
                yield each


READ_PREFIXES = ("describe_", "get_", "list_", "head_", "lookup_", "batch_get_")
NOT_READS = frozenset({"get_secret_value", "get_authorization_token"})


def is_read(operation: str) -> bool:
    """Whether an operation is on the read list: it changes nothing and hands out no secret."""
    return operation.startswith(READ_PREFIXES) and operation not in NOT_READS
