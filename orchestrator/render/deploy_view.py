"""Report the result of a deploy or rollback: the current release, the root cause, the probes and the next command.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.quantities import format_count
from orchestrator.release.deploy import DeployResult
from orchestrator.release.probe import ProbeResult
from orchestrator.release.ship import ShipResult
from orchestrator.release.shipped_commits import ShippedCommit, ShippedCommits
from orchestrator.render import apply_report, workflow_dispatch
from orchestrator.render.apply_report import Report
from orchestrator.render.field_values import shorten
from orchestrator.render.plan_view import clean_name, clean_paragraph, clean_sentence
from orchestrator.render.style import Style
from orchestrator.vocabulary import Action, Actuation, Outcome

_MAX_SUMMARY_CHARACTERS = 100
MAX_SHOWN_COMMITS = 10
"""Commits that the report of a deploy names."""


class DeployView(Struct, frozen=True):
    """The result of a deploy or rollback for people.  ``report`` covers the changes.

    ``is_success`` is true if everything is as requested.  ``proofs`` are the probes' results.  ``is_rollback`` is true
    if a failure was rolled back; the probes are then those of the restored release.  ``held`` is what pins hold back,
    and comes first.  ``addresses`` are component and URL of what answers, sites first.
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
    held: tuple[str, ...] = ()
    shipped: tuple[ShippedCommit, ...] = ()
    workflow_step: str = ""
    workflow_command: str = ""
    addresses: tuple[tuple[str, str], ...] = ()


def build_view(
    result: DeployResult,
    seconds: float,
    *,
    retry_command: str,
    list_command: str,
    commits: ShippedCommits | None = None,
    environment: str = workflow_dispatch.DEFAULT_ENVIRONMENT,
) -> DeployView:
    """Build the view of a run that took ``seconds`` of wall time.

    ``retry_command`` runs it again, ``list_command`` lists the releases.  ``commits`` are those that it shipped.
    """
    outcomes = [item for item in result.ship_result.outcomes if item.action is not Action.NONE]
    is_success = result.status in {"released", "unchanged"}
    next_step, command = ("", "") if is_success else _next_step(result, retry_command, list_command)
    workflow_step, workflow_command = ("", "") if is_success else _workflow_step(result, environment)
    return DeployView(
        headline=_format_headline(result, seconds),
        is_success=is_success,
        cause=clean_paragraph(result.cause),
        is_rollback=result.rollback_result is not None,
        proofs=tuple(
            (probe_result.has_passed, _describe_probe(probe_result))
            for probe_result in (result.rollback_result or result.ship_result).probe_results
        ),
        report=_remove_repeated_cause(apply_report.build_view(outcomes, seconds, ""), outcomes, result.cause),
        notes=tuple(clean_paragraph(item) for item in _list_notes(result)),
        next_step=next_step,
        next_command=command,
        held=tuple(map(clean_sentence, result.held)),
        shipped=commits.added if commits is not None else (),
        addresses=_list_addresses(result),
        workflow_step=workflow_step,
        workflow_command=workflow_command,
    )


def _list_addresses(result: DeployResult) -> tuple[tuple[str, str], ...]:
    """Return component and URL of each host that answered the probes of the release that runs now."""
    probe_results = (result.rollback_result or result.ship_result).probe_results
    probes = [probe_result.probe for probe_result in probe_results if probe_result.has_passed]
    hosts = sorted(
        {(not probe.component_handle.startswith("cdn."), probe.component_handle, probe.host) for probe in probes}
    )
    return tuple((component, f"https://{host}/") for _, component, host in hosts)


def render_text(deploy_view: DeployView, style: Style) -> str:
    """Return the result as text that ends with a newline."""
    sections = [
        [
            line
            for sentence in deploy_view.held
            for line in style.wrap(f"{style.paint('Pinned:', 'yellow')} {sentence}", "")
        ],
        list(style.wrap(f"{style.paint('Root cause:', 'alarm')} {deploy_view.cause}", "", "    "))
        if deploy_view.cause
        else [],
        list(_render_report(deploy_view, style)),
        list(_render_probes(deploy_view, style)),
        [line for note in deploy_view.notes for line in style.wrap(note, "  • ")],
        list(_render_shipped(deploy_view, style)),
        list(_render_addresses(deploy_view)),
        [style.paint(deploy_view.headline, "good" if deploy_view.is_success else "alarm")],
        [*style.wrap(deploy_view.next_step, ""), f"    {style.paint(deploy_view.next_command, 'bold')}"]
        if deploy_view.next_step
        else [],
    ]
    return style.replace_unencodable("\n\n".join("\n".join(section) for section in sections if section) + "\n")


def _render_addresses(deploy_view: DeployView) -> Iterator[str]:
    """Yield where to look at the result."""
    width = max((len(component) for component, _ in deploy_view.addresses), default=0)
    for component, url in deploy_view.addresses:
        yield f"{component:{width}}  {url}"


def _render_shipped(deploy_view: DeployView, style: Style) -> Iterator[str]:
    """Yield the first commits that a deploy shipped."""
    commits = deploy_view.shipped
    if commits:
        yield f"Shipped {format_count(len(commits), 'commit')}"
    for commit in commits[:MAX_SHOWN_COMMITS]:
        number = f" (#{commit.pull_request})" if commit.pull_request else ""
        yield from style.wrap(f"{commit.title}{number}, {commit.author}", "  • ")
    if len(commits) > MAX_SHOWN_COMMITS:
        yield f"  • and {len(commits) - MAX_SHOWN_COMMITS} more: orchestrator releases show"


def _list_notes(result: DeployResult) -> Iterator[str]:
    if result.status == "failed" and result.rollback_result is not None:
        yield f"Rollback failed: {result.rollback_result.cause}"
    yield from (f"Warning: {warning}" for warning in result.warnings)


def _remove_repeated_cause(apply_report: Report, outcomes: Sequence[Outcome], cause: str) -> Report:
    """Return the report without the text of the root cause, which is shown above it."""
    repeated_reasons = {
        clean_name(outcome.address): clean_sentence(outcome.reason)
        for outcome in outcomes
        if cause == f"{outcome.address}: {outcome.reason}"
    }
    items = []
    for item in apply_report.failed:
        sentence, reason = item.text.partition("\n")[0], f": {repeated_reasons.get(item.address)}"
        is_repeated = reason in sentence
        items.append(replace(item, text=sentence.replace(reason, " (see the root cause)")) if is_repeated else item)
    return replace(apply_report, failed=tuple(items))


def _format_headline(result: DeployResult, seconds: float) -> str:
    duration = apply_report.format_duration(seconds)
    number = result.release.number if result.release else None
    rollback_of = result.release.of if result.release else None
    exception = ", except what is pinned" if result.held else ""
    match result.status:
        case "released" if rollback_of:
            return (
                f"Rolled back to release {rollback_of} (recorded as release {number}) in {duration}; "
                f"{_describe_probes(result)}."
            )
        case "released":
            done = f"Deployed release {number}{_environment_note(result)} in {duration}{exception}"
            return f"{done}; {_describe_probes(result)}."
        case "unchanged":
            current = f"release {result.current_release_number} is current"
            return f"No changes{exception}: {current}; {_describe_probes(result)}."
        case "returned":
            restored = (
                f"release {rollback_of} (recorded as release {result.current_release_number})"
                if rollback_of
                else f"release {result.current_release_number}"
            )
            return f"Failed: {_summarize_cause(result.ship_result)}. Rolled back to {restored} in {duration}."
        case _:
            return _format_failure(result, duration, rollback_of)


def _format_failure(result: DeployResult, duration: str, rollback_of: int | None) -> str:
    if result.release is None and result.ship_result.has_changed_nothing:
        current = f"release {result.current_release_number}" if result.current_release_number else "no release"
        return (
            f"Deploy failed after {duration}: {_summarize_cause(result.ship_result)}. "
            f"Nothing was changed: {current} is current."
        )
    if result.current_release_number is not None:
        return (
            f"Release {result.current_release_number} is unhealthy: {_summarize_cause(result.ship_result)}. "
            "Nothing was changed."
        )
    if result.ship_result.is_unverified:
        return f"Applied in {duration}, but not verified: AWS could not be read afterwards."
    if result.release is not None and result.release.number == 1 and result.rollback_result is None:
        return (
            f"Deploy failed after {duration}: the first release is incomplete, "
            "and there is no earlier release to roll back to."
        )
    operation = "Rollback" if rollback_of else "Deploy"
    rollback_note = ", and restoring the previous release also failed" if result.rollback_result else ""
    return f"{operation} failed after {duration}{rollback_note}: AWS now has parts of both the old and the new release."


def _environment_note(result: DeployResult) -> str:
    verification = result.ship_result.verification
    return f" to {clean_name(verification.plan.environment)}" if verification is not None else ""


def _summarize_cause(ship_result: ShipResult) -> str:
    """Return the cause in a few words; the full cause is shown separately."""
    failures = [
        f"{clean_name(outcome.address)} could not be {outcome.action}d"
        for outcome in ship_result.outcomes
        if outcome.actuation is Actuation.FAILED
    ]
    failed_count = sum(not probe_result.has_passed for probe_result in ship_result.probe_results)
    if failures:
        return failures[0] if len(failures) == 1 else f"{format_count(len(failures), 'change')} failed"
    if failed_count:
        return f"{failed_count} of {len(ship_result.probe_results)} probes failed"
    return shorten(clean_sentence(ship_result.cause), _MAX_SUMMARY_CHARACTERS).rstrip(".")


def _describe_probes(result: DeployResult) -> str:
    count = len(result.ship_result.probe_results)
    return f"{count} of {count} probes passed" if count else "no component has an endpoint to probe"


def _describe_probe(probe_result: ProbeResult) -> str:
    probe = probe_result.probe
    success_text = (
        "serves the deployed content"
        if probe.sha256
        else "serves the expected build"
        if probe.header
        else "responds as expected"
    )
    duration = apply_report.format_duration(probe_result.duration_seconds)
    observation = f" {success_text} (after {duration})" if probe_result.has_passed else f": {probe_result.failure}"
    return clean_sentence(f"{probe.component_handle}: {probe.url}{observation}")


def _next_step(result: DeployResult, retry_command: str, list_command: str) -> tuple[str, str]:
    if result.status == "returned" and result.ship_result.is_build_failure:
        return (
            "The failed build is pinned until it changes. Fix the cause and deploy again. To list the releases:",
            list_command,
        )
    if result.status == "returned" or (result.status == "failed" and result.release is None):
        return "Fix the cause, then run the command again:", retry_command
    if result.current_release_number is not None:
        return "Check the root cause. To roll back to the last healthy release:", list_command.replace(
            " releases", " rollback", 1
        )
    return "Run the command again; it continues from the state of AWS:", retry_command


def _workflow_step(result: DeployResult, environment: str) -> tuple[str, str]:
    """Return the next step for somebody who has only GitHub, as Markdown, with the command that starts its workflow."""
    if result.status == "returned" and result.ship_result.is_build_failure:
        text = (
            "the failed build stays pinned until it changes. To deploy a fix, merge it. To deploy the same build "
            "again, start the workflow `deploy` with `unpin: all`:"
        )
        return text, workflow_dispatch.format_command("deploy", environment, unpin="all")
    if result.status == "returned" or (result.status == "failed" and result.release is None):
        text = (
            "fix the cause and merge the fix, which deploys it. To deploy the same commit again, start the "
            "workflow `deploy`:"
        )
        return text, workflow_dispatch.format_command("deploy", environment)
    if result.current_release_number is not None:
        text = "check the root cause. To roll back to the last healthy release, start the workflow `rollback`:"
        return text, workflow_dispatch.format_command("rollback", environment)
    rollback_of = result.release.of if result.release else None
    if rollback_of is not None:
        text = "start the workflow `rollback` again; it continues from the state of AWS:"
        return text, workflow_dispatch.format_command("rollback", environment, release=rollback_of)
    text = "start the workflow `deploy` again; it continues from the state of AWS:"
    return text, workflow_dispatch.format_command("deploy", environment)


def _render_report(deploy_view: DeployView, style: Style) -> Iterator[str]:
    groups = (
        ("Failed", deploy_view.report.failed),
        ("Skipped", deploy_view.report.skipped),
        ("Done", deploy_view.report.succeeded),
    )
    for title, items in groups:
        if items:
            yield style.paint(title, "alarm" if title == "Failed" else "green" if title == "Done" else "yellow")
            for item in items:
                yield from style.wrap(f"{item.address}: {item.text}", "  • ")


def _render_probes(deploy_view: DeployView, style: Style) -> Iterator[str]:
    if deploy_view.proofs:
        yield style.paint("Probes of the restored release" if deploy_view.is_rollback else "Probes", "bold")
    for passed, description in deploy_view.proofs:
        symbol = style.paint("✓", "green") if passed else style.paint("✗", "alarm")
        first, *continuation = style.wrap(description, "    ")
        yield f"  {symbol} {first.strip()}"
        yield from continuation
