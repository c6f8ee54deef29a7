"""Describe the faults of an emulator as data. ``fault_injector.py`` applies them.

A file (``--faults``), Python and the control API all use the same mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from orchestrator.emulator.account_limits import ACCOUNT_LIMITS

FaultKind = Literal["throttle", "error", "html", "reset", "reset_after"]
RoleError = Literal["cannot-assume", "not-authorized", "credentials"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A fault for the calls that match ``service``, ``operation`` (globs) and ``access``.

    ``kind``: throttle (the service's own throttling code), error (HTTP ``status``, with ``code`` and ``message`` if
    given), html (a proxy's page instead of AWS's response), reset (drop the connection without executing the call),
    reset_after (execute the call, then drop its response).
    ``probability`` is 0..1, drawn from a generator seeded by ``Faults.seed``; the rule ends after ``limit`` faults.
    """

    kind: FaultKind
    service: str = "*"
    operation: str = "*"
    access: Literal["any", "read", "write"] = "any"
    probability: float = 1.0
    limit: int | None = None
    status: int = 500
    code: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ValueError(f"faults: invalid kind {self.kind!r}: use one of {', '.join(get_args(FaultKind))}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"faults: invalid probability {self.probability}: use a number between 0 and 1")
        if self.access not in ("any", "read", "write"):
            raise ValueError(f"faults: invalid access {self.access!r}: use any, read or write")

    def matches(self, service: str, operation: str, access: str) -> bool:
        """Return whether this rule covers a call."""
        return (
            self.access in ("any", access)
            and fnmatchcase(service, self.service)
            and fnmatchcase(operation, self.operation)
        )


@dataclass(frozen=True, slots=True)
class Faults:
    """All fault settings of an emulator. ``Faults()`` is an AWS that always works.

    ``denied``: globs of IAM actions to deny (``rds:Describe*``); ``deny_writes`` denies all writes.
    ``unseen_reads``: for ``role``, ``bucket``, ``secret`` or (ECS Express) ``service``, how many reads miss a new one;
    for ``object``, how many miss one that was written after its bucket's versioning was switched on.
    ``in_use_deletions``: how many deletions of each security group, connector, DB subnet or parameter group and part
    of CloudFront are refused because it is still in use.
    ``role_assumable_after_seconds``: how long App Runner and ECS cannot assume a new role.
    ``settle_seconds``: per service, how long asynchronous operations take; overrides the emulator's own setting.
    ``failing_images``: globs of image identifiers whose App Runner or ECS deployment fails its health check.
    ``require_images``: fail the deployment of an image that was never pushed to the account's registry, as AWS does.
    ``account_limits``: what AWS refuses to this account: ``app-runner-closed``, ``cloudfront-unverified``,
    ``free-plan``, ``linked-account``, ``no-load-balancers``, ``rds-unused`` (no service-linked role yet).
    ``quotas``: quotas of Service Quotas by code (``L-3032A538``), in place of AWS's defaults.
    ``role_error``: the words in which ECS refuses a role that it cannot assume: AWS uses all three.
    ``missing_express_code``: the code for a missing Express service: AWS also answers InvalidParameterException.
    ``session_expires_after_seconds``: refuse every call with an expired token that long after the session began (that
    STS gave), or after the faults were set.
    ``max_session_seconds``: let each session that STS gives end after that time, however long was asked for.
    ``enforce_policies``: refuse to a session of a role what its policies and its permissions boundary do not allow.
    ``caller_role``: with ``enforce_policies``, the name of the role that all other keys are taken for.
    """

    seed: int = 0
    latency_ms: float = 0.0
    rules: tuple[Rule, ...] = ()
    denied: tuple[str, ...] = ()
    deny_writes: bool = False
    unseen_reads: Mapping[str, int] = field(default_factory=dict)
    in_use_deletions: int = 0
    role_assumable_after_seconds: float = 0.0
    settle_seconds: Mapping[str, float] = field(default_factory=dict)
    failing_images: tuple[str, ...] = ()
    require_images: bool = False
    account_limits: tuple[str, ...] = ()
    quotas: Mapping[str, float] = field(default_factory=dict)
    role_error: RoleError = "cannot-assume"
    missing_express_code: str = "ResourceNotFoundException"
    session_expires_after_seconds: float | None = None
    max_session_seconds: float | None = None
    enforce_policies: bool = False
    caller_role: str = ""

    def __post_init__(self) -> None:
        unknown_limits = sorted(set(self.account_limits) - {*ACCOUNT_LIMITS})
        if unknown_limits:
            raise ValueError(f"faults: unknown account limit: {', '.join(unknown_limits)}")
        if self.role_error not in get_args(RoleError):
            raise ValueError(f"faults: invalid role_error {self.role_error!r}: use {', '.join(get_args(RoleError))}")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Faults:
        """Return the faults in a mapping with the fields' names. Raises ValueError for an unknown or invalid field."""
        unknown_settings = sorted(set(data) - {setting.name for setting in fields(cls)})
        if unknown_settings:
            raise ValueError(f"faults: unknown setting: {', '.join(unknown_settings)}")
        values = dict(data)
        try:
            values["rules"] = tuple(Rule(**rule) for rule in values.get("rules", ()))
        except TypeError as error:
            raise ValueError(f"faults: {error}") from error
        for name in ("denied", "failing_images", "account_limits"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)

    @classmethod
    def load(cls, path: Path) -> Faults:
        """Read faults from a YAML or JSON file. Raises OSError if it is unreadable, ValueError if it is invalid."""
        import yaml

        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"faults: {path}: {error}") from error
        if not isinstance(document, dict):
            raise ValueError(f"faults: {path}: the file must be a mapping")
        return cls.from_dict(document)

    def to_dict(self) -> dict[str, Any]:
        """Return the mapping that ``from_dict`` reads."""
        return asdict(self)
