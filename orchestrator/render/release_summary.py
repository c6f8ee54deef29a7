"""Summarise for people what a plan would release: new images, sites, the database, the cost, and downtime.  Pure.

``API: new image (3 commits) · Site: files 2 to add · Database: unchanged · +2.10 USD/month · No downtime``
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct, field

from orchestrator.quantities import format_count
from orchestrator.redaction.redact import sanitise
from orchestrator.render.field_values import shorten
from orchestrator.vocabulary import Action, Change, Plan

SEPARATOR: Final = " · "
_MAX_NAMES: Final = 3
_DATABASE_TYPES: Final = frozenset({"rds_instance", "rds_parameter_group"})
_INTERRUPTED_TYPES: Final = ("rds_instance", "apprunner_service", "ecs_express_service", "cloudfront_distribution")
_SHORT_NAMES: Final = frozenset({"api", "web", "cdn"})


class ReleaseFacts(Struct, frozen=True):
    """What a plan does not say by itself.

    ``commits``: commits since the current release, None if unknown.  ``sites``: what the deploy's build makes of each
    site, by component handle.  ``held``: components that a rollback holds back.
    """

    commits: int | None = None
    sites: Mapping[str, str] = field(default_factory=dict)
    held: tuple[str, ...] = ()


def summarize(plan: Plan, facts: ReleaseFacts, cost_change: float | None, quiet_effects: frozenset[str]) -> str:
    """Return one line.  ``cost_change`` is in USD a month; ``quiet_effects`` interrupt nobody."""
    parts = [
        *_describe_images(plan.changes, facts.commits),
        *_describe_sites(plan.changes, facts.sites),
        *_describe_databases(plan.changes),
        *([_format_cost(cost_change)] if cost_change is not None else []),
        _describe_downtime(plan.pending_changes, quiet_effects),
        f"pinned: {_join_names(facts.held)}",
    ]
    return sanitise(shorten(SEPARATOR.join(parts), 600))


def _label(name: str) -> str:
    return name.upper() if name in _SHORT_NAMES else name[:1].upper() + name[1:]


def _name_of(change: Change) -> str:
    return change.address.partition(".")[2]


def _describe_images(changes: Iterable[Change], commits: int | None) -> Iterator[str]:
    for change in changes:
        if change.address.startswith("ecr_image.") and change.action is not Action.DELETE:
            count = "" if commits is None else f" ({format_count(commits, 'commit')})"
            state = "unchanged" if change.action is Action.NONE else f"new image{count}"
            yield f"{_label(_name_of(change))}: {state}"


def _describe_sites(changes: Iterable[Change], built: Mapping[str, str]) -> Iterator[str]:
    states = dict(built)
    for change in changes:
        if change.address.startswith("s3_site.") and change.action is not Action.DELETE:
            unchanged = states.get(change.component, "unchanged")
            states[change.component] = unchanged if change.action is Action.NONE else _count_files(change)
    for handle, state in states.items():
        yield f"Site{'' if len(states) == 1 else ' ' + handle.partition('.')[2]}: {state}"


def _count_files(change: Change) -> str:
    """Return what the plan says about the files of a site."""
    texts = [str(item.before) for item in change.fields if item.path == ("files",) and isinstance(item.before, str)]
    return f"files {texts[0]}" if texts else "new" if change.action is Action.CREATE else "changed"


def _describe_databases(changes: Iterable[Change]) -> Iterator[str]:
    databases = [change for change in changes if change.address.partition(".")[0] in _DATABASE_TYPES]
    migrations = [
        change for change in changes if change.address.startswith("migration.") and change.action is not Action.NONE
    ]
    if migrations:
        yield f"Database: migration by {_join_names(_name_of(change) for change in migrations)}"
    elif databases:
        changed = [change for change in databases if change.action is not Action.NONE]
        names = dict.fromkeys(f"{_name_of(change)} to {change.action}" for change in changed)
        yield f"Database: {_join_names(names) if names else 'unchanged'}"


def _format_cost(cost_change: float) -> str:
    return "Cost unchanged" if abs(cost_change) < 0.005 else f"{cost_change:+.2f} USD/month"


def _describe_downtime(changes: Iterable[Change], quiet_effects: frozenset[str]) -> str:
    names = [
        _name_of(change)
        for change in changes
        if any(effect not in quiet_effects for effect in change.effects)
        or (change.action in {Action.REPLACE, Action.DELETE} and change.address.partition(".")[0] in _INTERRUPTED_TYPES)
    ]
    return f"Interruption: {_join_names(dict.fromkeys(names))}" if names else "No downtime"


def _join_names(names: Iterable[str]) -> str:
    all_names = list(names)
    more = f" and {len(all_names) - _MAX_NAMES} more" if len(all_names) > _MAX_NAMES else ""
    return ", ".join(all_names[:_MAX_NAMES]) + more if all_names else "none"
