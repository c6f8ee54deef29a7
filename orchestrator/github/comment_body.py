"""Render comments, issues and pull requests as Markdown for GitHub.  Pure.

Texts from manifests and AWS are untrusted: escape them with ``render.plan_markdown``.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Final

from msgspec.structs import replace

from orchestrator.cost.deadlines import WARN_DAYS, Deadline
from orchestrator.github.approval_policy import ApprovalDecision
from orchestrator.problems import Problem
from orchestrator.quantities import format_count
from orchestrator.redaction.redact import sanitise
from orchestrator.render import drift as drifts
from orchestrator.render import plan_markdown, workflow_dispatch
from orchestrator.render.deploy_view import DeployView
from orchestrator.render.field_values import shorten
from orchestrator.render.plan_markdown import MAX_COMMENT_BYTES, code_block, code_span, escape, render_sentence
from orchestrator.render.plan_view import PlanView

MAX_LIST_ITEMS: Final = 40
"""Most items in a list; the rest are counted."""
_MAX_CALLS_BYTES: Final = 12_000
_DATES_NOTE: Final = (
    "Close this issue once you have planned for the dates. The workflow reopens it only for a new date, and closes it "
    "when no date applies anymore. To list the dates of the next year, run `orchestrator outlook`."
)
_MERGE_NOTES: Final = {
    "review": "This plan requires approval by someone other than the author. Merging then applies exactly these "
    "changes, or none. To approve, submit a review (Files changed > Review changes > Approve) or comment `/approve`.",
    "strict": "Merging applies exactly these changes, or none.",
    "safe": "Merging applies these changes. A change that is not in this plan is applied only if it deletes, "
    "replaces and interrupts nothing.",
    "none": "Merging applies all changes that are pending at that time: the Project has `approval: none`.",
}


def render_plan(
    plan_view: PlanView,
    *,
    marker_comment: str,
    commit: str,
    run_url: str,
    approval: str,
    limit: int = MAX_COMMENT_BYTES,
    overlaps: str = "",
) -> str:
    """Render the plan comment of a pull request, in at most ``limit`` bytes.

    ``plan_view`` includes the steps.  ``marker_comment`` is the hidden line that records the reviewed plan.
    ``overlaps`` lists the other pull requests that change the same fields.
    """
    calls = "" if not plan_view.digest else _render_calls(plan_view)
    footer = "\n\n".join(
        part for part in (overlaps, calls, _render_footer(plan_view, commit, run_url, approval), marker_comment) if part
    )
    view_without_steps = _remove_steps(plan_view)
    body = plan_markdown.render(view_without_steps, limit - len(footer.encode()) - 4, "the artefact linked below")
    return f"{body}\n{footer}\n"


def render_overlaps(pull_requests: Iterable[tuple[int, str, tuple[str, ...]]]) -> str:
    """Render the other open pull requests (number, title, fields) that change the same fields; empty for none."""
    lines = []
    for number, title, fields in list(pull_requests)[:MAX_LIST_ITEMS]:
        more = f" and {len(fields) - 3} more" if len(fields) > 3 else ""
        field_list = ", ".join(code_span(sanitise(shorten(field, 120))) for field in fields[:3])
        lines.append(f"- #{number} ({escape(shorten(sanitise(title), 120))}): {field_list}{more}")
    header = "> [!WARNING]\n> Other open pull requests change the same fields. The last merge overrides the others:"
    return "\n".join([header, "", *lines]) if lines else ""


def render_loosening(released: str, declared: str) -> str:
    """Render that a pull request loosens ``approval``: it is judged by the one of the last release."""
    return (
        f"> [!WARNING]\n> This pull request changes `approval` from {code_span(released)} to {code_span(declared)}, so "
        f"later changes need less review. {code_span(released)} still applies to this pull request."
    )


def render_problems(title: str, problem_list: Iterable[Problem], commit: str, run_url: str) -> str:
    """Render the comment for a plan that failed: errors in the manifests, or an AWS error."""
    shown = list(problem_list)
    lines = [_render_problem(problem) for problem in shown[:MAX_LIST_ITEMS]]
    lines += [f"- and {len(shown) - MAX_LIST_ITEMS} more"] if len(shown) > MAX_LIST_ITEMS else []
    count = format_count(len(shown), "problem")
    header = f"{plan_markdown.marker(title)}\n### {code_span(title)}: plan failed with {count}"
    return (
        "\n\n".join([header, "\n".join(lines), _render_small(f"Commit {code_span(commit[:12])}, [run]({run_url}).")])
        + "\n"
    )


def render_result(title: str, result_view: DeployView, commit: str, run_url: str) -> str:
    """Render the result of a deploy or rollback: root cause, applied and skipped changes, next step."""
    header = f"{plan_markdown.marker(title, 'deploy')}\n### {code_span(title)}: {render_sentence(result_view.headline)}"
    parts = [header, *_render_result(result_view), _render_shipped(result_view)]
    parts.append(_render_small(f"Commit {code_span(commit[:12])}, [run]({run_url})."))
    return "\n\n".join(part for part in parts if part) + "\n"


def _render_shipped(result_view: DeployView) -> str:
    """Render the commits that a deploy shipped; GitHub links the numbers of pull requests by itself."""
    commits = result_view.shipped
    if not commits:
        return ""
    lines = []
    for commit in commits[:MAX_LIST_ITEMS]:
        number = f" (#{commit.pull_request})" if commit.pull_request else ""
        lines.append(f"- {escape(commit.title)}{number}, {escape(commit.author)}")
    omitted = [f"- and {len(commits) - MAX_LIST_ITEMS} more"] if len(commits) > MAX_LIST_ITEMS else []
    return "\n".join(["**Shipped**", "", *lines, *omitted])


def render_not_approved(title: str, decision: ApprovalDecision, commit: str, run_url: str, digest: str) -> str:
    """Render why a deploy was not approved: the unreviewed changes, and how to approve them."""
    items = [f"- {render_sentence(shorten(change, 400))}" for change in decision.unreviewed_changes[:MAX_LIST_ITEMS]]
    items += (
        [f"- and {len(decision.unreviewed_changes) - MAX_LIST_ITEMS} more"]
        if len(decision.unreviewed_changes) > MAX_LIST_ITEMS
        else []
    )
    rejections = "\n".join(f"- {render_sentence(sentence)}" for sentence in decision.rejected_reviews)
    command = workflow_dispatch.format_command("deploy", title.rpartition("/")[2], digest=digest)
    starter = "Someone who has not written any of the commits must start" if decision.needs_other_person else "Start"
    next_steps = (
        f"To apply this plan, review it in the workflow run. {starter} the workflow `deploy` manually with the plan's "
        f"digest: {code_span(command)}. To change the plan, open a pull request."
    )
    header = f"{plan_markdown.marker(title, 'deploy')}\n### {code_span(title)}: not deployed, no changes made"
    reason = f"{render_sentence(decision.reason[:1].upper() + decision.reason[1:])}:"
    run_line = _render_small(f"Commit {code_span(commit[:12])}, [run]({run_url}).")
    parts = [header, reason, "\n".join(items), rejections, next_steps, run_line]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_failure(title: str, problem_list: Iterable[Problem], commit: str, run_url: str, command: str) -> str:
    """Render why a deploy stopped before its first change or was rejected: every problem, and the command to run."""
    lines = [_render_problem(problem) for problem in list(problem_list)[:MAX_LIST_ITEMS]]
    header = f"{plan_markdown.marker(title, 'deploy')}\n### {code_span(title)}: not deployed"
    next_step = (
        "**Next step:** fix the problem in a pull request. The merge starts a new deploy. If the cause is outside the "
        f"repository, fix it there, open [this run]({run_url}) and choose **Re-run jobs** > **Re-run failed jobs**."
    )
    run_line = _render_small(f"Commit {code_span(commit[:12])}. In a terminal: {code_span(command)}")
    return "\n\n".join([header, "\n".join(lines), next_step, run_line]) + "\n"


def render_interrupted(title: str, commit: str, run_url: str) -> str:
    """Render that a run was stopped, and how to go on."""
    header = f"{plan_markdown.marker(title, 'deploy')}\n### {code_span(title)}: interrupted"
    next_step = (
        f"**Next step:** open [this run]({run_url}) and choose **Re-run jobs** > **Re-run failed jobs**. The run "
        "continues from the live state in AWS. The next merge does the same."
    )
    return "\n\n".join([header, next_step, _render_small(f"Commit {code_span(commit[:12])}.")]) + "\n"


def render_waiting(title: str, problem_list: Iterable[Problem], commit: str, run_url: str) -> str:
    """Render that there is nothing to deploy until another environment has proved a release."""
    lines = [_render_problem(problem) for problem in problem_list]
    header = f"{plan_markdown.marker(title, 'deploy')}\n### {code_span(title)}: waiting for a promotion"
    run_line = _render_small(f"Commit {code_span(commit[:12])}, [run]({run_url}).")
    return "\n\n".join([header, "\n".join(lines), run_line]) + "\n"


def render_drift(drift_view: drifts.DriftView, marker: str, commit: str, run_url: str) -> str:
    """Render the drift issue: what differs, and how to resolve it."""
    options = (
        "To resolve the drift, run the workflow `drift` (Actions > drift > Run workflow) and choose an `answer`:\n\n"
        "- `revert`: change AWS back to match the manifests.\n"
        "- `accept`: open a pull request that changes the manifests to match AWS. `targets` lists the addresses or "
        "components to accept.\n\n"
        "To ignore the drift until a date, add a waiver with an owner and a reason to the manifest: "
        f"{code_span('orchestrator drift --ignore ADDRESS:FIELD --until DATE --reason TEXT')}"
    )
    parts = [marker, drifts.render_markdown(drift_view).strip(), options if drift_view.has_drifted else ""]
    parts.append(_render_small(f"Checked against the manifests of {code_span(commit[:12])} in [this run]({run_url})."))
    return "\n\n".join(part for part in parts if part) + "\n"


def render_dates(due: Sequence[Deadline], title: str, marker: str, on: date, run_url: str) -> str:
    """Render the issue about the dates of the stack ``title``, as seen from ``on``."""
    rows = [
        f"| {item.on} | {code_span(item.address)} | {escape(item.effect)} | {escape(item.source)} |" for item in due
    ]
    table = ["| date | resource | what happens | source |", "|---|---|---|---|", *rows]
    parts = [
        marker,
        f"On these dates AWS changes {code_span(title)} or its cost, or GitHub changes its runners:",
        "\n".join(table) if due else f"No date is due within {WARN_DAYS} days.",
        _DATES_NOTE,
        _render_small(f"Checked on {on} in [this run]({run_url})."),
    ]
    return "\n\n".join(parts) + "\n"


def render_accepted_drift(edits: Iterable[str], unresolved: Iterable[str], run_url: str) -> str:
    """Render the pull request that accepts drift: what each edit does, and what remains unresolved."""
    parts = [
        "These edits change the manifests to match AWS.",
        "\n".join(f"- {render_sentence(item)}" for item in edits),
    ]
    if remaining := [f"- {render_sentence(item)}" for item in unresolved]:
        parts += ["**Not resolved by these edits:**", "\n".join(remaining[:MAX_LIST_ITEMS])]
    note = "GitHub does not start workflows for pull requests opened by a workflow. To get a plan, close and reopen it."
    return "\n\n".join([*parts, note, _render_small(f"Opened by [this run]({run_url}).")]) + "\n"


def _render_problem(problem: Problem) -> str:
    prefix = f"{code_span(sanitise(str(problem.where)))}: " if problem.where else ""
    hint = f"<br>{render_sentence(shorten(sanitise(problem.hint), 400))}" if problem.hint else ""
    return f"- {prefix}{render_sentence(shorten(sanitise(problem.message.partition(chr(10))[0]), 600))}{hint}"


def _render_result(result_view: DeployView) -> Iterator[str]:
    yield from (f"**Pinned:** {render_sentence(sentence)}" for sentence in result_view.held)
    if result_view.cause:
        sentence, *output = result_view.cause.split("\n")
        yield f"> [!CAUTION]\n> **Root cause:** {render_sentence(sentence)}"
        if output:
            yield code_block(output, "text")
    groups = (
        ("Failed", result_view.report.failed),
        ("Skipped", result_view.report.skipped),
        ("Applied", result_view.report.succeeded),
    )
    for name, items in groups:
        if items:
            lines = [
                f"- {code_span(item.address)}: {render_sentence(item.text.partition(chr(10))[0])}"
                for item in items[:MAX_LIST_ITEMS]
            ]
            lines += [f"- and {len(items) - MAX_LIST_ITEMS} more"] if len(items) > MAX_LIST_ITEMS else []
            yield _render_section(f"{name} ({len(items)})", "\n".join(lines), is_collapsed=name == "Applied")
    if result_view.proofs:
        symbols = ("✅" if passed else "❌" for passed, _ in result_view.proofs)
        lines = [
            f"- {symbol} {render_sentence(text)}" for symbol, (_, text) in zip(symbols, result_view.proofs, strict=True)
        ]
        yield _render_section("Probes", "\n".join(lines))
    if result_view.notes:
        yield "\n".join(f"- {render_sentence(note)}" for note in result_view.notes)
    if result_view.workflow_step:
        yield f"**Next step:** {result_view.workflow_step}\n\n{code_block([result_view.workflow_command], 'sh')}"
        yield _render_small(f"In a terminal: {code_span(result_view.next_command)}")


def _render_section(title: str, body: str, *, is_collapsed: bool = False) -> str:
    if is_collapsed:
        return f"<details><summary>{html.escape(title)}</summary>\n\n{body}\n\n</details>"
    return f"**{escape(title)}**\n\n{body}"


def _render_calls(plan_view: PlanView) -> str:
    """Render a collapsed list of the plan's API calls in order, up to a byte limit."""
    lines: list[str] = []
    bytes_left = _MAX_CALLS_BYTES
    changes = [change for component in plan_view.components for change in component.changes]
    for number, change in enumerate(changes):
        change_lines = [
            f"{change.action} {change.address}",
            *(f"  {step.action} {step.detail}" for step in change.steps),
        ]
        change_lines = [shorten(line, 200) for line in change_lines]
        bytes_left -= sum(len(line.encode()) + 1 for line in change_lines)
        if bytes_left < 0:
            lines.append(f"... and {format_count(len(changes) - number, 'more change')}; see the full plan")
            break
        lines += change_lines
    count = sum(len(change.steps) for change in changes)
    return _render_section(f"API calls to run: {count}", code_block(lines, "text"), is_collapsed=True) if count else ""


def _remove_steps(plan_view: PlanView) -> PlanView:
    components = tuple(
        replace(component, changes=tuple(replace(change, steps=()) for change in component.changes))
        for component in plan_view.components
    )
    return replace(plan_view, components=components)


def _render_footer(plan_view: PlanView, commit: str, run_url: str, approval: str) -> str:
    merge_note = f" {_MERGE_NOTES[approval]}" if plan_view.components and not plan_view.vetoes else ""
    return _render_small(
        f"Planned at {code_span(commit[:12])}. The full plan is an "
        f"artefact of [this run]({run_url}#artifacts).{merge_note}"
    )


def _render_small(text: str) -> str:
    return f"<sub>{text}</sub>"
