"""The repository ``shop/shop``: its commits and pull requests, its GitHub, its AWS, and the runs that they start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.aws import Clients
from orchestrator.emulator import Emulator, Faults
from orchestrator.release import Ledger, bucket_lease
from orchestrator.release.ledger_store import LedgerStore
from tests.github import event_payloads, fake_github, workflow_runner
from tests.github.fake_github import FakeGitHub
from tests.github.workflow_runner import Runner, WorkflowResult
from tests.proofs.real_stack import clients

PROJECT = """\
# The shop, and who may change it.
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec:
  repository: shop/shop
  region: eu-west-1
  account: "123456789012"
  approval: safe
  releases: {bucket: bucket.releases}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: releases}
spec: {name: shop-releases, deletionPolicy: delete}
"""
WEB = """\
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: web}
spec: {name: shop-web, spa: {dir: ../dist}}
---
apiVersion: orchestrator/v1
kind: Cdn
metadata: {name: web}
spec: {origin: bucket.web}
"""
ROLES = {"ORCHESTRATOR_PLAN_ROLE": "plan-role", "ORCHESTRATOR_DEPLOY_ROLE": "deploy-role"}
AUTHOR = {f"GIT_{who}_{what}": "ana@shop.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def bucket_manifest(name: str, **spec: str) -> str:
    """The manifest of one bucket, with a comment that an edit has to keep."""
    fields = "".join(f"  {key}: {value}\n" for key, value in spec.items())
    return (
        f"apiVersion: orchestrator/v1\nkind: Bucket\nmetadata: {{name: {name}}}  # {name}\nspec:\n"
        f"  name: shop-{name}\n  deletionPolicy: delete\n{fields}"
    )


def read_output(file: Path, name: str) -> str:
    """An output that a step wrote to its file."""
    lines = file.read_text().splitlines()
    return lines[next(index for index, line in enumerate(lines) if line.startswith(f"{name}<<")) + 1]


class ShopRepository:
    """One repository on a fake GitHub, and what its workflows do to an emulated AWS.

    ``vars`` are the repository's variables; ``job`` is what an OIDC token of the job that runs would say of it.
    """

    def __init__(self, folder: Path, emulator: Emulator, hub: FakeGitHub) -> None:
        self.folder = folder / "work"
        self.bare_repository = hub.git_folder
        self.emulator = emulator
        self.hub = hub
        environment = {
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runtime",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{hub.url}/oidc?api-version=2",
            "AWS_ENDPOINT_URL": emulator.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "GITHUB_API_URL": hub.url,
            "STAND_IN_GIT": str(self.bare_repository),
            "STAND_IN_VENV": sys.prefix,
        }
        self.runner = Runner(folder / "runner", environment)
        self.vars = dict(ROLES)
        self.job_claims: dict[str, Any] = {}
        self._opened: set[int] = set()
        self.runner.environment["STAND_IN_ARTIFACTS"] = str(self.runner.artifacts)
        self._create_repository()

    def _create_repository(self) -> None:
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.bare_repository)], check=True)
        subprocess.run(["git", "init", "-q", "-b", "main", str(self.folder)], check=True)
        self.git("remote", "add", "origin", "https://github.com/shop/shop")
        workflow_runner.install_workflows(self.folder)
        self.write({"manifests/project.yaml": PROJECT, "manifests/web.yaml": WEB, "dist/index.html": "<h1>one</h1>"})
        self.commit("Open the shop")

    def git(self, *words: str) -> str:
        environ = {**AUTHOR, "PATH": os.environ["PATH"], "HOME": str(self.folder)}
        completed = subprocess.run(
            ["git", *words], cwd=self.folder, check=True, capture_output=True, text=True, env=environ
        )
        return completed.stdout.strip()

    def write(self, files: Mapping[str, str | None]) -> None:
        """Change files; None removes one."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text)

    def commit(self, message: str, branch: str = "main") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        self.git("push", "-q", "-f", str(self.bare_repository), f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    @property
    def head(self) -> str:
        return self.hub.run_git("rev-parse", "main")

    def open_pull_request(
        self, files: Mapping[str, str | None], *, number: int | None = None, fork: bool = False
    ) -> int:
        """Open a pull request, or push to one."""
        is_update = number is not None
        number = number if number is not None else next(self.hub.numbers)
        branch = f"change-{number}"
        self.git("checkout", "-q", *([branch] if is_update else ["-b", branch, "main"]))
        self.write(files)
        sha = self.commit(f"Change {number}", branch)
        self.git("checkout", "-q", "--detach", "main")
        self.git("merge", "-q", "--no-ff", "-m", f"Merge {number}", branch)
        self.git("push", "-q", "-f", str(self.bare_repository), f"HEAD:refs/pull/{number}/merge")
        self.git("checkout", "-q", "main")
        self.hub.pulls[number] = {
            "number": number,
            "state": "open",
            "head": {"ref": branch, "sha": sha, "repo": {"full_name": "mallory/shop" if fork else "shop/shop"}},
            "base": {"ref": "main"},
            "user": fake_github.ANA,
            "merged_at": None,
        }
        return number

    def merge(self, number: int) -> str:
        """Merge a pull request; the new commit of main."""
        pull_request = self.hub.pulls[number]
        self.git("checkout", "-q", "main")
        self.git("merge", "-q", "--no-ff", "-m", f"Merge pull request #{number}", pull_request["head"]["ref"])
        self.git("push", "-q", str(self.bare_repository), "main")
        pull_request |= {
            "state": "closed",
            "merged_at": "2026-11-24T10:00:00Z",
            "merge_commit_sha": self.git("rev-parse", "HEAD"),
        }
        return str(pull_request["merge_commit_sha"])

    def run_plan(self, number: int, pull_request: Any = None, **more: Any) -> WorkflowResult:
        """The run that a push to a pull request starts."""
        pull_request_data = pull_request or self.hub.pulls[number]
        payload = self._pull_request_payload(number, pull_request_data)
        sha = self.hub.run_git("rev-parse", f"refs/pull/{number}/merge")
        run_id = self._start_plan_run(pull_request_data)
        result = self._run("plan.yml", "pull_request", payload, sha, **more)
        for artifact in {path.name for path in self.runner.artifacts.iterdir()} & {result.outputs.get("artifact")}:
            self.hub.upload_artifact(run_id, artifact)
        return result

    def _start_plan_run(self, pull_request: Mapping[str, Any]) -> int:
        head = pull_request["head"]
        return self.hub.start_run("plan.yml", "pull_request", head["sha"], head["ref"], head["repo"]["full_name"])

    def review_pull_request(self, number: int, run_id: int = 0) -> int:
        """What `plan.yml` runs to tell a pull request, without a runner around it; the run's id, for a re-run."""
        run_id = run_id or self._start_plan_run(self.hub.pulls[number])
        checkout = self.folder.parent / f"review-{number}-{len(self.hub.requests)}"
        event, outputs = checkout.with_suffix(".json"), checkout.with_suffix(".outputs")
        event.write_text(json.dumps(self._pull_request_payload(number, self.hub.pulls[number])))
        self.git("fetch", "-q", str(self.bare_repository), f"refs/pull/{number}/merge")
        self.git("worktree", "add", "-q", "--detach", str(checkout), "FETCH_HEAD")
        environ = {"GITHUB_EVENT_PATH": str(event), "GITHUB_OUTPUT": str(outputs), "GITHUB_RUN_ID": str(run_id)}
        self.run_tool(checkout, "plan", "-e", "prod", **environ).check_returncode()
        self.hub.upload_artifact(run_id, read_output(outputs, "artifact"))
        return run_id

    def run_tool(self, checkout: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """``orchestrator github`` in a checkout, as a run may start it, without the runner."""
        job_environment = {
            "GITHUB_REPOSITORY": "shop/shop",
            "GITHUB_SHA": self.head,
            "GITHUB_TOKEN": fake_github.WRITE_TOKEN,
            **more,
        }
        environ = {
            **self.runner.environment,
            **self.emulator.environment,
            **job_environment,
            "PATH": os.environ["PATH"],
        }
        command = [sys.executable, "-m", "orchestrator", "github", *words]
        return subprocess.run(command, cwd=checkout, env=environ, check=False, capture_output=True, text=True)

    def run_deploy(self, pushed: str = "", workflow: str = "deploy.yml", **more: Any) -> WorkflowResult:
        """The run that a push to main starts: of the newest commit, or of one that others have followed since."""
        return self._run(workflow, "push", self._push_payload(pushed), self.head, **more)

    def kill_deploy(self, kill_after_writes: int) -> int:
        """A run whose machine is lost in the middle of an apply; its status, which is no success."""
        self.emulator.clear_calls()
        environment = {"STAND_IN_SHA": self.head}
        process = self.runner.start(
            self.folder, "deploy.yml", "push", self._push_payload(), vars=self.vars, environment=environment
        )
        assert process.stdout is not None
        reader = threading.Thread(target=process.stdout.read)  # a full pipe would stop the run
        reader.start()
        deadline = time.monotonic() + 60
        while (
            len(self.list_write_operations()) < kill_after_writes
            and process.poll() is None
            and time.monotonic() < deadline
        ):
            time.sleep(0.01)
        workflow_runner.kill_process_tree(process)
        reader.join()
        process.stdout.close()
        return int(process.wait())

    def expire_lease(self) -> None:
        """The two minutes pass for which a lease outlives its holder."""
        bucket_lease.free(LedgerStore(self.clients, "shop-releases", "prod"), "the tests", "two minutes are over")

    def deny_actions(self, *actions: str) -> None:
        """AWS refuses this from now on."""
        self.emulator.faults = Faults(denied=actions)

    def run_dispatched(self, workflow: str, inputs: Mapping[str, str] | None = None, **more: Any) -> WorkflowResult:
        """The run that a person starts by hand."""
        fields = {"inputs": dict(inputs or {}), "ref": "refs/heads/main", "workflow": f".github/workflows/{workflow}"}
        payload = event_payloads.complete_payload("workflow_dispatch$event", fields | self._repository_payload())
        return self._run(workflow, "workflow_dispatch", payload, self.head, inputs=dict(inputs or {}), **more)

    def run_scheduled(self, workflow: str, **more: Any) -> WorkflowResult:
        """The run that the clock starts."""
        payload = event_payloads.complete_payload("schedule", {"schedule": "23 5 * * *"})
        return self._run(workflow, "schedule", payload, self.head, **more)

    def merge_branch(self, number: int) -> None:
        """Merge a pull request that was made on GitHub."""
        branch = self.hub.pulls[number]["head"]["ref"]
        self.git("fetch", "-q", str(self.bare_repository), f"{branch}:{branch}")
        self.merge(number)

    def _run(self, workflow: str, event: str, payload: Mapping[str, Any], sha: str, **more: Any) -> WorkflowResult:
        more.setdefault("vars", self.vars)
        self.set_job_claims(
            event, f"refs/pull/{payload['number']}/merge" if event == "pull_request" else "refs/heads/main"
        )
        more["environment"] = {"STAND_IN_SHA": sha, **more.get("environment", {})}
        return self.runner.run(self.folder, workflow, event, payload, **more)

    def _pull_request_payload(self, number: int, pull_request: Mapping[str, Any]) -> dict[str, Any]:
        """The payload of a pull request that is new, or was pushed to."""
        fields = {"number": number, "pull_request": pull_request, **self._repository_payload()}
        if number not in self._opened:
            self._opened.add(number)
            return event_payloads.complete_payload("pull_request$opened", {"action": "opened", **fields})
        return event_payloads.complete_payload(
            "pull_request$synchronize", {"action": "synchronize", "after": pull_request["head"]["sha"], **fields}
        )

    def set_job_claims(self, event: str, ref: str) -> None:
        """A job of the main branch is in the environment prod, and one of a pull request in none."""
        self.job_claims = {"event_name": event, "ref": ref, "environment": None if event == "pull_request" else "prod"}

    def _push_payload(self, pushed: str = "") -> dict[str, Any]:
        """The payload of a push to main."""
        fields = {
            "ref": "refs/heads/main",
            "after": pushed or self.head,
            "deleted": False,
            **self._repository_payload(),
        }
        return event_payloads.complete_payload("push$event", fields)

    @staticmethod
    def _repository_payload() -> dict[str, Any]:
        repository = {"full_name": "shop/shop", "name": "shop", "default_branch": "main"}
        return {"repository": repository, "sender": fake_github.ANA}

    @property
    def ledger(self) -> Ledger:
        return LedgerStore(self.clients, "shop-releases", "prod").read()

    @property
    def clients(self) -> Clients:
        return clients()

    def read_front_page(self) -> str:
        """The front page that AWS holds."""
        response = self.clients.call("s3", "get_object", {"Bucket": "shop-web", "Key": "index.html"})
        return str(response["Body"].read().decode())

    def list_buckets(self) -> set[str]:
        """What AWS has."""
        return {bucket["Name"] for bucket in self.clients.call("s3", "list_buckets", {})["Buckets"]}

    def list_write_operations(self) -> list[str]:
        """The calls since the emulator forgot them that changed something."""
        reads = ("Get", "List", "Head", "Describe")
        return [call.operation for call in self.emulator.calls if not call.operation.startswith(reads)]
