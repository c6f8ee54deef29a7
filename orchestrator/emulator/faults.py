"""What an emulator is told to do wrong, as data.  Values only: `injection.py` acts on them.

The same mapping is read from a file (``--faults``), from Python and from the control endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

FaultKind = Literal["throttle", "error", "reset", "reset_after"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault that befalls calls matching ``service``, ``operation`` (globs) and ``access``.

    ``kind``: throttle (the service's own throttling code), error (HTTP ``status``), reset (the connection is
    dropped and nothing was done), reset_after (the call is done, its answer is lost).
    ``probability`` is 0..1, drawn from a generator seeded by ``Faults.seed``; ``limit`` ends it after so many.
    """

    kind: FaultKind
    service: str = "*"
    operation: str = "*"
    access: Literal["any", "read", "write"] = "any"
    probability: float = 1.0
    limit: int | None = None
    status: int = 500

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"faults: kind {self.kind!r} is none of {', '.join(get_args(FaultKind))}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"faults: probability {self.probability} is not between 0 and 1")
        if self.access not in ("any", "read", "write"):
            raise ValueError(f"faults: access {self.access!r} is none of any, read, write")

    def matches(self, service: str, operation: str, access: str) -> bool:
        """Whether a call falls under this rule."""
        return (
            self.access in ("any", access)
            and fnmatchcase(service, self.service)
            and fnmatchcase(operation, self.operation)
        )


@dataclass(frozen=True, slots=True)
class Faults:
    """Everything an emulator does wrong.  ``Faults()`` is an AWS that always works.

    ``denied``: IAM action globs answered with access denied (``rds:Describe*``); ``deny_writes`` denies all writes.
    ``unseen_reads``: of ``role``, ``bucket``, ``secret`` or (ECS Express) ``service``, how many reads do not see one
    just made.  ``role_assumable_after_seconds``: until then App Runner and ECS cannot assume a new role.
    ``settle_seconds``: by service, how long its asynchronous operations take, over the emulator's own setting.
    ``failing_images``: globs of image identifiers whose deployment by App Runner or ECS fails its health check.
    ``require_images``: an image of the account's registry that was never pushed fails the deployment, as on AWS.
    """

    seed: int = 0
    latency_ms: float = 0.0
    rules: tuple[Rule, ...] = ()
    denied: tuple[str, ...] = ()
    deny_writes: bool = False
    unseen_reads: Mapping[str, int] = field(default_factory=dict)
    role_assumable_after_seconds: float = 0.0
    settle_seconds: Mapping[str, float] = field(default_factory=dict)
    failing_images: tuple[str, ...] = ()
    require_images: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Faults:
        """Faults from a mapping with the fields' names.  Raises ValueError naming a field that does not exist."""
        unknown_settings = sorted(set(data) - {setting.name for setting in fields(cls)})
        if unknown_settings:
            raise ValueError(f"faults: no such setting: {', '.join(unknown_settings)}")
        values = dict(data)
        try:
            values["rules"] = tuple(Rule(**rule) for rule in values.get("rules", ()))
        except TypeError as error:
            raise ValueError(f"faults: {error}") from error
        for name in ("denied", "failing_images"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)

    @classmethod
    def load(cls, path: Path) -> Faults:
        """Faults from a YAML or JSON file.  Raises OSError, ValueError."""
        import yaml

        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"faults: {path}: {error}") from error
        if not isinstance(document, dict):
            raise ValueError(f"faults: {path}: must be a mapping")
        return cls.from_dict(document)

    def to_dict(self) -> dict[str, Any]:
        """The mapping that ``of`` reads."""
        return asdict(self)
