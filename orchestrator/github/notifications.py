"""Telling GitHub: the comment, the commit status, the deployment, the run's page and outputs.

A deploy does not hang on being told of: what GitHub refuses of that is a warning.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from orchestrator.github import comment_body, plan_status, sticky_comment
from orchestrator.github.approval import Verdict
from orchestrator.github.client import GitHub
from orchestrator.github.deployments import Deployment, State
from orchestrator.github.reviewed_plan import Seen
from orchestrator.github.workflow_run import Run
from orchestrator.manifest.overlay import DEFAULT
from orchestrator.problems import Problem, Problems
from orchestrator.release import ledger_entry
from orchestrator.release.deploy import Ended
from orchestrator.render import plan_markdown, workflow_commands
from orchestrator.render.deploy_view import Ending
from orchestrator.render.field_values import shorten


class Bulletin:
    """One run's news of one environment.  ``commit`` is what is checked out; ``github`` is None where it is silent."""

    def __init__(self, run: Run, github: GitHub | None, folder: Path, environment: str | None, commit: str) -> None:
        self.run = run
        self.github = github
        self.commit = commit
        self.environment = environment or DEFAULT
        self.marker = plan_markdown.marker(f"{folder}/{self.environment}", "pull-request")
        self._title = self.environment
        self._deployment: Deployment | None = None

    @classmethod
    def here(cls, folder: Path, environment: str | None, *, silent: bool = False) -> Self:
        """The bulletin of this process's run.  Raises Problems outside of GitHub Actions."""
        run = Run.here()
        commit = ledger_entry.origin(folder).commit or run.sha
        return cls(run, None if silent else run.client(), folder, environment, commit)

    @property
    def overtakes(self) -> bool:
        """Whether a push started this run, and by now there is a newer commit, which is checked out."""
        return (
            self.run.environ.get("GITHUB_EVENT_NAME") == "push" and bool(self.run.sha) and self.run.sha != self.commit
        )

    def brought_by(self) -> int | None:
        """The pull request that brought the commit; None where GitHub knows none, or is away."""
        found: list[int] = []

        def ask() -> None:
            if self.github is not None:
                found.extend(int(one["number"]) for one in plan_status.pull_requests(self.github, self.commit))

        self.warn_of(ask)
        return found[0] if found else None

    def plan(self, text: str, view: Seen, headline: str, *, vetoed: bool) -> None:
        """The plan's comment and status on the pull request, if there is one.  Raises Problems."""
        state: plan_status.State = "failure" if vetoed else "success"
        lead = "vetoed: " if vetoed else ""
        self._on_pull_request(text, state, f"{shorten(lead + headline, 44)}; {plan_status.seal(view)}")

    def no_plan(self, problems: Sequence[Problem]) -> None:
        """Why there is no plan, on the pull request."""
        text = comment_body.problems(self.environment, problems, self.commit, self.run.url)
        self.run.summary(text)
        first = f"{len(problems)} problems" if len(problems) > 1 else problems[0].message
        self.warn_of(lambda: self._on_pull_request(text, "failure", f"no plan: {first}"))

    def begin(self, what: str) -> None:
        """The deployment has begun."""

        def tell() -> None:
            if self.github is not None:
                begun = Deployment.begin(self.github, self.commit, self.environment, self.run.url, what=what)
                self._deployment = begun

        self.warn_of(tell)

    def ended(self, title: str, ending: Ending, ended: Ended) -> None:
        """How it ended, everywhere; on the merged pull request only when it did not go well, or did not before."""
        text = comment_body.ended(title, ending, self.commit, self.run.url)
        url = address(ended)
        self.run.output(result=ended.end, release=ended.stands or "", url=url)
        self._close("success" if ending.well else "failure", ending.headline, text, url)

    def stopped(self, title: str, verdict: Verdict, digest: str) -> None:
        """Why nothing was begun."""
        self.run.output(result="stopped", digest=digest)
        self._close("failure", verdict.why, comment_body.stopped(title, verdict, self.commit, self.run.url, digest))

    def superseded(self, by: str) -> None:
        """A newer run does what this one was to do."""
        text = f"superseded by run {by}, which deploys a newer commit"
        self.run.output(result="superseded")
        self._close("inactive", text, f"### {self.environment}: {text}")

    def failed(self, problems: Sequence[Problem], command: str) -> None:
        """What went wrong before anything was changed, or stopped it."""
        self.run.output(result="failed")
        text = comment_body.failed(self.environment, problems, self.commit, self.run.url, command)
        self._close("failure", problems[0].message, text)

    def broken_off(self) -> None:
        """The run ends in the middle."""
        self.run.output(result="interrupted")
        text = "stopped in the middle; the next run goes on from what AWS has"
        self._close("error", text, f"### {self.environment}: {text}")

    def warn_of(self, deed: Callable[[], None]) -> None:
        """Do ``deed``; a refusal becomes a warning in the log."""
        try:
            deed()
        except Problems as error:
            for problem in error.problems:
                sys.stderr.write(workflow_commands.warning(f"{problem.message}\nhint: {problem.hint or ''}") + "\n")

    def _close(self, state: State, headline: str, text: str, url: str = "") -> None:
        self.run.summary(text)
        if self._deployment is not None:
            deployment = self._deployment
            self.warn_of(lambda: deployment.end(state, headline, url))
        self.warn_of(lambda: self._on_merged(text, well=state in {"success", "inactive"}))

    def _on_merged(self, text: str, *, well: bool) -> None:
        """A comment on the pull request that brought the commit; good news only over bad news."""
        if self.github is None:
            return
        marker = plan_markdown.marker(self.marker, "deploy")
        for found in plan_status.pull_requests(self.github, self.commit)[:1]:
            number = int(found["number"])
            if not well or sticky_comment.ours(self.github, number, marker):
                sticky_comment.put(self.github, number, marker, f"{marker}\n{text}")

    def _on_pull_request(self, text: str, state: plan_status.State, words: str) -> None:
        asked = self.run.pull_request
        if self.github is None or asked is None:
            return
        now = self.github.get(f"/pulls/{asked.number}")
        if now["head"]["sha"] == asked.head:  # otherwise a later run tells of a later commit
            sticky_comment.put(self.github, asked.number, self.marker, f"{self.marker}\n{text}")
        plan_status.set_status(self.github, asked.head, self.environment, state, words, self.run.url)


def address(ended: Ended) -> str:
    """Where the environment answers: the site, else a service; empty where nothing does."""
    proofs = (ended.back or ended.shipped).proofs
    subjects = sorted((proof.probe.subject.partition(".")[0] != "cdn", proof.probe.host) for proof in proofs)
    return f"https://{subjects[0][1]}/" if subjects else ""
