"""Check what S3 rejects in lifecycle rules: rules without actions, and transitions in an order that S3 does not allow.

Pure.  Source: S3 User Guide, "Transitioning objects using Amazon S3 Lifecycle".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from orchestrator.components.bucket.lifecycle_actions import expiration_actions, transition_actions
from orchestrator.quantities import format_count
from orchestrator.values import Value

Finding: TypeAlias = tuple[tuple[str | int, ...], str, str | None]

MIN_TRANSITION_DAYS = {"STANDARD_IA": 30, "ONEZONE_IA": 30}
CLASS_ORDER = ("STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
"""Objects move only from a class to a later one..."""
IMPOSSIBLE_TRANSITIONS = {("ONEZONE_IA", "GLACIER_IR")}
"""...except for these."""


def check(spec: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the problems of the rules of a bucket."""
    lifecycle = spec["lifecycle"]
    yield from _check_versions(("lifecycle",), lifecycle, spec["versioning"])
    prefixes: set[str] = set()
    for index, rule in enumerate(lifecycle["rules"]):
        path = ("lifecycle", "rules", index)
        yield from _check_rule(path, rule)
        yield from _check_versions(path, rule, spec["versioning"])
        for member in ("transitions", "oldVersionTransitions"):
            yield from _check_order((*path, member), rule[member])
        if rule["prefix"] in prefixes:
            yield (*path, "prefix"), f"duplicate rule for the prefix `{rule['prefix']}`", "merge both into one rule"
        prefixes.add(rule["prefix"])


def _check_order(path: tuple[str | int, ...], transitions: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield transitions back to an earlier class, and those that leave infrequent access too early."""
    ordered = sorted(enumerate(transitions), key=lambda item: CLASS_ORDER.index(item[1]["storageClass"]))
    for (_, earlier), (index, later) in pairwise(ordered):
        first, second = earlier["storageClass"], later["storageClass"]
        days_apart = later["afterDays"] - earlier["afterDays"]
        days_path = (*path, index, "afterDays")
        if first == second:
            yield (*path, index, "storageClass"), f"duplicate transition to {second}", "remove one of the two"
        elif days_apart <= 0:
            message = (
                f"objects cannot move from {second} to {first}, so the transition to {second} must come after the "
                f"transition to {first}"
            )
            yield days_path, message, f"set `afterDays` to more than {earlier['afterDays']}"
        elif (first, second) in IMPOSSIBLE_TRANSITIONS:
            yield (
                (*path, index, "storageClass"),
                f"objects cannot move from {first} to {second}",
                "remove one of the two",
            )
        elif days_apart < MIN_TRANSITION_DAYS.get(first, 0):
            message = f"objects stay in {first} for at least 30 days before they move to {second}"
            yield days_path, message, f"set `afterDays: {earlier['afterDays'] + MIN_TRANSITION_DAYS[first]}` or more"


def _check_versions(path: tuple[str | int, ...], rule: Mapping[str, Value], versioning: bool) -> Iterator[Finding]:
    if "keepNewestVersions" in rule and "expireOldVersionsAfterDays" not in rule:
        hint = "also set `expireOldVersionsAfterDays`"
        yield (*path, "keepNewestVersions"), "`keepNewestVersions` requires `expireOldVersionsAfterDays`", hint
    if "expireOldVersionsAfterDays" in rule and not versioning:
        hint = "set `versioning: true`, or use `expireAfterDays` to delete the objects themselves"
        yield (*path, "expireOldVersionsAfterDays"), "a bucket without versioning has no old versions", hint


def _check_rule(path: tuple[str | int, ...], rule: Mapping[str, Value]) -> Iterator[Finding]:
    if not expiration_actions(rule) and not transition_actions(rule):
        yield path, "S3 rejects a rule without an action", "set an expiration or a transition, or remove the rule"
    expiry_days = {
        "transitions": rule.get("expireAfterDays"),
        "oldVersionTransitions": rule.get("expireOldVersionsAfterDays"),
    }
    for member, expires_after in expiry_days.items():
        for index, transition in enumerate(rule[member]):
            days_path = (*path, member, index, "afterDays")
            min_days = MIN_TRANSITION_DAYS.get(transition["storageClass"], 0)
            if transition["afterDays"] < min_days:
                yield (
                    days_path,
                    (
                        f"objects can move to {transition['storageClass']} after {format_count(min_days, 'day')} at "
                        "the earliest"
                    ),
                    None,
                )
            if expires_after is not None and expires_after <= transition["afterDays"]:
                yield (
                    days_path,
                    f"objects expire after {format_count(expires_after, 'day')}, before they would move",
                    "move them earlier, or expire them later",
                )
