"""The repository ``shop/shop``: its commits and pull requests, its GitHub, its AWS, and the runs that they start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.aws import Clients
from orchestrator.emulator import Emulator, Faults
from orchestrator.release import Ledger, bucket_lease
from orchestrator.release.ledger_store import Store
from tests.github import act, events, fake
from tests.github.act import Outcome, Runner
from tests.github.fake import GitHub
from tests.proofs.world import clients

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


def bucket(name: str, **spec: str) -> str:
    """The manifest of one bucket, with a comment that an edit has to keep."""
    fields = "".join(f"  {key}: {value}\n" for key, value in spec.items())
    return (
        f"apiVersion: orchestrator/v1\nkind: Bucket\nmetadata: {{name: {name}}}  # {name}\nspec:\n"
        f"  name: shop-{name}\n  deletionPolicy: delete\n{fields}"
    )


class Shop:
    """One repository on a fake GitHub, and what its workflows do to an emulated AWS.

    ``vars`` are the repository's variables; ``job`` is what an OIDC token of the job that runs would say of it.
    """

    def __init__(self, folder: Path, emulator: Emulator, hub: GitHub) -> None:
        self.folder = folder / "work"
        self.bare = hub.git
        self.emulator = emulator
        self.hub = hub
        surroundings = {
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runtime",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{hub.url}/oidc?api-version=2",
            "AWS_ENDPOINT_URL": emulator.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "GITHUB_API_URL": hub.url,
            "STAND_IN_GIT": str(self.bare),
            "STAND_IN_VENV": sys.prefix,
        }
        self.runner = Runner(folder / "runner", surroundings)
        self.vars = dict(ROLES)
        self.job: dict[str, Any] = {}
        self._shown: set[int] = set()
        self.runner.environment["STAND_IN_ARTIFACTS"] = str(self.runner.artifacts)
        self._found_repository()

    def _found_repository(self) -> None:
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.bare)], check=True)
        subprocess.run(["git", "init", "-q", "-b", "main", str(self.folder)], check=True)
        self.git("remote", "add", "origin", "https://github.com/shop/shop")
        act.install(self.folder)
        self.write({"manifests/project.yaml": PROJECT, "manifests/web.yaml": WEB, "dist/index.html": "<h1>one</h1>"})
        self.commit("Open the shop")

    def git(self, *words: str) -> str:
        environ = {**AUTHOR, "PATH": os.environ["PATH"], "HOME": str(self.folder)}
        done = subprocess.run(["git", *words], cwd=self.folder, check=True, capture_output=True, text=True, env=environ)
        return done.stdout.strip()

    def write(self, files: Mapping[str, str | None]) -> None:
        """Change files; None removes one."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text)

    def commit(self, message: str, branch: str = "main") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        self.git("push", "-q", "-f", str(self.bare), f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    @property
    def head(self) -> str:
        return self.hub.run_git("rev-parse", "main")

    def propose(self, files: Mapping[str, str | None], *, number: int | None = None, fork: bool = False) -> int:
        """Open a pull request, or push to one."""
        again = number is not None
        number = number if number is not None else next(self.hub.numbers)
        branch = f"change-{number}"
        self.git("checkout", "-q", *([branch] if again else ["-b", branch, "main"]))
        self.write(files)
        sha = self.commit(f"Change {number}", branch)
        self.git("checkout", "-q", "--detach", "main")
        self.git("merge", "-q", "--no-ff", "-m", f"Merge {number}", branch)
        self.git("push", "-q", "-f", str(self.bare), f"HEAD:refs/pull/{number}/merge")
        self.git("checkout", "-q", "main")
        self.hub.pulls[number] = {
            "number": number,
            "state": "open",
            "head": {"ref": branch, "sha": sha, "repo": {"full_name": "mallory/shop" if fork else "shop/shop"}},
            "base": {"ref": "main"},
            "user": fake.ANA,
            "merged_at": None,
        }
        return number

    def merge(self, number: int) -> str:
        """Merge a pull request; the new commit of main."""
        found = self.hub.pulls[number]
        self.git("checkout", "-q", "main")
        self.git("merge", "-q", "--no-ff", "-m", f"Merge pull request #{number}", found["head"]["ref"])
        self.git("push", "-q", str(self.bare), "main")
        found |= {
            "state": "closed",
            "merged_at": "2026-11-24T10:00:00Z",
            "merge_commit_sha": self.git("rev-parse", "HEAD"),
        }
        return str(found["merge_commit_sha"])

    def plan(self, number: int, pull_request: Any = None, **more: Any) -> Outcome:
        """The run that a push to a pull request starts."""
        found = pull_request or self.hub.pulls[number]
        payload = self._pull_request(number, found)
        sha = self.hub.run_git("rev-parse", f"refs/pull/{number}/merge")
        return self._run("plan.yml", "pull_request", payload, sha, **more)

    def review(self, number: int) -> None:
        """What `plan.yml` runs to tell a pull request, without a runner around it: for when there are many."""
        place = self.folder.parent / f"review-{number}"
        event = place.with_suffix(".json")
        event.write_text(json.dumps(self._pull_request(number, self.hub.pulls[number])))
        self.git("fetch", "-q", str(self.bare), f"refs/pull/{number}/merge")
        self.git("worktree", "add", "-q", "--detach", str(place), "FETCH_HEAD")
        self.tool(place, "plan", "-e", "prod", GITHUB_EVENT_PATH=str(event)).check_returncode()

    def tool(self, place: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """``orchestrator github`` in a checkout, as a run may start it, without the runner."""
        run = {"GITHUB_REPOSITORY": "shop/shop", "GITHUB_SHA": self.head, "GITHUB_TOKEN": fake.WRITER, **more}
        environ = {**self.runner.environment, **self.emulator.environment, **run, "PATH": os.environ["PATH"]}
        command = [sys.executable, "-m", "orchestrator", "github", *words]
        return subprocess.run(command, cwd=place, env=environ, check=False, capture_output=True, text=True)

    def deploy(self, pushed: str = "", **more: Any) -> Outcome:
        """The run that a push to main starts: of the newest commit, or of one that others have followed since."""
        return self._run("deploy.yml", "push", self._push(pushed), self.head, **more)

    def begin_deploy(self, kill_after_writes: int) -> int:
        """A run whose machine is lost in the middle of an apply; its status, which is no success."""
        self.emulator.forget_calls()
        surroundings = {"STAND_IN_SHA": self.head}
        process = self.runner.start(
            self.folder, "deploy.yml", "push", self._push(), vars=self.vars, environment=surroundings
        )
        deadline = time.monotonic() + 60
        while len(self.writes()) < kill_after_writes and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        act.kill(process)
        process.communicate()
        return int(process.returncode)

    def lease_expires(self) -> None:
        """The two minutes pass for which a lease outlives its holder."""
        store = Store(self.clients, "shop-releases", "prod")
        stored = store.fetch(bucket_lease.key(store))
        assert stored is not None
        held = canonical_json.load(stored.data, bucket_lease.Lease)
        store.put(bucket_lease.key(store), canonical_json.dump(replace(held, until=0.0)), over=stored)

    def deny(self, *actions: str) -> None:
        """AWS refuses this from now on."""
        self.emulator.faults = Faults(denied=actions)

    def dispatch(self, workflow: str, inputs: Mapping[str, str] | None = None, **more: Any) -> Outcome:
        """The run that a person starts by hand."""
        said = {"inputs": dict(inputs or {}), "ref": "refs/heads/main", "workflow": f".github/workflows/{workflow}"}
        payload = events.whole("workflow_dispatch$event", said | self._repository())
        return self._run(workflow, "workflow_dispatch", payload, self.head, inputs=dict(inputs or {}), **more)

    def scheduled(self, workflow: str, **more: Any) -> Outcome:
        """The run that the clock starts."""
        payload = events.whole("schedule", {"schedule": "23 5 * * *"})
        return self._run(workflow, "schedule", payload, self.head, **more)

    def merge_branch(self, number: int) -> None:
        """Merge a pull request that was made on GitHub."""
        branch = self.hub.pulls[number]["head"]["ref"]
        self.git("fetch", "-q", str(self.bare), f"{branch}:{branch}")
        self.merge(number)

    def _run(self, workflow: str, event: str, payload: Mapping[str, Any], sha: str, **more: Any) -> Outcome:
        more.setdefault("vars", self.vars)
        self.begins(event, f"refs/pull/{payload['number']}/merge" if event == "pull_request" else "refs/heads/main")
        more["environment"] = {"STAND_IN_SHA": sha, **more.get("environment", {})}
        return self.runner.run(self.folder, workflow, event, payload, **more)

    def _pull_request(self, number: int, found: Mapping[str, Any]) -> dict[str, Any]:
        """The payload of a pull request that is new, or was pushed to."""
        said = {"number": number, "pull_request": found, **self._repository()}
        if number not in self._shown:
            self._shown.add(number)
            return events.whole("pull_request$opened", {"action": "opened", **said})
        return events.whole(
            "pull_request$synchronize", {"action": "synchronize", "after": found["head"]["sha"], **said}
        )

    def begins(self, event: str, ref: str) -> None:
        """A job of the main branch is in the environment prod, and one of a pull request in none."""
        self.job = {"event_name": event, "ref": ref, "environment": None if event == "pull_request" else "prod"}

    def _push(self, pushed: str = "") -> dict[str, Any]:
        """The payload of a push to main."""
        said = {"ref": "refs/heads/main", "after": pushed or self.head, "deleted": False, **self._repository()}
        return events.whole("push$event", said)

    @staticmethod
    def _repository() -> dict[str, Any]:
        found = {"full_name": "shop/shop", "name": "shop", "default_branch": "main"}
        return {"repository": found, "sender": fake.ANA}

    @property
    def ledger(self) -> Ledger:
        return Store(self.clients, "shop-releases", "prod").read()

    @property
    def clients(self) -> Clients:
        return clients()

    def page(self) -> str:
        """The front page that AWS holds."""
        found = self.clients.call("s3", "get_object", {"Bucket": "shop-web", "Key": "index.html"})
        return str(found["Body"].read().decode())

    def buckets(self) -> set[str]:
        """What AWS has."""
        return {one["Name"] for one in self.clients.call("s3", "list_buckets", {})["Buckets"]}

    def writes(self) -> list[str]:
        """The calls since the emulator forgot them that changed something."""
        reads = ("Get", "List", "Head", "Describe")
        return [call.operation for call in self.emulator.calls if not call.operation.startswith(reads)]
