"""Run the full rehearsal: releases, a failing one, the way back, edits by hand, other subnets, interrupted deploys."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from orchestrator.aws import AwsError, Clients
from orchestrator.manifest.check import Manifest
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.rehearsal import interruptions, leftovers, stack
from orchestrator.rehearsal.canary import DISTRIBUTION, EDITED_COMMENT, Canary, require_no_vetoes
from orchestrator.rehearsal.recording_clients import RecordingClients
from orchestrator.release import bucket_lease, checkout, rollback
from orchestrator.release.deploy import Deployment, DeployResult
from orchestrator.release.ledger_entry import Origin
from orchestrator.release.ship import Prober
from orchestrator.vocabulary import Action

FAILING_VERSION: Final = 3
FIRST_INTERRUPTED_VERSION: Final = 4
"""The rollback holds version 2 back, so each interrupted deploy ships another one."""
_EDITED: Final = {DISTRIBUTION, "s3_bucket.files", "secretsmanager_secret.app"}
_MAX_SUBNETS: Final = 2
_EXPIRED: Final = re.compile("expired", re.IGNORECASE)
"""What each wording of AWS for an expired token has in common."""


class FullRehearsal(Canary):
    """A canary with everything that the orchestrator manages: releases, a site, a database and its secret."""

    def __init__(
        self,
        manifest: Manifest,
        folder: Path,
        clients: RecordingClients,
        report: Callable[[str], None],
        prober: Prober,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """``prober`` sends requests to what was deployed; ``pause`` waits for a session to have little time left."""
        super().__init__(manifest, folder, clients, report)
        self._prober, self._pause = prober, pause
        self._subnets: Sequence[str] = ()

    def run_steps(self, environment: str) -> None:
        """Run the steps between creation and deletion; each goes on from what the one before left."""
        steps: list[tuple[str, Callable[[], str]]] = [
            ("deploy version 1", lambda: self._deploy(environment, 1)),
            ("plan again", lambda: self._expect_no_changes(environment, 1)),
            ("deploy version 2", lambda: self._deploy(environment, 2)),
            ("deploy a version that fails", lambda: self._deploy_failing(environment)),
            ("roll back to version 1", lambda: self._roll_back(environment)),
            ("edit manually", lambda: self._edit_by_hand(environment)),
            ("change the subnets", lambda: self._change_subnets(environment)),
        ]
        for number, (name, moment) in enumerate(interruptions.KILLED_AT.items(), FIRST_INTERRUPTED_VERSION):
            steps.append((f"kill a deploy {name}", partial(self._kill_deploy, environment, number, moment)))
        number = FIRST_INTERRUPTED_VERSION + len(interruptions.KILLED_AT)
        steps.append(("let a session expire", lambda: self._let_session_expire(environment, number)))
        for name, work in steps:
            if not self._step(name, work):
                return

    def delete(self, environment: str) -> str:
        """Delete everything, and the snapshots that a destroy keeps.  Raises Problems if something is left."""
        interruptions.delete_role(self._clients, self._session_role(environment))
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
        result = self._ship(environment, number, clients or self._limited_clients)
        if result.status != "released":
            raise Problems.from_message(f"the deploy ended with status {result.status}: {result.cause}")
        return f"release {result.current_release_number}"

    def _ship(self, environment: str, number: int, clients: Clients) -> DeployResult:
        self._load(environment, number)
        candidate = checkout.load(self._folder, environment, self._clients)
        planned = pipeline.plan(candidate.desired, clients=self._clients)
        require_no_vetoes(planned)
        return self._deployment(environment, clients).deploy(planned, candidate, self._report)

    def _deployment(self, environment: str, clients: Clients) -> Deployment:
        store = checkout.require_store(pipeline.validate(self._folder, environment), clients)
        return Deployment(store, Origin("rehearsal", ""), clients, self._report_event, prober=self._prober)

    def _deploy_failing(self, environment: str) -> str:
        """Deploy an image that does not exist: the deploy has to fail, and to bring version 2 back by itself."""
        result = self._ship(environment, FAILING_VERSION, self._limited_clients)
        if result.status != "returned":
            raise Problems.from_message(
                f"a deploy that cannot succeed ended with status {result.status}: {result.cause}"
            )
        self._expect_no_changes(environment, 2)
        return f"failed and was rolled back: {result.cause}"

    def _roll_back(self, environment: str) -> str:
        store = checkout.require_store(pipeline.validate(self._folder, environment), self._clients)
        ledger = store.read()
        target = rollback.prepare(ledger, rollback.choose_release(ledger, 1), (), store)
        planned = pipeline.plan(target.candidate.desired, clients=self._clients)
        result = self._deployment(environment, self._limited_clients).rollback(
            planned, target, "rehearsal", self._report
        )
        if result.cause:
            raise Problems.from_message(f"the rollback ended with status {result.status}: {result.cause}")
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
            raise Problems.from_message(f"the plan for three manual edits is {actions}")
        self._carry_out(planned, self._limited_clients)
        return self._expect_no_changes(environment, 1)

    def _change_subnets(self, environment: str) -> str:
        """Name two of the default subnets in the Project, as a team does when AWS adds a zone.

        One is that of the database: RDS refuses to remove the subnet of a zone in which an instance runs.
        """
        name = f"{self._prefix(environment)}-main"
        (database,) = self._clients.call("rds", "describe_db_instances", {"DBInstanceIdentifier": name})["DBInstances"]
        filters = [{"Name": "default-for-az", "Values": ["true"]}]
        subnets = self._clients.call("ec2", "describe_subnets", {"Filters": filters})["Subnets"]
        zone = database["AvailabilityZone"]
        subnets.sort(key=lambda subnet: (subnet["AvailabilityZone"] != zone, subnet["SubnetId"]))
        self._subnets = [subnet["SubnetId"] for subnet in subnets[:_MAX_SUBNETS]]
        self._apply(environment, 1)
        return self._expect_no_changes(environment, 1)

    def _kill_deploy(self, environment: str, number: int, moment: re.Pattern[str]) -> str:
        """Kill `orchestrator deploy` in the middle, free the lock that it held, and deploy again."""
        self._load(environment, number)
        if not interruptions.kill_deploy(self._folder, environment, moment):
            raise Problems.from_message("the deploy ended before it could be killed")
        store = checkout.require_store(pipeline.validate(self._folder, environment), self._clients)
        holder = bucket_lease.free(store, "rehearsal", "its deploy was killed")
        if not holder:
            raise Problems.from_message("the killed deploy did not hold the lock")
        self._report(f"{'':9}  killed    {holder}")
        return self._continue(environment, number)

    def _let_session_expire(self, environment: str, number: int) -> str:
        """Deploy with a session that expires in the middle, and again with one that does not."""
        with interruptions.start_short_session(
            self._clients, self._session_role(environment), self._pause
        ) as short_clients:
            try:
                result = self._ship(environment, number, short_clients)
                cause = f"{result.status}: {result.cause}"
            except (Problems, AwsError) as error:
                cause = str(error)
        if not _EXPIRED.search(cause):
            raise Problems.from_message(f"the session did not expire during the deploy: {cause}")
        self._report(f"{'':9}  expired   {cause}")
        return self._continue(environment, number)

    def _continue(self, environment: str, number: int) -> str:
        """Deploy what an interrupted run left unfinished, and expect nothing to be left."""
        release = self._deploy(environment, number)
        return f"{release}; {self._expect_no_changes(environment, number)}"

    def _session_role(self, environment: str) -> str:
        return f"{self._prefix(environment)}-session"


def skip_probes(*_: Any) -> tuple[()]:
    """Probe nothing: behind an emulator that runs no images, no service responds."""
    return ()


def skip_pause(_: float) -> None:
    """Wait for nothing: an emulator ends sessions when its faults say so."""
