"""The end of an apply: first cause on top, what was done, what was not and why, what to look at, what to type next.

Pure.  Outcomes come in the order in which they ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from orchestrator.render.plan_view import name, sentence
from orchestrator.render.style import Style
from orchestrator.vocabulary import Action, Actuation, Health, Outcome

DONE = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.REPLACE: "replaced",
    Action.DELETE: "deleted",
    Action.NONE: "unchanged",
}
_DENIED = re.compile(r"\b([a-z0-9-]+:[A-Z]\w+): (?:AccessDenied\w*|UnauthorizedOperation|AuthorizationError|Forbidden)")


class Item(Struct, frozen=True):
    """One resource and one sentence."""

    address: str
    text: str


class Report(Struct, frozen=True):
    """What became of a run.  ``next_command`` is what to type; empty when nothing is left to do."""

    headline: str
    failed: tuple[Item, ...]
    unwell: tuple[Item, ...]
    done: tuple[Item, ...]
    skipped: tuple[Item, ...]
    advice: str
    next_command: str


def view(outcomes: Sequence[Outcome], seconds: float, command: str, look: str = "") -> Report:
    """``seconds`` is the run's wall time; ``command`` what to type to go on, ``look`` to see how things stand."""
    failed = [outcome for outcome in outcomes if outcome.actuation is Actuation.FAILED]
    skipped = [outcome for outcome in outcomes if outcome.actuation is Actuation.SKIPPED]
    done = [outcome for outcome in outcomes if outcome.actuation is Actuation.SUCCEEDED]
    unwell = [
        outcome for outcome in outcomes if outcome not in failed + skipped and outcome.health is not Health.HEALTHY
    ]
    return Report(
        headline=_headline(failed, skipped, unwell, done, seconds),
        failed=tuple(Item(name(outcome.address), _failure(outcome)) for outcome in failed),
        unwell=tuple(Item(name(outcome.address), sentence(outcome.reason or outcome.health)) for outcome in unwell),
        done=tuple(Item(name(o.address), f"{DONE[o.action]} in {elapsed(o.seconds)}") for o in done),
        skipped=tuple(Item(name(o.address), f"{o.action} skipped: {sentence(o.reason)}") for o in skipped),
        advice=_advice(failed, skipped, unwell),
        next_command=command if failed or skipped else look if unwell else "",
    )


def text(report: Report, style: Style) -> str:
    """Ends with a newline."""
    sections = [
        list(_failures(report, style)),
        list(_listed("Not well: the calls worked, the thing is not there yet", report.unwell, style, "yellow")),
        list(_listed("Not done", report.skipped, style, "yellow")),
        list(_listed("Done", report.done, style, "green")) if report.failed or report.skipped else [],
        [style.paint(report.headline, "alarm" if report.failed else "yellow" if report.next_command else "good")],
        list(_next(report, style)),
    ]
    return style.fit("\n\n".join("\n".join(section) for section in sections if section) + "\n")


def elapsed(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``4 min 05 s``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02} s"


def _headline(
    failed: Sequence[Outcome],
    skipped: Sequence[Outcome],
    unwell: Sequence[Outcome],
    done: Sequence[Outcome],
    seconds: float,
) -> str:
    parts = [f"{len(done)} done"]
    parts += [f"{len(failed)} failed"] if failed else []
    parts += [f"{len(skipped)} skipped"] if skipped else []
    parts += [f"{len(unwell)} not well"] if unwell else []
    word = "Failed" if failed or skipped else "Applied, but not all is well" if unwell else "Applied"
    return f"{word}: {', '.join(parts)}, in {elapsed(seconds)}."


def _failure(outcome: Outcome) -> str:
    request = outcome.request_id
    aside = f" (request {request})" if request and request not in outcome.reason else ""
    steps = f"; {outcome.steps_done} of its calls were done before" if outcome.steps_done else ""
    return sentence(f"{outcome.action} failed: {outcome.reason}{aside}{steps}")


def _advice(failed: Sequence[Outcome], skipped: Sequence[Outcome], unwell: Sequence[Outcome]) -> str:
    for outcome in failed:
        if denied := _DENIED.search(outcome.reason):
            return f"Allow {denied[1]} to the credentials of this run, then run it again:"
    if failed:
        return "Nothing needs to be undone. Settle the cause, then run the same again; it goes on from what AWS has:"
    if skipped:
        return "Nothing needs to be undone. Run the same again; it goes on from what AWS has:"
    return "Look at the above; to see whether it has become well, run:" if unwell else ""


def _failures(report: Report, style: Style) -> Iterator[str]:
    for number, item in enumerate(report.failed):
        lead = "First cause: " if number == 0 else "Also failed: "
        first, *more = style.wrap(f"{item.address}: {item.text}", lead, "    ")
        yield style.paint(lead, "alarm") + first[len(lead) :]
        yield from more


def _listed(title: str, items: Sequence[Item], style: Style, colour: str) -> Iterator[str]:
    if items:
        yield style.paint(title, colour)
        for item in items:
            yield from style.wrap(f"{item.address}: {item.text}", "  • ")


def _next(report: Report, style: Style) -> Iterator[str]:
    if report.next_command:
        yield from style.wrap(report.advice, "")
        yield f"    {style.paint(report.next_command, 'bold')}"
