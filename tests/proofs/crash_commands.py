"""Kill a command of the command line at each AWS write with SIGKILL, run it again, and check that it recovers.

``crash_runner`` runs these scenarios like its own. A command runs in a process of its own, made by a fork: the emulator
stops answering at the chosen write, and the process is killed. The next run is the same command.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from orchestrator.ownership_tags import from_aws_tags
from orchestrator.planning import pipeline
from tests.proofs import foreign_account, real_stack

DATABASE, FILES, RELEASES, SECRET = "shop-prod-main", "shop-files", "shop-releases", "shop-app"
LEDGER_KEY = "ledger/prod.json"
MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec:
  repository: acme/shop
  region: eu-west-1
  account: "123456789012"
  releases: {bucket: bucket.releases}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: releases}
spec: {name: shop-releases, versioning: true}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: shop-files, versioning: true}
---
apiVersion: orchestrator/v1
kind: Database
metadata: {name: main}
spec: {version: "15", instanceClass: db.t3.micro, database: shop, username: shop, backups: {retentionDays: 7}}
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec:
  name: shop-app
  data:
    Dsn: ${database.main.url}
    Key: {generate: {length: 40}}
    Stripe: {external: true}
"""
MIGRATED = {"products/ring.jpg": b"\xff\xd8\xffring", "products/chain.jpg": b"\xff\xd8\xffchain", "a b.txt": b"text"}
RESTORED = ("photos/one.png", "photos/two.png", "photos/three.png")
POLL_SECONDS = 0.005
WORKER_TIMEOUT_SECONDS = 120.0


@dataclass
class CommandScenario:
    """A command, and what comes before it. ``values`` is what later steps need to know."""

    name: str
    folder: Path
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def commands(self) -> list[list[str]]:
        """The command line, with the folder of the manifests."""
        return [self._complete(COMMANDS[self.name][0])]

    @property
    def recovery(self) -> list[list[str]]:
        """What a person runs after the kill: the same, or what its error says first."""
        return [*map(self._complete, FIRST_STEPS.get(self.name, ())), *self.commands]

    def _complete(self, words: tuple[str, ...]) -> list[str]:
        return [*(word.format_map(self.values) for word in words), "-f", str(self.folder), "--auto-approve"]

    def prepare(self) -> None:
        """Create the project and the damage, with the command line as a user would."""
        foreign_account.populate()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "shop.yaml").write_text(MANIFESTS)
        self.values["folder"] = str(self.folder.parent)
        value = self.folder.parent / "value.txt"
        value.write_text("test")
        call_command("secret", "set", "app", "Stripe", "--file", str(value), "-f", str(self.folder))
        call_command("deploy", "-f", str(self.folder), "--auto-approve")
        COMMANDS[self.name][1](self)
        self.values["secret"] = read_secret()

    def observe(self) -> dict[str, Any]:
        """Return the account's state, to compare with an undisturbed run."""
        desired = pipeline.load_desired(self.folder, "prod")
        call = real_stack.clients().call
        instances = call("rds", "describe_db_instances", {})["DBInstances"]
        snapshots = call("rds", "describe_db_snapshots", {"SnapshotType": "manual"})["DBSnapshots"]
        return {
            "pending": real_stack.describe_changes(real_stack.make_plan(desired)),
            # A run takes a snapshot of its own: that of a killed run lacks the rows written since, and stays, named.
            "census": {name: count for name, count in real_stack.count_resources().items() if "snapshots" not in name},
            "strangers": foreign_account.look(),
            "objects": {bucket: list_objects(bucket) for bucket in (FILES, RELEASES)},
            "instances": {
                item["DBInstanceIdentifier"]: [item["EngineVersion"], sorted(from_aws_tags(item["TagList"]))]
                for item in instances
            },
            "snapshots": sorted({re.sub(r"-\d$", "", item["DBSnapshotIdentifier"]) for item in snapshots}),
            "secret": self._compare_secret(),
        }

    def _compare_secret(self) -> dict[str, Any]:
        """Return which values of the secret are those from before, and whether the parts of it agree."""
        before, now = self.values["secret"], read_secret()
        password = next(value for key, value in now.items() if key.endswith("Password"))
        return {
            **{key: value == before.get(key) for key, value in now.items()},
            "(password in the connection string)": password in now["Dsn"],
        }


def call_command(*arguments: str) -> None:
    """Run a command of the preparation, which has to succeed."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        exit_code = main(list(arguments))
    assert exit_code == 0, f"{' '.join(arguments)} ended with {exit_code}: {printed.getvalue()[-800:]}"


def read_secret() -> dict[str, str]:
    text = real_stack.clients().call("secretsmanager", "get_secret_value", {"SecretId": SECRET})["SecretString"]
    loaded: dict[str, str] = json.loads(text)
    return loaded


def list_objects(bucket: str) -> dict[str, str]:
    """The objects of a bucket with their ETags; of what runs write about themselves, only that it is there."""
    pages = real_stack.clients().pages("s3", "list_objects_v2", {"Bucket": bucket})
    found = {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", ())}
    return {key: etag for key, etag in found.items() if not key.startswith(("lease/", "artefacts/", "ledger/"))} | (
        {LEDGER_KEY: ledger_content()} if LEDGER_KEY in found else {}
    )


def ledger_content() -> str:
    """The wanted parts of the newest release in the ledger, which hold no time."""
    body = real_stack.clients().call("s3", "get_object", {"Bucket": RELEASES, "Key": LEDGER_KEY})["Body"].read()
    newest = json.loads(body)["releases"][-1]
    return str([newest["result"], newest["vector"]["manifests"]])


def put(bucket: str, key: str, body: bytes) -> None:
    real_stack.clients().call("s3", "put_object", {"Bucket": bucket, "Key": key, "Body": body})


def damage_files(scenario: CommandScenario) -> None:
    """Files that are deleted or overwritten after a moment."""
    for key in RESTORED:
        put(FILES, key, key.encode())
    time.sleep(1.1)  # S3 keeps whole seconds
    scenario.values["moment"] = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    time.sleep(1.1)
    for key in RESTORED[:2]:
        real_stack.clients().call("s3", "delete_object", {"Bucket": FILES, "Key": key})
    put(FILES, RESTORED[2], b"damaged")


def damage_secret(scenario: CommandScenario) -> None:
    """A value that somebody has overwritten, in a secret that somebody has deleted."""
    document = {**read_secret(), "Stripe": "live"}
    request = {"SecretId": SECRET, "SecretString": json.dumps(document)}
    real_stack.clients().call("secretsmanager", "put_secret_value", request)
    request["SecretString"] = json.dumps({**document, "Stripe": "broken", "Key": "broken"})
    real_stack.clients().call("secretsmanager", "put_secret_value", request)


def damage_ledger(scenario: CommandScenario) -> None:
    """A ledger that cannot be read."""
    put(RELEASES, LEDGER_KEY, b"{ broken")


def write_uploads(scenario: CommandScenario) -> None:
    """The folder with the files of today's application."""
    for name, body in MIGRATED.items():
        path = scenario.folder.parent / "uploads" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def want_version(scenario: CommandScenario) -> None:
    """The manifest with the next major version."""
    manifest = scenario.folder / "shop.yaml"
    manifest.write_text(manifest.read_text().replace('version: "15"', 'version: "16"'))


def change_nothing(scenario: CommandScenario) -> None:
    """What the command needs is there."""


COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[CommandScenario], None]]] = {
    "restore files": (
        ("restore", "files", "--bucket", "files", "--prefix", "photos/", "--to", "{moment}", "--overwrite"),
        damage_files,
    ),
    "restore secret": (("restore", "secret", "app", "--version", "previous"), damage_secret),
    "restore ledger": (("restore", "ledger"), damage_ledger),
    "restore drill": (("restore", "database", "main", "--drill", "--no-verify"), change_nothing),
    "migrate files": (
        (
            "migrate",
            "files",
            "--from",
            "{folder}/uploads",
            "--to",
            "files",
            "--map",
            "products/=photos/",
            "--jobs",
            "1",
        ),
        write_uploads,
    ),
    "rotate secret": (("secret", "rotate", "app"), change_nothing),
    "upgrade database": (("upgrade", "database", "main", "--no-verify", "--now"), want_version),
}
"""The command lines by scenario, and what happens before them."""


FIRST_STEPS = {"rotate secret": (("deploy",),)}
"""What has to be run before the same command: a rotation begins only from what is deployed, and says so."""
LEAVES_CHANGES = frozenset({"restore secret"})
"""Commands after which a plan shows a change: the next apply writes values again that others have overwritten."""


class Worker:
    """A process that waits, then runs commands until one fails, and can be killed meanwhile."""

    def __init__(self, commands: list[list[str]]) -> None:
        read_fd, self._start_fd = os.pipe()
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._start_fd)
            os.read(read_fd, 1)
            for descriptor in (1, 2):
                os.dup2(self._output.fileno(), descriptor)
            os._exit(next(filter(None, map(run_command, commands)), 0))
        os.close(read_fd)

    def run(self, emulator: Emulator) -> tuple[int, str]:
        """Let it run to its end, or kill it once the emulator has crashed; return the exit code and the output."""
        os.write(self._start_fd, b".")  # not only closed: other workers have inherited it
        os.close(self._start_fd)
        deadline = time.monotonic() + WORKER_TIMEOUT_SECONDS
        while True:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                break
            if emulator.is_crashed or time.monotonic() > deadline:
                os.kill(self._pid, signal.SIGKILL)
                _, status = os.waitpid(self._pid, 0)
                break
            time.sleep(POLL_SECONDS)
        self._output.seek(0)
        return os.waitstatus_to_exitcode(status), self._output.read()


def run_command(arguments: list[str]) -> int:
    """Return the exit code of a command; what it prints goes to the standard output of the process."""
    try:
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        exit_code = main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the run has failed
        os.write(2, f"{type(error).__name__}: {error}".encode())
        return 99
    return exit_code


def expire_lease() -> None:
    """What the time does: a lease of a killed run expires."""
    call = real_stack.clients().call
    listed = call("s3", "list_objects_v2", {"Bucket": RELEASES, "Prefix": "lease/"}).get("Contents", ())
    for item in listed:
        call("s3", "delete_object", {"Bucket": RELEASES, "Key": item["Key"]})


def run_undisturbed(emulator: Emulator, scenario: CommandScenario, worker: Worker) -> tuple[int, list[int], Any]:
    """Return the number of writes of a complete run, those that a read follows, and the final state."""
    emulator.clear_calls()
    strangers = foreign_account.look()
    exit_code, output = worker.run(emulator)
    assert exit_code == 0, output[-800:]
    calls = [call for call in emulator.calls if call.access == "write" or not call.reads_secret]
    writes, read_after = 0, set()
    for call in calls:
        writes += call.access == "write"
        if call.access == "read":
            read_after.add(writes)
    expire_lease()
    observed = scenario.observe()
    assert writes, "the command changes nothing, so there is no moment to crash at"
    left = observed["pending"]
    assert left == [] or scenario.name in LEAVES_CHANGES, f"an undisturbed run leaves changes: {left}"
    assert observed["strangers"] == strangers
    return writes, sorted(read_after), observed


def check_recovery(
    emulator: Emulator,
    scenario: CommandScenario,
    point: tuple[int, str],
    expected: dict[str, Any],
    workers: tuple[Worker, Worker],
) -> list[str]:
    """Kill one run, run the command again, and return the differences from ``expected``."""
    emulator.crash_at(*point)  # type: ignore[arg-type]
    killed = workers[0].run(emulator)
    if killed[0] != -signal.SIGKILL:
        emulator.revive()
        return [f"the run was not killed at write {point}, but ended with {killed[0]}: {killed[1][-300:]}"]
    emulator.revive()
    expire_lease()
    exit_code, output = workers[1].run(emulator)
    if exit_code:
        return [f"the next run ended with {exit_code}: {output[-600:]}"]
    expire_lease()
    observed = json.loads(json.dumps(scenario.observe()))
    return [f"{key}: {expected[key]} became {observed[key]}" for key in expected if expected[key] != observed[key]]
