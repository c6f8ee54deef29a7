"""Run the canary: create the stack, plan again, edit manually, update, delete, and look for leftovers.

``full`` runs more steps on a larger stack, with the same beginning and end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from orchestrator import cost
from orchestrator.aws import AwsError, Clients
from orchestrator.manifest.check import Manifest
from orchestrator.planning import pipeline
from orchestrator.planning.events import ChangeFinished, Event, WaitStarted
from orchestrator.planning.plan import PreparedPlan
from orchestrator.problems import ExitCode, Problem, Problems
from orchestrator.quantities import format_count
from orchestrator.redaction.redact import sanitise
from orchestrator.rehearsal import (
    ENVIRONMENT_PREFIX,
    MAX_HOURS,
    Leftover,
    RehearsalRecord,
    StepResult,
    leftovers,
    stack,
)
from orchestrator.rehearsal.recording_clients import RecordingClients
from orchestrator.vocabulary import TAG_ENVIRONMENT, TAG_PROJECT, Action, Actuation, DesiredState

GLOBAL_REGION: Final = "us-east-1"
EDITED_COMMENT: Final = "edited by the rehearsal"
DISTRIBUTION: Final = "cloudfront_distribution.site"
HOURS_PER_MONTH: Final = 730
MAX_PLANS: Final = 6
"""Plans of a deletion, until one shows what the one before it has shown."""


class Canary:
    """One rehearsal in a folder of its own; ``report`` gets one line for each thing that happens.

    After MAX_HOURS by ``clock`` (seconds), no step but the deletion starts, and no apply, deploy or rollback that is
    running in this process sends another request.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: Path,
        clients: RecordingClients,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scope, self._folder, self._clients, self._report = manifest.scope, folder, clients, report
        self._repository = str(manifest.project.spec["repository"])
        self._steps: list[StepResult] = []
        self._clock, self._started_at = clock, clock()
        self._limited_clients = clients.with_before_send(self._check_time)

    def check_account(self, environment: str) -> None:
        """Raise Problems if the account belongs to somebody else, or holds anything else of the orchestrator."""
        account = self._clients.call("sts", "get_caller_identity", {})["Account"]
        if account != self._scope.account:
            message = f"the credentials belong to account {account}, but the Project uses {self._scope.account}"
            raise Problems([Problem(message, None, "set AWS_PROFILE")], ExitCode.VETOED)
        own = f"{self._scope.project}/"
        marked = {name for name in list_environments(self._clients) if name != f"{own}{environment}"}
        others = sorted(name for name in marked if not (name.startswith(own) and self._is_gone(name.partition("/")[2])))
        if others:
            message = (
                f"the account contains {', '.join(others)}: a rehearsal runs only in an account without other stacks"
            )
            hint = "use another account; delete an earlier rehearsal with `orchestrator rehearse --clean-up`"
            raise Problems([Problem(message, None, hint)], ExitCode.VETOED)

    def _is_gone(self, environment: str) -> bool:
        """Return whether an earlier rehearsal left nothing: AWS lists the tags of deleted resources for a while."""
        if not environment.startswith(ENVIRONMENT_PREFIX):
            return False
        desired = self._load(environment, 1)
        return not pipeline.plan(desired, clients=self._clients, destroying=True).plan.pending_changes

    def estimate_usd(self, environment: str) -> float:
        """Return the price of the stack for as long as a rehearsal may take, in USD."""
        desired = self._load(environment, 1)
        monthly = cost.estimate(desired.resources, desired.scope.region, on=datetime.now(UTC).date()).active
        return round(monthly / HOURS_PER_MONTH * MAX_HOURS, 2)

    def run(self, environment: str) -> RehearsalRecord:
        """Run every step, and delete the stack whatever fails; also after an interruption, which is raised."""
        try:
            self.run_steps(environment)
        finally:
            self._step("delete", lambda: self.delete(environment), is_limited=False)
        remaining = self._find_leftovers(environment)
        is_emulated = "amazonaws.com" not in self._clients.endpoint("sts")
        return RehearsalRecord(self._scope.region, is_emulated, self._steps, self._clients.list_answers(), remaining)

    def run_steps(self, environment: str) -> None:
        """Run the steps between the check of the account and the deletion."""
        if self._step("create", lambda: self._apply(environment, 1)):
            self._step("plan again", lambda: self._expect_no_changes(environment, 1))
            self._step("edit manually", lambda: self._edit_by_hand(environment))
            self._step("update", lambda: self._apply(environment, 2))

    def delete(self, environment: str) -> str:
        """Delete everything of a rehearsal and return what was done.  Raises Problems if something is left."""
        desired = self._load(environment, 1)
        token = ""
        for _ in range(MAX_PLANS):  # reads may not show everything that was created a moment ago
            planned = pipeline.plan(desired, clients=self._clients, destroying=True, allow=token)
            if not planned.plan.is_vetoed:
                break
            token = planned.plan.token
        result = self._carry_out(planned, self._clients)
        self._delete_log_groups(environment)
        return result

    def _delete_log_groups(self, environment: str) -> None:
        """Delete the logs of the service and the database, which a destroy keeps."""
        for name in leftovers.list_log_groups(self._clients, self._prefix(environment)):
            self._clients.call("logs", "delete_log_group", {"logGroupName": name})

    def _apply(self, environment: str, number: int) -> str:
        planned = pipeline.plan(self._load(environment, number), clients=self._clients)
        require_no_vetoes(planned)
        return self._carry_out(planned, self._limited_clients)

    def _expect_no_changes(self, environment: str, number: int) -> str:
        pending = pipeline.plan(self._load(environment, number), clients=self._clients).plan.pending_changes
        if pending:
            raise Problems.from_message(
                f"the second plan is not empty: it changes {', '.join(change.address for change in pending)}"
            )
        return "nothing to do"

    def _edit_by_hand(self, environment: str) -> str:
        """Change the distribution's description as the console does; it has to be an update of that field."""
        desired = self._load(environment, 1)
        live = pipeline.plan(desired, clients=self._clients).live[DISTRIBUTION]
        self._edit_distribution(live.outputs["id"], EDITED_COMMENT)
        planned = pipeline.plan(desired, clients=self._clients)
        found = [(change.address, change.action) for change in planned.plan.pending_changes]
        if found != [(DISTRIBUTION, Action.UPDATE)]:
            raise Problems.from_message(f"the plan for an edited description is {found}")
        self._carry_out(planned, self._limited_clients)
        return self._expect_no_changes(environment, 1)

    def _edit_distribution(self, distribution_id: object, comment: str) -> None:
        identity = {"Id": distribution_id}
        current = self._clients.call("cloudfront", "get_distribution_config", dict(identity))
        config = {**current["DistributionConfig"], "Comment": comment}
        request = {**identity, "IfMatch": current["ETag"], "DistributionConfig": config}
        self._clients.call("cloudfront", "update_distribution", request)

    def _carry_out(self, planned: PreparedPlan, clients: Clients) -> str:
        outcomes = pipeline.apply(planned, self._report_event, clients=clients)
        failed = [outcome for outcome in outcomes if outcome.actuation is Actuation.FAILED]
        if failed:
            raise Problems.from_message("; ".join(f"{outcome.address}: {outcome.reason}" for outcome in failed))
        count = sum(outcome.actuation is Actuation.SUCCEEDED for outcome in outcomes)
        return format_count(count, "change")

    def _step(self, name: str, work: Callable[[], str], *, is_limited: bool = True) -> bool:
        started = self._clock()
        is_ok = True
        try:
            if is_limited:
                self._check_time()
            detail = work()
        except (Problems, AwsError) as error:
            is_ok, detail = False, sanitise(str(error))
        seconds = round(self._clock() - started, 1)
        self._steps.append(StepResult(name, is_ok, detail, seconds))
        self._report(f"{seconds:8.1f}s  {'ok' if is_ok else 'failed':8}{name}: {detail}")
        return is_ok

    def _find_leftovers(self, environment: str) -> list[Leftover]:
        with suppress(AwsError):
            return list(leftovers.find_leftovers(self._clients, self._prefix(environment)))
        return []

    def _prefix(self, environment: str) -> str:
        return f"{self._scope.project}-{environment}"

    def _load(self, environment: str, number: int) -> DesiredState:
        expires = (datetime.now(UTC) + timedelta(hours=MAX_HOURS)).strftime("%Y-%m-%d")
        for name, text in self._build_documents(expires, number).items():
            (self._folder / name).write_text(text, encoding="utf-8")
        overlay = self._folder / "environments" / f"{environment}.yaml"
        overlay.parent.mkdir(exist_ok=True)
        overlay.touch()
        return pipeline.load_desired(self._folder, environment, include_artefacts=False)

    def _build_documents(self, expires: str, number: int) -> Mapping[str, str]:
        return stack.build_documents(self._scope, self._repository, expires, number)

    def _check_time(self) -> None:
        if self._clock() - self._started_at > MAX_HOURS * 3600:
            raise Problems.from_message(f"the rehearsal exceeded {MAX_HOURS:g} hours; its resources are being deleted")

    def _report_event(self, event: Event) -> None:
        match event:
            case ChangeFinished(address, outcome):
                self._report(f"{outcome.seconds:8.1f}s  {outcome.actuation.value:10}{address}")
            case WaitStarted(address, description, seconds):
                self._report(f"{seconds:8.1f}s  waiting   {address}  {description}")


def require_no_vetoes(planned: PreparedPlan) -> None:
    """Raise Problems with all vetoes of a plan, if it has any."""
    vetoes = planned.plan.all_vetoes
    if vetoes:
        reasons = "; ".join(f"{veto.name}: {veto.sentence}" for veto in vetoes)
        raise Problems.from_message(f"the plan is vetoed: {reasons}")


def new_environment(now: datetime) -> str:
    """Return the name of a rehearsal: an environment has at most 16 characters."""
    return f"{ENVIRONMENT_PREFIX}{now:%y%m%d}"


def list_environments(clients: Clients) -> Iterator[str]:
    """Yield ``PROJECT/ENVIRONMENT`` of everything with an ownership mark.  Raises AwsError."""
    request = {"TagFilters": [{"Key": TAG_PROJECT}], "ResourcesPerPage": 100}
    for region in dict.fromkeys((clients.region, GLOBAL_REGION)):
        for page in clients.pages("resourcegroupstaggingapi", "get_resources", request, region):
            for resource in page["ResourceTagMappingList"]:
                tags = {tag["Key"]: tag["Value"] for tag in resource["Tags"]}
                yield f"{tags[TAG_PROJECT]}/{tags.get(TAG_ENVIRONMENT, '')}"
