"""Report the result of an apply: the root cause first, then the outcomes and the next command.

Pure.  Outcomes are in the order in which they finished.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from orchestrator.aws import error_catalogue
from orchestrator.iam_actions import list_required_actions
from orchestrator.render.plan_view import clean_name, clean_paragraph, clean_sentence
from orchestrator.render.style import Style
from orchestrator.vocabulary import Action, Actuation, Health, Outcome

COMPLETED_LABELS = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.REPLACE: "replaced",
    Action.DELETE: "deleted",
    Action.NONE: "unchanged",
}
_ACCESS_DENIED_PATTERN = re.compile(
    r"\b([a-z0-9-]+:[A-Z]\w+): (?:AccessDenied\w*|UnauthorizedOperation|AuthorizationError|Forbidden|403)\b:?(.*)",
    re.DOTALL,
)
_NOT_AUTHORIZED_PATTERN = re.compile(
    r"not authorized to perform: (?P<action>[\w-]+:\w+)(?: on resource: (?P<resource>[^\s\"]+))?"
)
_BARE_DENIAL_PATTERN = re.compile(
    r"not authorized|access denied|unauthorized|forbidden|no policy allows|^[ .]*(\(request|$)", re.IGNORECASE
)
"""Denials that name no action; any other text of a denied call gives another cause than a missing permission."""
_NOTHING_TO_UNDO = "There is nothing to undo."
INTERRUPTED_STEP = (
    "AWS completes the calls that it has accepted. Run the command again; it continues from the state of AWS:"
)
INTERRUPTED_VERIFICATION = (
    "All changes are applied, but the release is not recorded as verified. Run the command again:"
)
INTERRUPTED_ROLLBACK = "The deployment failed, and parts of it are still in AWS. To complete the rollback, run:"


class ReportItem(Struct, frozen=True):
    """One resource and one sentence."""

    address: str
    text: str


class Report(Struct, frozen=True):
    """The result of a run.  ``next_command`` is the command to run next; empty if there is nothing left to do."""

    headline: str
    failed: tuple[ReportItem, ...]
    unhealthy: tuple[ReportItem, ...]
    succeeded: tuple[ReportItem, ...]
    skipped: tuple[ReportItem, ...]
    next_step: str
    next_command: str


def build_view(
    outcomes: Sequence[Outcome],
    seconds: float,
    retry_command: str,
    status_command: str = "",
    *,
    interrupted_step: str = "",
) -> Report:
    """Build the report of a run that took ``seconds`` of wall time.

    ``retry_command`` continues the run, ``status_command`` shows the state of the resources.  ``interrupted_step`` says
    what the next command does, if the run was interrupted.
    """
    failed = [outcome for outcome in outcomes if outcome.actuation is Actuation.FAILED]
    skipped = [outcome for outcome in outcomes if outcome.actuation is Actuation.SKIPPED]
    succeeded = [outcome for outcome in outcomes if outcome.actuation is Actuation.SUCCEEDED]
    unhealthy = [
        outcome for outcome in outcomes if outcome not in failed + skipped and outcome.health is not Health.HEALTHY
    ]
    return Report(
        headline=_format_headline(
            failed, skipped, unhealthy, succeeded, seconds, was_interrupted=bool(interrupted_step)
        ),
        failed=tuple(ReportItem(clean_name(outcome.address), _describe_failure(outcome)) for outcome in failed),
        unhealthy=tuple(
            ReportItem(clean_name(outcome.address), clean_sentence(outcome.reason or outcome.health))
            for outcome in unhealthy
        ),
        succeeded=tuple(
            ReportItem(
                clean_name(outcome.address), f"{COMPLETED_LABELS[outcome.action]} in {format_duration(outcome.seconds)}"
            )
            for outcome in succeeded
        ),
        skipped=tuple(
            ReportItem(clean_name(outcome.address), f"{outcome.action} skipped: {clean_paragraph(outcome.reason)}")
            for outcome in skipped
        ),
        next_step=interrupted_step or _next_step(failed, skipped, unhealthy),
        next_command=retry_command if failed or skipped or interrupted_step else status_command if unhealthy else "",
    )


def render_text(report: Report, style: Style) -> str:
    """Return the report as text that ends with a newline."""
    sections = [
        list(_render_failures(report, style)),
        list(_render_items("Unhealthy: applied, but not ready yet", report.unhealthy, style, "yellow")),
        list(_render_items("Skipped", report.skipped, style, "yellow")),
        list(_render_items("Done", report.succeeded, style, "green")) if report.failed or report.skipped else [],
        [style.paint(report.headline, "alarm" if report.failed else "yellow" if report.next_command else "good")],
        list(_render_next_step(report, style)),
    ]
    return style.replace_unencodable("\n\n".join("\n".join(section) for section in sections if section) + "\n")


def format_duration(seconds: float) -> str:
    """Return a duration such as ``0.4s`` or ``4m05s``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}s"
    whole_seconds = round(seconds)
    return f"{whole_seconds // 60}m{whole_seconds % 60:02}s"


def _format_headline(
    failed: Sequence[Outcome],
    skipped: Sequence[Outcome],
    unhealthy: Sequence[Outcome],
    succeeded: Sequence[Outcome],
    seconds: float,
    *,
    was_interrupted: bool,
) -> str:
    parts = [f"{len(succeeded)} done"]
    parts += [f"{len(failed)} failed"] if failed else []
    parts += [f"{len(skipped)} skipped"] if skipped else []
    parts += [f"{len(unhealthy)} unhealthy"] if unhealthy else []
    duration = format_duration(seconds)
    result = f"Failed after {duration}" if failed or skipped else f"Applied in {duration}"
    if was_interrupted:
        result = f"Interrupted after {duration}"
    health_note = ", but not everything is healthy" if unhealthy and not (failed or skipped or was_interrupted) else ""
    has_counts = not was_interrupted or succeeded or failed or skipped
    return f"{result}{health_note}{': ' + ', '.join(parts) if has_counts else ''}."


def _describe_failure(outcome: Outcome) -> str:
    request_id = outcome.request_id
    request_note = f" (request {request_id})" if request_id and request_id not in outcome.reason else ""
    steps_note = f"; API calls completed before: {outcome.steps_done}" if outcome.steps_done else ""
    reason, line_end, output = outcome.reason.partition("\n")
    return clean_paragraph(f"{outcome.action} failed: {reason}{request_note}{steps_note}{line_end}{output}")


def _next_step(failed: Sequence[Outcome], skipped: Sequence[Outcome], unhealthy: Sequence[Outcome]) -> str:
    for outcome in failed:
        if error_catalogue.has_advice(outcome.reason):
            return f"Follow the advice above. {_NOTHING_TO_UNDO} The next run continues from the state of AWS:"
        if permission := _find_missing_permission(outcome.reason):
            return f"{permission} Then run the command again:"
    if failed:
        return f"{_NOTHING_TO_UNDO} Fix the cause, then run the command again; it continues from the state of AWS:"
    if skipped:
        return f"{_NOTHING_TO_UNDO} Run the command again; it continues from the state of AWS:"
    return "Check the unhealthy resources. To check them again, run:" if unhealthy else ""


def _find_missing_permission(reason: str) -> str:
    """Return which IAM actions to grant, with the statement for the policy; "" if the failure has another cause."""
    denied = _ACCESS_DENIED_PATTERN.search(reason)
    if denied is None:
        return ""
    api_call, message = denied[1], denied[2]
    named = _NOT_AUTHORIZED_PATTERN.search(message)
    if named is None and not _BARE_DENIAL_PATTERN.search(message):
        return ""
    required = list_required_actions([named["action"] if named else api_call])
    actions = (named["action"],) if named and named["action"] in required else required
    resource = (named["resource"] if named else None) or "*"
    statement = json.dumps({"Effect": "Allow", "Action": list(actions), "Resource": resource.rstrip(".;,")})
    return f"Grant {', '.join(actions)} to this run's credentials. Add to their policy: {statement}."


def _render_failures(report: Report, style: Style) -> Iterator[str]:
    for number, item in enumerate(report.failed):
        prefix = "Root cause: " if number == 0 else "Also failed: "
        first, *continuation = style.wrap(f"{item.address}: {item.text}", prefix, "    ")
        yield style.paint(prefix, "alarm") + first[len(prefix) :]
        yield from continuation


def _render_items(title: str, items: Sequence[ReportItem], style: Style, colour: str) -> Iterator[str]:
    if items:
        yield style.paint(title, colour)
        for item in items:
            yield from style.wrap(f"{item.address}: {item.text}", "  • ")


def _render_next_step(report: Report, style: Style) -> Iterator[str]:
    if report.next_command:
        yield from style.wrap(report.next_step, "")
        yield f"    {style.paint(report.next_command, 'bold')}"
