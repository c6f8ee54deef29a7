"""What people read on GitHub: the plan's comment, how a deploy ended, why one did not begin.  Pure Markdown.

Texts from manifests and AWS are hostile here; ``render.markdown`` has the escapes.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import replace

from orchestrator.github.approval import Verdict
from orchestrator.problems import Problem
from orchestrator.redaction.redact import safe
from orchestrator.render import drift as drifts
from orchestrator.render import plan_markdown
from orchestrator.render.deploy_view import Ending
from orchestrator.render.field_values import shorten
from orchestrator.render.plan_markdown import LIMIT, code, escape, fenced
from orchestrator.render.plan_view import PlanView

MOST: Final = 40
"""Lines of any list."""
_ROOM_FOR_CALLS: Final = 12_000
_ON_MERGE: Final = {
    "strict": "On merge exactly these changes are made, or none.",
    "safe": "On merge these changes are made; of others only those that delete, replace and interrupt nothing.",
    "none": "On merge whatever is due then is made: the Project asks for no approval.",
}


def plan(
    seen: PlanView, *, hidden: str, commit: str, run: str, approval: str, limit: int = LIMIT, overlaps: str = ""
) -> str:
    """The comment on a pull request, under ``limit`` bytes; ``seen`` has its steps, ``hidden`` is the marker's line.

    ``overlaps`` says which other pull requests touch the same.
    """
    calls = "" if not seen.digest else _calls(seen)
    foot = "\n\n".join(part for part in (overlaps, calls, _foot(seen, commit, run, approval), hidden) if part)
    without = _without_steps(seen)
    body = plan_markdown.render(without, limit - len(foot.encode()) - 4, "the artefact of the run that is linked below")
    return f"{body}\n{foot}\n"


def overlaps(found: Iterable[tuple[int, str, tuple[str, ...]]]) -> str:
    """Which other open pull requests touch the same fields: their number, title and the fields; "" for none."""
    lines = []
    for number, title, fields in list(found)[:MOST]:
        more = f" and {len(fields) - 3} more" if len(fields) > 3 else ""
        same = ", ".join(code(safe(shorten(field, 120))) for field in fields[:3])
        lines.append(f"- #{number} ({escape(shorten(safe(title), 120))}): {same}{more}")
    head = "> [!WARNING]\n> Other open pull requests touch the same; whichever is merged last decides:"
    return "\n".join([head, "", *lines]) if lines else ""


def problems(title: str, found: Iterable[Problem], commit: str, run: str) -> str:
    """The comment where there is no plan: what is wrong with the manifests, or why AWS could not be asked."""
    listed = list(found)
    lines = [_problem(problem) for problem in listed[:MOST]]
    lines += [f"- and {len(listed) - MOST} more"] if len(listed) > MOST else []
    count = "1 problem" if len(listed) == 1 else f"{len(listed)} problems"
    head = f"{plan_markdown.marker(title)}\n### {code(title)}: no plan, {count}"
    return "\n\n".join([head, "\n".join(lines), _sub(f"Commit {code(commit[:12])}, [run]({run}).")]) + "\n"


def ended(title: str, ending: Ending, commit: str, run: str) -> str:
    """How a deploy or rollback ended: first cause, done and not done, what to type next."""
    head = f"{plan_markdown.marker(title, 'deploy')}\n### {code(title)}: {escape(ending.headline)}"
    parts = [head, *_body(ending), _sub(f"Commit {code(commit[:12])}, [run]({run}).")]
    return "\n\n".join(part for part in parts if part) + "\n"


def stopped(title: str, verdict: Verdict, commit: str, run: str, digest: str) -> str:
    """Why nothing was begun: what moved since the review, and how to agree to it."""
    shown = [f"- {escape(shorten(one, 400))}" for one in verdict.moved[:MOST]]
    shown += [f"- and {len(verdict.moved) - MOST} more"] if len(verdict.moved) > MOST else []
    way = (
        "To go ahead with what is due now, look at the plan in the run, and then run the workflow `deploy` by hand "
        f"with its digest: {code(digest)}. Otherwise open a pull request that changes it."
    )
    head = f"{plan_markdown.marker(title, 'deploy')}\n### {code(title)}: not deployed, nothing was done"
    parts = [head, f"{escape(verdict.why[:1].upper() + verdict.why[1:])}:", "\n".join(shown), way]
    return "\n\n".join([*parts, _sub(f"Commit {code(commit[:12])}, [run]({run}).")]) + "\n"


def failed(title: str, found: Iterable[Problem], commit: str, run: str, command: str) -> str:
    """A deploy that stopped before it changed anything, or was refused: every problem, and what to type."""
    lines = [_problem(problem) for problem in list(found)[:MOST]]
    head = f"{plan_markdown.marker(title, 'deploy')}\n### {code(title)}: not deployed"
    again = f"Settle it, then run the job again, or: {code(command)}"
    return "\n\n".join([head, "\n".join(lines), again, _sub(f"Commit {code(commit[:12])}, [run]({run}).")]) + "\n"


def drift(seen: drifts.DriftView, marker: str, commit: str, run: str) -> str:
    """The issue about drift: what differs, and the three answers to it."""
    answers = (
        "Three answers, by the workflow `drift` (Actions, drift, Run workflow):\n\n"
        "- `revert`: AWS becomes again what the manifests say.\n"
        "- `accept`: a pull request by which the manifests say what AWS has; `targets` names what, e.g. an address.\n"
        "- let it be until a day, with an owner and a reason, in the manifest: "
        f"{code('orchestrator drift --ignore ADDRESS:FIELD --until DATE --reason TEXT')}"
    )
    parts = [marker, drifts.markdown(seen).strip(), answers if seen.has_drifted else ""]
    parts.append(_sub(f"Looked at with the manifests of {code(commit[:12])}, in [this run]({run})."))
    return "\n\n".join(part for part in parts if part) + "\n"


def accepted(done: Iterable[str], left: Iterable[str], run: str) -> str:
    """The pull request that accepts drift: what each edit is for, and what it does not settle."""
    parts = ["By these edits the manifests say what AWS has.", "\n".join(f"- {escape(one)}" for one in done)]
    if rest := [f"- {escape(one)}" for one in left]:
        parts += ["**Not settled by this:**", "\n".join(rest[:MOST])]
    note = "What a workflow proposes starts no workflow: close and open this pull request again to see its plan."
    return "\n\n".join([*parts, note, _sub(f"Made by [this run]({run}).")]) + "\n"


def _problem(problem: Problem) -> str:
    place = f"{code(safe(str(problem.where)))}: " if problem.where else ""
    hint = f"<br>{escape(shorten(safe(problem.hint), 400))}" if problem.hint else ""
    return f"- {place}{escape(shorten(safe(problem.message), 600))}{hint}"


def _body(ending: Ending) -> Iterator[str]:
    if ending.cause:
        yield f"> [!CAUTION]\n> **First cause:** {escape(ending.cause)}"
    groups = (("Failed", ending.deeds.failed), ("Not done", ending.deeds.skipped), ("Done", ending.deeds.done))
    for name, items in groups:
        if items:
            lines = [f"- {code(item.address)}: {escape(item.text)}" for item in items[:MOST]]
            lines += [f"- and {len(items) - MOST} more"] if len(items) > MOST else []
            yield _section(f"{name} ({len(items)})", "\n".join(lines), folded=name == "Done")
    if ending.proofs:
        marks = ("✅" if passed else "❌" for passed, _ in ending.proofs)
        lines = [f"- {mark} {escape(line)}" for mark, (_, line) in zip(marks, ending.proofs, strict=True)]
        yield _section("Proved", "\n".join(lines))
    if ending.asides:
        yield "\n".join(f"- {escape(aside)}" for aside in ending.asides)
    if ending.advice:
        yield f"{escape(ending.advice)}\n\n{fenced([ending.next_command], 'sh')}"


def _section(title: str, body: str, *, folded: bool = False) -> str:
    if folded:
        return f"<details><summary>{html.escape(title)}</summary>\n\n{body}\n\n</details>"
    return f"**{escape(title)}**\n\n{body}"


def _calls(seen: PlanView) -> str:
    """What will run, on demand: every call in order, as far as there is room."""
    lines: list[str] = []
    room = _ROOM_FOR_CALLS
    changes = [change for component in seen.components for change in component.changes]
    for number, change in enumerate(changes):
        added = [f"{change.action} {change.address}", *(f"  {step.action} {step.detail}" for step in change.steps)]
        added = [shorten(line, 200) for line in added]
        room -= sum(len(line.encode()) + 1 for line in added)
        if room < 0:
            lines.append(f"... and {len(changes) - number} more changes; the whole plan has them")
            break
        lines += added
    count = sum(len(change.steps) for change in changes)
    return _section(f"What will run: {count} calls", fenced(lines, "text"), folded=True) if count else ""


def _without_steps(seen: PlanView) -> PlanView:
    components = tuple(
        replace(one, changes=tuple(replace(change, steps=()) for change in one.changes)) for one in seen.components
    )
    return replace(seen, components=components)


def _foot(seen: PlanView, commit: str, run: str, approval: str) -> str:
    rule = f" {_ON_MERGE[approval]}" if seen.components and not seen.vetoes else ""
    return _sub(f"Planned at {code(commit[:12])}; the whole plan is an artefact of [this run]({run}#artifacts).{rule}")


def _sub(text: str) -> str:
    return f"<sub>{text}</sub>"
