"""The end of a deploy or a rollback: which release stands, the first cause on top, what was proved, what to type next.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.release.deploy import DeployResult
from orchestrator.release.probe import ProbeResult
from orchestrator.render import apply_report
from orchestrator.render.apply_report import Report
from orchestrator.render.plan_view import clean_name, clean_sentence
from orchestrator.render.style import Style
from orchestrator.vocabulary import Action, Outcome


class DeployView(Struct, frozen=True):
    """What a person reads; ``deeds`` is the report of the calls, ``well`` whether all is as it was asked for.

    ``again``: the ``proofs`` are of what stood before, which was gone back to.
    """

    headline: str
    is_success: bool
    cause: str
    is_rollback: bool
    proofs: tuple[tuple[bool, str], ...]
    report: Report
    notes: tuple[str, ...]
    next_step: str
    next_command: str


def build_view(result: DeployResult, seconds: float, *, retry_command: str, list_command: str) -> DeployView:
    """``seconds`` of wall time; ``again`` and ``look`` are commands: to try the same again, to see the releases."""
    outcomes = [item for item in result.ship_result.outcomes if item.action is not Action.NONE]
    is_success = result.status in {"released", "unchanged"}
    next_step, command = ("", "") if is_success else _next_step(result, retry_command, list_command)
    return DeployView(
        headline=_format_headline(result, seconds),
        is_success=is_success,
        cause=clean_sentence(result.cause),
        is_rollback=result.rollback_result is not None,
        proofs=tuple(
            (proof.has_passed, _describe_proof(proof))
            for proof in (result.rollback_result or result.ship_result).probe_results
        ),
        report=_remove_repeated_cause(apply_report.build_view(outcomes, seconds, ""), outcomes, result.cause),
        notes=tuple(clean_sentence(item) for item in _list_notes(result)),
        next_step=next_step,
        next_command=command,
    )


def render_text(deploy_view: DeployView, style: Style) -> str:
    """Ends with a newline."""
    sections = [
        list(style.wrap(f"{style.paint('First cause:', 'alarm')} {deploy_view.cause}", "", "    "))
        if deploy_view.cause
        else [],
        list(_render_report(deploy_view, style)),
        list(_render_proofs(deploy_view, style)),
        [line for note in deploy_view.notes for line in style.wrap(note, "  • ")],
        [style.paint(deploy_view.headline, "good" if deploy_view.is_success else "alarm")],
        [*style.wrap(deploy_view.next_step, ""), f"    {style.paint(deploy_view.next_command, 'bold')}"]
        if deploy_view.next_step
        else [],
    ]
    return style.replace_unencodable("\n\n".join("\n".join(section) for section in sections if section) + "\n")


def _list_notes(result: DeployResult) -> Iterator[str]:
    if result.status == "failed" and result.rollback_result is not None:
        yield f"going back failed: {result.rollback_result.cause}"
    yield from (f"could not tidy up: {warning}" for warning in result.warnings)


def _remove_repeated_cause(apply_report: Report, outcomes: Sequence[Outcome], cause: str) -> Report:
    """The first cause is told once, on top."""
    repeated_reasons = {
        clean_name(outcome.address): clean_sentence(outcome.reason)
        for outcome in outcomes
        if cause == f"{outcome.address}: {outcome.reason}"
    }
    items = (
        replace(item, text=item.text.replace(f": {repeated_reasons.get(item.address)}", ", as said above"))
        for item in apply_report.failed
    )
    return replace(apply_report, failed=tuple(items))


def _format_headline(result: DeployResult, seconds: float) -> str:
    duration = apply_report.format_duration(seconds)
    number = result.release.number if result.release else None
    match result.status:
        case "released" if result.release and result.release.of:
            return (
                f"Release {result.release.of} is back, as release {number}; {_describe_probes(result)}, in {duration}."
            )
        case "released":
            return f"Release {number} stands; {_describe_probes(result)}, in {duration}."
        case "unchanged":
            return f"No changes: release {result.current_release_number} stands; {_describe_probes(result)}."
        case "returned":
            restored_number = result.release.of if result.release else None
            restored = (
                f"release {restored_number} stands again, as release {result.current_release_number}"
                if restored_number
                else f"release {result.current_release_number} stands"
            )
            return f"Failed, and went back: {restored}, in {duration}."
        case _ if result.current_release_number is not None:
            return (
                f"Nothing was to be changed, but release {result.current_release_number} does not answer as it should."
            )
        case _ if result.ship_result.is_unverified:
            return f"Applied, but not seen: nobody knows yet whether all of it stands, in {duration}."
        case _ if result.release is not None and result.release.number == 1 and result.rollback_result is None:
            return f"Failed: the first release is not whole, and there is none before it to go back to, in {duration}."
        case _:
            rollback_note = "; going back failed too" if result.rollback_result is not None else ""
            return (
                f"Failed{rollback_note}: what AWS holds is neither all of "
                f"the old release nor all of the new one, in {duration}."
            )


def _describe_probes(result: DeployResult) -> str:
    count = len(result.ship_result.probe_results)
    return f"{count} of {count} probes passed" if count else "nothing of it answers requests that could be probed"


def _describe_proof(proof: ProbeResult) -> str:
    success_text = "as shipped" if proof.probe.sha256 else "the new build" if proof.probe.header else "as wanted"
    observation = (
        f"{success_text}, after {apply_report.format_duration(proof.duration_seconds)}"
        if proof.has_passed
        else proof.failure
    )
    return clean_sentence(f"{proof.probe.component_handle}: {proof.probe.url} {observation}")


def _next_step(result: DeployResult, retry_command: str, list_command: str) -> tuple[str, str]:
    if result.status == "returned" and result.ship_result.is_build_failure:
        return (
            "The failed build is held back until it changes. Settle the cause and deploy again; to look:",
            list_command,
        )
    if result.status == "returned":
        return "Settle the cause, then run the same again:", retry_command
    if result.current_release_number is not None:
        return "Look at the above; to go back to what was proved before:", list_command.replace(
            " releases", " rollback", 1
        )
    return "Run the same again; it goes on from what AWS has:", retry_command


def _render_report(deploy_view: DeployView, style: Style) -> Iterator[str]:
    groups = (
        ("Failed", deploy_view.report.failed),
        ("Not done", deploy_view.report.skipped),
        ("Done", deploy_view.report.succeeded),
    )
    for title, items in groups:
        if items:
            yield style.paint(title, "alarm" if title == "Failed" else "green" if title == "Done" else "yellow")
            for item in items:
                yield from style.wrap(f"{item.address}: {item.text}", "  • ")


def _render_proofs(deploy_view: DeployView, style: Style) -> Iterator[str]:
    if deploy_view.proofs:
        yield style.paint("Proved, of what was gone back to" if deploy_view.is_rollback else "Proved", "bold")
    for passed, description in deploy_view.proofs:
        symbol = style.paint("✓", "green") if passed else style.paint("✗", "alarm")
        first, *continuation = style.wrap(description, "    ")
        yield f"  {symbol} {first.strip()}"
        yield from continuation
