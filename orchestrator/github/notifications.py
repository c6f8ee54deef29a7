"""Report a run to GitHub: the comment, the commit status, the deployment, and the run's summary and outputs.

A deploy does not depend on these reports: a failed one is a warning.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from orchestrator.github import comment_body, gathered_comment, plan_status, review_evidence, sticky_comment
from orchestrator.github.approval_policy import ApprovalDecision
from orchestrator.github.client import GitHub
from orchestrator.github.github_deployments import Deployment, DeploymentState
from orchestrator.github.workflow_run import WorkflowRun
from orchestrator.manifest.overlay import DEFAULT_NAME
from orchestrator.problems import Problem, Problems
from orchestrator.quantities import format_count
from orchestrator.release import ledger_entry
from orchestrator.release.deploy import DeployResult
from orchestrator.render import plan_markdown, workflow_commands
from orchestrator.render.deploy_view import DeployView
from orchestrator.render.field_values import shorten

SECTIONS_VARIABLE = "ORCHESTRATOR_SECTIONS"
"""Variable with the number of plans that one comment gathers; empty or 0 for a plan with a comment of its own."""
SECTION_FOLDER = "plan-section"
"""Folder below RUNNER_TEMP for the section of a gathered comment."""


def comment_marker(folder: str, environment: str) -> str:
    """Return the hidden line that identifies the plan comment of an environment."""
    return plan_markdown.marker(f"{folder}/{environment}", "pull-request")


def environment_title(folder: str, environment: str) -> str:
    """Return what people read for an environment: its name, and the folder of its application if that is no default."""
    return environment if folder == "manifests" else f"{folder.removesuffix('/manifests')}/{environment}"


class GitHubNotifier:
    """Reports one run for one environment.  ``commit`` is the checked-out commit; ``github`` is None when silent."""

    def __init__(
        self, run: WorkflowRun, github: GitHub | None, folder: Path, environment: str | None, commit: str
    ) -> None:
        self.run = run
        self.github = github
        self.commit = commit
        self.environment = environment or DEFAULT_NAME
        self.marker = comment_marker(str(folder), self.environment)
        self.title = environment_title(str(folder), self.environment)
        self._deployment: Deployment | None = None

    @classmethod
    def from_environment(cls, folder: Path, environment: str | None, *, is_silent: bool = False) -> Self:
        """Return the notifier of the current workflow run.  Raises Problems outside GitHub Actions."""
        run = WorkflowRun.from_environment()
        commit = ledger_entry.detect_origin(folder).commit or run.sha
        return cls(run, None if is_silent else run.create_client(), folder, environment, commit)

    @property
    def has_newer_commit(self) -> bool:
        """Whether a push started this run and a newer commit than the pushed one is checked out."""
        return (
            self.run.environ.get("GITHUB_EVENT_NAME") == "push" and bool(self.run.sha) and self.run.sha != self.commit
        )

    def find_merged_pull_request(self) -> int | None:
        """Return the merged pull request of the commit; None if there is none or GitHub is unavailable."""
        pull_request_numbers: list[int] = []

        def look_up() -> None:
            if self.github is not None:
                pull_request_numbers.extend(
                    int(pull_request["number"])
                    for pull_request in plan_status.list_merged_pull_requests(self.github, self.commit)
                )

        self.warn_on_failure(look_up)
        return pull_request_numbers[0] if pull_request_numbers else None

    def report_plan(self, text: str, digest: str, headline: str, *, is_vetoed: bool) -> None:
        """Post the plan comment and the commit status, if the run has a pull request.  Raises Problems.

        Sets the output ``artifact``: the name of the artefact that proves which run made the comment.
        """
        self.run.set_outputs(artifact=review_evidence.artifact_name(self.environment, self._comment_body(text)))
        state: plan_status.StatusState = "failure" if is_vetoed else "success"
        prefix = "vetoed: " if is_vetoed else ""
        self._comment_on_pull_request(text, state, f"{shorten(prefix + headline, 68)}; plan {digest}")

    def report_gathered(self, text: str, count: int) -> None:
        """Write the comment with the plans of ``count`` environments, and delete those that it replaces.

        Of none, only a comment that is there is changed.  Raises Problems.
        """
        marker, pull_request, github = gathered_comment.MARKER, self.run.pull_request, self.github
        if github is None or pull_request is None:
            return
        current = github.get(f"/pulls/{pull_request.number}")
        is_newest = current["head"]["sha"] == pull_request.head  # otherwise the run of the newer commit comments
        if is_newest and (count or sticky_comment.find(github, pull_request.number, marker)):
            sticky_comment.upsert(github, pull_request.number, marker, text)
        self.run.set_outputs(artifact=review_evidence.artifact_name("all", text))

    @property
    def section_count(self) -> int:
        """The number of plans that one comment gathers; 0 if this plan has a comment of its own."""
        return int(self.run.environ.get(SECTIONS_VARIABLE) or 0)

    @property
    def comment_limit(self) -> int:
        """The most bytes that this plan may have in its comment."""
        count = self.section_count
        return gathered_comment.section_limit(count) if count else plan_markdown.MAX_COMMENT_BYTES

    def _save_section(self, text: str) -> None:
        """Write the section of this plan for the job that gathers them."""
        folder = Path(self.run.environ["RUNNER_TEMP"], SECTION_FOLDER)
        folder.mkdir(exist_ok=True)
        (folder / "section.md").write_text(text, encoding="utf-8")
        self.run.set_outputs(section=gathered_comment.section_name(self.marker))

    def report_no_plan(self, problems: Sequence[Problem]) -> None:
        """Report a failed plan to the summary and the pull request."""
        text = comment_body.render_problems(self.title, problems, self.commit, self.run.url)
        self.run.append_summary(text)
        summary = format_count(len(problems), "problem") if len(problems) > 1 else problems[0].message
        self.warn_on_failure(lambda: self._comment_on_pull_request(text, "failure", f"plan failed: {summary}"))

    def start_deployment(self, description: str) -> None:
        """Create the GitHub deployment."""

        def create() -> None:
            if self.github is not None:
                self._deployment = Deployment.start(
                    self.github, self.commit, self.environment, self.run.url, description=description
                )

        self.warn_on_failure(create)

    def report_result(self, title: str, result_view: DeployView, result: DeployResult) -> None:
        """Report the result; on the merged pull request only if a run of it failed or held parts back."""
        text = comment_body.render_result(title, result_view, self.commit, self.run.url)
        url = environment_url(result)
        self.run.set_outputs(result=result.status, release=result.current_release_number or "", url=url)
        state: DeploymentState = "success" if result_view.is_success else "failure"
        self._finish(state, result_view.headline, text, url, is_partial=bool(result.held))

    def report_not_approved(self, title: str, decision: ApprovalDecision, digest: str) -> None:
        """Report that the plan was not approved, and why."""
        self.run.set_outputs(result="stopped", digest=digest)
        self._finish(
            "failure",
            decision.reason,
            comment_body.render_not_approved(title, decision, self.commit, self.run.url, digest),
        )

    def report_superseded(self, superseding_run: str) -> None:
        """Report that a newer run deploys this commit."""
        text = f"superseded by run {superseding_run}, which deploys a newer commit"
        self.run.set_outputs(result="superseded")
        self._finish("inactive", text, f"### {self.title}: {text}")

    def report_waiting(self, problems: Sequence[Problem]) -> None:
        """Report that nothing was deployed, because no release of another environment can be promoted yet."""
        text = comment_body.render_waiting(self.title, problems, self.commit, self.run.url)
        self.run.set_outputs(result="waiting")
        self._finish("inactive", problems[0].message, text)

    def report_nothing_to_plan(self, problems: Sequence[Problem]) -> None:
        """Report in the plan comment that there is nothing to plan, because nothing can be promoted yet."""
        text = comment_body.render_waiting(self.title, problems, self.commit, self.run.url)
        self.run.append_summary(text)
        self.run.set_outputs(changes=0, vetoed="false", environment=self.environment)
        self._comment_on_pull_request(text, "success", problems[0].message)

    def report_already_current(self, release_number: int) -> None:
        """Report that a rollback did nothing, because the environment already has that release."""
        text = f"release {release_number} is already current; nothing was changed"
        self.run.set_outputs(result="unchanged", release=release_number)
        self._finish("success", text, f"### {self.title}: {text}")

    def report_failure(self, problems: Sequence[Problem], command: str) -> None:
        """Report the problems that stopped the run."""
        self.run.set_outputs(result="failed")
        text = comment_body.render_failure(self.title, problems, self.commit, self.run.url, command)
        self._finish("failure", problems[0].message, text)

    def report_interrupted(self) -> None:
        """Report that the run was interrupted."""
        self.run.set_outputs(result="interrupted")
        headline = "interrupted; the next run continues from the live state in AWS"
        text = comment_body.render_interrupted(self.title, self.commit, self.run.url)
        self._finish("error", headline, text)

    def warn(self, message: str) -> None:
        """Annotate the run of the workflow with a warning."""
        sys.stderr.write(workflow_commands.warning(message) + "\n")

    def warn_on_failure(self, notify: Callable[[], None]) -> None:
        """Call ``notify``; log its problems as warnings."""
        try:
            notify()
        except Problems as error:
            for problem in error.problems:
                self.warn(f"{problem.message}\nhint: {problem.hint or ''}")

    def _finish(
        self, state: DeploymentState, headline: str, text: str, url: str = "", *, is_partial: bool = False
    ) -> None:
        self.run.append_summary(text)
        if self._deployment is not None:
            deployment = self._deployment
            self.warn_on_failure(lambda: deployment.finish(state, headline, url))
        is_complete = state in {"success", "inactive"} and not is_partial
        self.warn_on_failure(lambda: self._comment_on_merged_pull_request(text, is_complete=is_complete))

    def _comment_on_merged_pull_request(self, text: str, *, is_complete: bool) -> None:
        """Comment on the merged pull request of the commit; that it is live completely only replaces other news."""
        if self.github is None:
            return
        marker = plan_markdown.marker(self.marker, "deploy")
        for pull_request in plan_status.list_merged_pull_requests(self.github, self.commit)[:1]:
            number = int(pull_request["number"])
            if not is_complete or sticky_comment.find(self.github, number, marker):
                sticky_comment.upsert(self.github, number, marker, f"{marker}\n{text}")

    def _comment_body(self, text: str) -> str:
        return f"{self.marker}\n{text}"

    def _comment_on_pull_request(self, text: str, state: plan_status.StatusState, description: str) -> None:
        pull_request = self.run.pull_request
        if self.github is None or pull_request is None:
            return
        current = self.github.get(f"/pulls/{pull_request.number}")
        if self.section_count:
            self._save_section(self._comment_body(text))
        elif current["head"]["sha"] == pull_request.head:  # otherwise the run of the newer commit comments
            sticky_comment.upsert(self.github, pull_request.number, self.marker, self._comment_body(text))
        plan_status.set_status(self.github, pull_request.head, self.title, state, description, self.run.url)


def environment_url(result: DeployResult) -> str:
    """Return the URL of the environment: the site's, else a service's; empty if nothing was probed."""
    proofs = (result.rollback_result or result.ship_result).probe_results
    subjects = sorted((proof.probe.component_handle.partition(".")[0] != "cdn", proof.probe.host) for proof in proofs)
    return f"https://{subjects[0][1]}/" if subjects else ""
