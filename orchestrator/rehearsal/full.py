"""Run the full rehearsal: releases, a failing one, the way back, edits by hand, other subnets, a run cut off."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from orchestrator.aws import AwsError, Clients
from orchestrator.manifest.check import Manifest
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.rehearsal import leftovers, stack
from orchestrator.rehearsal.canary import DISTRIBUTION, EDITED_COMMENT, Canary
from orchestrator.rehearsal.recording_clients import RecordingClients
from orchestrator.release import checkout, rollback
from orchestrator.release.deploy import Deployment, DeployResult
from orchestrator.release.ledger_entry import Origin
from orchestrator.release.ship import Prober
from orchestrator.vocabulary import Action

FAILING_VERSION: Final = 3
LAST_VERSION: Final = 4
"""The rollback holds version 2 back, so the last deploy ships another one."""
CUT_OFF_AFTER_REQUESTS: Final = 12
"""Requests of a deploy after which it is cut off: while it changes the first resources."""
_EDITED: Final = {DISTRIBUTION, "s3_bucket.files", "secretsmanager_secret.app"}
_MAX_SUBNETS: Final = 2


class FullRehearsal(Canary):
    """A canary with everything that the orchestrator manages: releases, a site, a database and its secret."""

    def __init__(
        self,
        manifest: Manifest,
        folder: Path,
        clients: RecordingClients,
        report: Callable[[str], None],
        prober: Prober,
    ) -> None:
        super().__init__(manifest, folder, clients, report)
        self._prober = prober
        self._subnets: Sequence[str] = ()

    def run_steps(self, environment: str) -> None:
        """Run the steps between creation and deletion; each goes on from what the one before left."""
        steps: list[tuple[str, Callable[[], str]]] = [
            ("deploy version 1", lambda: self._deploy(environment, 1)),
            ("plan again", lambda: self._expect_no_changes(environment, 1)),
            ("deploy version 2", lambda: self._deploy(environment, 2)),
            ("deploy a version that fails", lambda: self._deploy_failing(environment)),
            ("roll back to version 1", lambda: self._roll_back(environment)),
            ("edit by hand", lambda: self._edit_by_hand(environment)),
            ("change the subnets", lambda: self._change_subnets(environment)),
            ("interrupt a run and continue", lambda: self._cut_off(environment)),
        ]
        for name, work in steps:
            if not self._step(name, work):
                return

    def delete(self, environment: str) -> str:
        """Delete everything, and the snapshots that a destroy keeps.  Raises Problems if something is left."""
        result = super().delete(environment)
        for snapshot in leftovers.list_snapshots(self._clients, self._prefix(environment)):
            self._clients.call("rds", "delete_db_snapshot", {"DBSnapshotIdentifier": snapshot})
        return result

    def _build_documents(self, expires: str, number: int) -> Mapping[str, str]:
        site = self._folder / "dist"
        site.mkdir(exist_ok=True)
        (site / "index.html").write_text(f"<!doctype html><title>Rehearsal</title>Version {number}", encoding="utf-8")
        return stack.build_full_documents(
            self._scope, self._repository, expires, number, self._subnets, fails=number == FAILING_VERSION
        )

    def _deploy(self, environment: str, number: int, clients: Clients | None = None) -> str:
        result = self._ship(environment, number, clients or self._clients.with_before_send(self._check_time))
        if result.status != "released":
            raise Problems.from_message(f"the deploy ended as {result.status}: {result.cause}")
        return f"release {result.current_release_number}"

    def _ship(self, environment: str, number: int, clients: Clients) -> DeployResult:
        self._load(environment, number)
        candidate = checkout.load(self._folder, environment, self._clients)
        planned = pipeline.plan(candidate.desired, clients=self._clients)
        if planned.plan.is_vetoed:
            raise Problems.from_message(f"the plan is vetoed: {', '.join(veto.name for veto in planned.plan.vetoes)}")
        return self._deployment(environment, clients).deploy(planned, candidate, self._report)

    def _deployment(self, environment: str, clients: Clients) -> Deployment:
        store = checkout.require_store(pipeline.validate(self._folder, environment), clients)
        return Deployment(store, Origin("rehearsal", ""), clients, self._report_event, prober=self._prober)

    def _deploy_failing(self, environment: str) -> str:
        """Deploy an image that does not exist: the deploy has to fail, and to bring version 2 back by itself."""
        result = self._ship(environment, FAILING_VERSION, self._clients.with_before_send(self._check_time))
        if result.status != "returned":
            raise Problems.from_message(f"a deploy that cannot succeed ended as {result.status}: {result.cause}")
        self._expect_no_changes(environment, 2)
        return f"failed and was rolled back: {result.cause}"

    def _roll_back(self, environment: str) -> str:
        store = checkout.require_store(pipeline.validate(self._folder, environment), self._clients)
        ledger = store.read()
        target = rollback.prepare(ledger, rollback.choose_release(ledger, 1), (), store)
        planned = pipeline.plan(target.candidate.desired, clients=self._clients)
        result = self._deployment(environment, self._clients).rollback(planned, target, "rehearsal", self._report)
        if result.cause:
            raise Problems.from_message(f"the rollback ended as {result.status}: {result.cause}")
        return f"release 1 was restored as release {result.current_release_number}"

    def _edit_by_hand(self, environment: str) -> str:
        """Edit the description of the distribution, the versions of a bucket and a tag, as a console does."""
        desired = self._load(environment, 1)
        live = pipeline.plan(desired, clients=self._clients).live
        self._edit_distribution(live[DISTRIBUTION].outputs["id"], EDITED_COMMENT)
        prefix = self._prefix(environment)
        versioning = {"Bucket": f"{prefix}-files", "VersioningConfiguration": {"Status": "Suspended"}}
        self._clients.call("s3", "put_bucket_versioning", versioning)
        edit = {"SecretId": f"{prefix}-app", "Description": EDITED_COMMENT}
        self._clients.call("secretsmanager", "update_secret", edit)
        planned = pipeline.plan(desired, clients=self._clients)
        actions = {change.address: change.action for change in planned.plan.pending_changes}
        if actions != dict.fromkeys(_EDITED, Action.UPDATE):
            raise Problems.from_message(f"three edits by hand are planned as {actions}")
        self._carry_out(planned, self._clients)
        return self._expect_no_changes(environment, 1)

    def _change_subnets(self, environment: str) -> str:
        """Name two of the default subnets in the Project, as a team does when AWS adds a zone."""
        filters = [{"Name": "default-for-az", "Values": ["true"]}]
        subnets = self._clients.call("ec2", "describe_subnets", {"Filters": filters})["Subnets"]
        self._subnets = sorted(subnet["SubnetId"] for subnet in subnets)[:_MAX_SUBNETS]
        self._apply(environment, 1)
        return self._expect_no_changes(environment, 1)

    def _cut_off(self, environment: str) -> str:
        """End a deploy in the middle, as a killed runner does: it sends nothing any more; the next one goes on."""
        counter = itertools.count(1)

        def end_run() -> None:
            if next(counter) > CUT_OFF_AFTER_REQUESTS:
                raise Problems.from_message("the run was interrupted")

        try:
            self._ship(environment, LAST_VERSION, self._clients.with_before_send(end_run))
        except (Problems, AwsError) as error:
            self._report(f"{'':9}  cut off   {error}")
        if next(counter) <= CUT_OFF_AFTER_REQUESTS:
            raise Problems.from_message("the deploy ended before it could be interrupted")
        self._deploy(environment, LAST_VERSION)
        return self._expect_no_changes(environment, LAST_VERSION)


def skip_probes(*_: Any) -> tuple[()]:
    """Probe nothing: behind an emulator that runs no images, no service responds."""
    return ()
