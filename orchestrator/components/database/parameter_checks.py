"""Check the names and values of PostgreSQL parameters against PostgreSQL's own list.  Pure but for reading that list.

RDS takes a number in the parameter's unit, and no text with a unit as ``postgresql.conf`` does.  It computes a formula
such as ``{DBInstanceClassMemory/32768}`` itself (RDS User Guide, "DB parameter formula variables").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

from msgspec import Struct

from orchestrator.values import Value

Finding: TypeAlias = tuple[tuple[str | int, ...], str, str | None]

NOT_MODIFIABLE: Final = frozenset({
    "config_file", "data_directory", "hba_file", "ident_file", "listen_addresses", "port",
    "ssl_cert_file", "ssl_key_file", "unix_socket_directories",
})  # fmt: skip
"""Parameters that RDS sets itself."""
BOOLEAN_TEXTS: Final = frozenset({"0", "1", "on", "off", "true", "false", "yes", "no"})
MIN_SIMILARITY: Final = 0.8
_FORMULA: Final = re.compile(r"\{.*\}|(?:GREATEST|LEAST|SUM|log)\(.*\)", re.IGNORECASE | re.DOTALL)
_NUMBER_WITH_UNIT: Final = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) *(B|kB|MB|GB|TB|us|ms|s|min|h|d)")
_UNIT_SIZES: Final = {
    "B": 1, "kB": 2**10, "8kB": 2**13, "MB": 2**20, "GB": 2**30, "TB": 2**40,
    "us": 1, "ms": 10**3, "s": 10**6, "min": 6 * 10**7, "h": 36 * 10**8, "d": 864 * 10**8,
}  # fmt: skip
_TIME_UNITS: Final = frozenset({"us", "ms", "s", "min", "h", "d"})


class Parameter(Struct, frozen=True):
    """A parameter of PostgreSQL; ``type`` is "" if only its name is known, ``unit`` is such as ``8kB``."""

    name: str
    type: str = ""
    lowest: str = ""
    highest: str = ""
    unit: str = ""
    choices: str = ""


@cache
def list_parameters() -> Mapping[str, Parameter]:
    """Return the parameters by name."""
    lines = Path(__file__).with_name("postgresql_parameters.tsv").read_text(encoding="utf-8").splitlines()
    parameters = (Parameter(*line.split("\t")) for line in lines if not line.startswith("#"))
    return {parameter.name: parameter for parameter in parameters}


def check(parameters: Mapping[str, Value]) -> Iterator[Finding]:
    """Yield the parameters that RDS would refuse; those of extensions (with a dot) are not known."""
    for name, value in parameters.items():
        path = ("spec", "parameters", name)
        parameter = list_parameters().get(name)
        if name in NOT_MODIFIABLE or (parameter and parameter.type == "internal"):
            yield path, f"`{name}` is set by RDS and cannot be changed", "remove it"
        elif parameter is not None:
            yield from ((path, message, hint) for message, hint in _check_value(parameter, value))
        elif "." not in name and (similar := _find_similar(name)):
            yield path, f"PostgreSQL has no parameter `{name}`", f"did you mean `{similar}`?"


def _find_similar(name: str) -> str:
    """Return the parameter that a name may be meant to be, or "": a newer PostgreSQL may have it."""
    import difflib

    return next(iter(difflib.get_close_matches(name, list_parameters(), 1, MIN_SIMILARITY)), "")


def _check_value(parameter: Parameter, value: Value) -> Iterator[tuple[str, str | None]]:
    text = str(value).strip()
    if "${" in text or _FORMULA.fullmatch(text):
        return
    match parameter.type:
        case "bool":
            if text.lower() not in BOOLEAN_TEXTS:
                yield f"`{parameter.name}` cannot be `{text}`", "set `true` or `false`"
        case "enum":
            choices = parameter.choices.split(",")
            if not isinstance(value, bool) and text.lower() not in choices:
                yield f"`{parameter.name}` cannot be `{text}`", f"set one of {', '.join(choices)}"
        case "integer" | "real":
            yield from _check_number(parameter, text)


def _check_number(parameter: Parameter, text: str) -> Iterator[tuple[str, str | None]]:
    if match := _NUMBER_WITH_UNIT.fullmatch(text):
        yield (
            f"`{parameter.name}` cannot be `{text}`: RDS accepts only numbers without a unit",
            _convert(parameter, match),
        )
        return
    pattern = r"-?[0-9]+" if parameter.type == "integer" else r"-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?"
    if not re.fullmatch(pattern, text):
        kind = "a whole number" if parameter.type == "integer" else "a number"
        yield f"`{parameter.name}` cannot be `{text}`: it must be {kind}", None
    elif not float(parameter.lowest) <= float(text) <= float(parameter.highest):
        unit = f", in units of {parameter.unit}" if parameter.unit else ""
        limits = f"from {parameter.lowest} to {parameter.highest}{unit}"
        yield f"`{parameter.name}` cannot be `{text}`", f"set a number {limits}"


def _convert(parameter: Parameter, match: re.Match[str]) -> str | None:
    """Return a hint with the number in the parameter's unit, or None if that is of another kind."""
    if not parameter.unit or (match[2] in _TIME_UNITS) is not (parameter.unit in _TIME_UNITS):
        return None
    number = float(match[1]) * _UNIT_SIZES[match[2]] / _UNIT_SIZES[parameter.unit]
    return f"set `{parameter.name}: {number:.15g}`, in units of {parameter.unit}"
