"""Map the names of existing files to the keys of a bucket, one to one. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from orchestrator.problems import Problem, Problems
from orchestrator.quantities import format_count
from orchestrator.redaction.redact import sanitise
from orchestrator.storage import KEY_PATTERN

MAX_KEY_BYTES = 1024
"""S3's limit for a key in UTF-8 (User Guide, "Naming Amazon S3 objects")."""
MAX_LISTED_PROBLEMS = 20


class KeyRule(Struct, frozen=True):
    """Files whose name begins with ``old`` get a key that begins with ``new`` instead."""

    old: str
    new: str


def parse_rule(text: str) -> KeyRule:
    """Return the rule ``OLD=NEW``. Raises Problems if it has no ``=``."""
    old, separator, new = text.partition("=")
    if not separator:
        raise Problems.from_message(
            f"`{text}` is not a valid rule",
            hint="write OLD=NEW, two key prefixes, for example uploads/products/=product-photos/",
        )
    return KeyRule(old.lstrip("/"), new.lstrip("/"))


def map_names(names: Iterable[str], rules: Iterable[KeyRule], prefix: str = "") -> dict[str, str]:
    """Return the key of each name: the longest matching rule decides, and ``prefix`` comes first.

    Raises Problems, all together, for names that no key can have, and for names that would get the same key.
    """
    ordered = sorted(rules, key=lambda rule: len(rule.old), reverse=True)
    keys = {name: f"{prefix}{_apply_rules(name, ordered)}" for name in names}
    problems = [*_find_invalid(keys), *_find_collisions(keys)]
    if problems:
        hidden = len(problems) - MAX_LISTED_PROBLEMS
        more = [Problem(f"... and {format_count(hidden, 'more file')} cannot be copied")] if hidden > 0 else []
        raise Problems([*problems[:MAX_LISTED_PROBLEMS], *more])
    return keys


def find_unused(rules: Iterable[KeyRule], names: Iterable[str]) -> tuple[KeyRule, ...]:
    """Return the rules that match no name: probably a typing error."""
    names = tuple(names)
    return tuple(rule for rule in rules if not any(name.startswith(rule.old) for name in names))


def _apply_rules(name: str, ordered: Iterable[KeyRule]) -> str:
    rule = next((item for item in ordered if name.startswith(item.old)), None)
    return name if rule is None else f"{rule.new}{name.removeprefix(rule.old)}"


def _find_invalid(keys: Mapping[str, str]) -> Iterator[Problem]:
    for name, key in keys.items():
        if any("\ud800" <= character <= "\udfff" for character in key):
            yield Problem(f"{sanitise(name)!r} is not UTF-8", hint="rename the file")
        elif not KEY_PATTERN.fullmatch(key) or ".." in key.split("/") or len(key.encode()) > MAX_KEY_BYTES:
            hint = (
                f"a key can have up to {MAX_KEY_BYTES} bytes, but no control characters, backslashes, `..` or empty "
                "parts"
            )
            yield Problem(f"{sanitise(name)!r} cannot have the key {sanitise(key)!r}", hint=hint)


def _find_collisions(keys: Mapping[str, str]) -> Iterator[Problem]:
    names_by_key = defaultdict(list)
    for name, key in keys.items():
        names_by_key[key].append(sanitise(name))
    for key, names in names_by_key.items():
        if len(names) > 1:
            yield Problem(f"{', '.join(names)} would all have the key {sanitise(key)}", hint="change the --map rules")
