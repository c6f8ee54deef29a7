"""The end of a deploy or a rollback: which release stands, the first cause on top, what was proved, what to type next.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.release.deploy import Ended
from orchestrator.release.probe import Proof
from orchestrator.render import apply_report
from orchestrator.render.apply_report import Report
from orchestrator.render.plan_view import name, sentence
from orchestrator.render.style import Style
from orchestrator.vocabulary import Action, Outcome


class Ending(Struct, frozen=True):
    """What a person reads; ``deeds`` is the report of the calls, ``well`` whether all is as it was asked for.

    ``again``: the ``proofs`` are of what stood before, which was gone back to.
    """

    headline: str
    well: bool
    cause: str
    again: bool
    proofs: tuple[tuple[bool, str], ...]
    deeds: Report
    asides: tuple[str, ...]
    advice: str
    next_command: str


def view(ended: Ended, seconds: float, *, again: str, look: str) -> Ending:
    """``seconds`` of wall time; ``again`` and ``look`` are commands: to try the same again, to see the releases."""
    outcomes = [one for one in ended.shipped.outcomes if one.action is not Action.NONE]
    well = ended.end in {"released", "unchanged"}
    advice, command = ("", "") if well else _advice(ended, again, look)
    return Ending(
        headline=_headline(ended, seconds),
        well=well,
        cause=sentence(ended.cause),
        again=ended.back is not None,
        proofs=tuple((proof.passed, _proof(proof)) for proof in (ended.back or ended.shipped).proofs),
        deeds=_once(apply_report.view(outcomes, seconds, ""), outcomes, ended.cause),
        asides=tuple(sentence(one) for one in _asides(ended)),
        advice=advice,
        next_command=command,
    )


def text(ending: Ending, style: Style) -> str:
    """Ends with a newline."""
    sections = [
        list(style.wrap(f"{style.paint('First cause:', 'alarm')} {ending.cause}", "", "    ")) if ending.cause else [],
        list(_deeds(ending, style)),
        list(_proofs(ending, style)),
        [line for aside in ending.asides for line in style.wrap(aside, "  • ")],
        [style.paint(ending.headline, "good" if ending.well else "alarm")],
        [*style.wrap(ending.advice, ""), f"    {style.paint(ending.next_command, 'bold')}"] if ending.advice else [],
    ]
    return style.fit("\n\n".join("\n".join(section) for section in sections if section) + "\n")


def _asides(ended: Ended) -> Iterator[str]:
    if ended.end == "failed" and ended.back is not None:
        yield f"going back failed: {ended.back.cause}"
    yield from (f"could not tidy up: {one}" for one in ended.trouble)


def _once(deeds: Report, outcomes: Sequence[Outcome], cause: str) -> Report:
    """The first cause is told once, on top."""
    told = {name(one.address): sentence(one.reason) for one in outcomes if cause == f"{one.address}: {one.reason}"}
    items = (
        replace(item, text=item.text.replace(f": {told.get(item.address)}", ", as said above")) for item in deeds.failed
    )
    return replace(deeds, failed=tuple(items))


def _headline(ended: Ended, seconds: float) -> str:
    took = apply_report.elapsed(seconds)
    number = ended.release.number if ended.release else None
    match ended.end:
        case "released" if ended.release and ended.release.of:
            return f"Release {ended.release.of} is back, as release {number}; {_proved(ended)}, in {took}."
        case "released":
            return f"Release {number} stands; {_proved(ended)}, in {took}."
        case "unchanged":
            return f"No changes: release {ended.stands} stands; {_proved(ended)}."
        case "returned":
            of = ended.release.of if ended.release else None
            which = f"release {of} stands again, as release {ended.stands}" if of else f"release {ended.stands} stands"
            return f"Failed, and went back: {which}, in {took}."
        case _ if ended.stands is not None:
            return f"Nothing was to be changed, but release {ended.stands} does not answer as it should."
        case _ if ended.shipped.is_unseen:
            return f"Applied, but not seen: nobody knows yet whether all of it stands, in {took}."
        case _ if ended.release is not None and ended.release.number == 1 and ended.back is None:
            return f"Failed: the first release is not whole, and there is none before it to go back to, in {took}."
        case _:
            tried = "; going back failed too" if ended.back is not None else ""
            return f"Failed{tried}: what AWS holds is neither all of the old release nor all of the new one, in {took}."


def _proved(ended: Ended) -> str:
    count = len(ended.shipped.proofs)
    return f"{count} of {count} probes passed" if count else "nothing of it answers requests that could be probed"


def _proof(proof: Proof) -> str:
    good = "as shipped" if proof.probe.sha256 else "the new build" if proof.probe.header else "as wanted"
    seen = f"{good}, after {apply_report.elapsed(proof.seconds)}" if proof.passed else proof.saw
    return sentence(f"{proof.probe.subject}: {proof.probe.url} {seen}")


def _advice(ended: Ended, again: str, look: str) -> tuple[str, str]:
    if ended.end == "returned" and ended.shipped.blames_the_build:
        return "The failed build is held back until it changes. Settle the cause and deploy again; to look:", look
    if ended.end == "returned":
        return "Settle the cause, then run the same again:", again
    if ended.stands is not None:
        return "Look at the above; to go back to what was proved before:", look.replace(" releases", " rollback", 1)
    return "Run the same again; it goes on from what AWS has:", again


def _deeds(ending: Ending, style: Style) -> Iterator[str]:
    groups = (("Failed", ending.deeds.failed), ("Not done", ending.deeds.skipped), ("Done", ending.deeds.done))
    for title, items in groups:
        if items:
            yield style.paint(title, "alarm" if title == "Failed" else "green" if title == "Done" else "yellow")
            for item in items:
                yield from style.wrap(f"{item.address}: {item.text}", "  • ")


def _proofs(ending: Ending, style: Style) -> Iterator[str]:
    if ending.proofs:
        yield style.paint("Proved, of what was gone back to" if ending.again else "Proved", "bold")
    for passed, line in ending.proofs:
        mark = style.paint("✓", "green") if passed else style.paint("✗", "alarm")
        first, *more = style.wrap(line, "    ")
        yield f"  {mark} {first.strip()}"
        yield from more
