"""A project with one database, and what an application and its operator do to it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from orchestrator.aws import Clients
from orchestrator.cli.main import main
from orchestrator.emulator import Emulator
from orchestrator.postgresql.connection import ConnectionTarget
from tests.emulator.account import wait_until

REGION = "eu-west-1"
NAME = "shop-prod-main"
MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: acme/shop, region: eu-west-1, account: "123456789012"}
---
apiVersion: orchestrator/v1
kind: Database
metadata: {name: main}
spec:
  version: "15"
  instanceClass: db.t3.micro
  database: shop
  username: shop
  deletionProtection: true
  parameters: {work_mem: 8192}
  backups: {retentionDays: 7}
  performanceInsights: {enabled: true}
---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec:
  name: shop-app
  data:
    Dsn: ${database.main.url}
"""

SERVICE = """
apiVersion: orchestrator/v1
kind: ContainerService
metadata: {name: api}
spec:
  runtime: app-runner
  image: {prebuilt: "public.ecr.aws/acme/shop:1"}
  port: 8080
  health: {path: /health}
  access: [database.main]
"""
"""A service on App Runner, which connects to the database."""


class Project:
    """The project in an emulated account, and its command line."""

    def __init__(self, emulator: Emulator, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.emulator = emulator
        self.folder = folder / "manifests"
        self.folder.mkdir()
        (self.folder / "shop.yaml").write_text(MANIFESTS)
        self.ca_file = folder / "rds-ca.pem"
        self.ca_file.write_text(emulator.database_ca_bundle)
        self.clients = Clients(REGION)
        self._capsys = capsys

    def run(self, *arguments: str) -> tuple[int, str]:
        """The exit code and everything printed."""
        self._capsys.readouterr()
        exit_code = main([*arguments, "-f", str(self.folder)])
        printed = self._capsys.readouterr()
        return exit_code, printed.out + printed.err

    def succeed(self, *arguments: str) -> str:
        exit_code, printed = self.run(*arguments)
        assert exit_code == 0, printed
        return printed

    def instances(self) -> dict[str, dict[str, Any]]:
        found = self.clients.call("rds", "describe_db_instances", {})["DBInstances"]
        return {item["DBInstanceIdentifier"]: item for item in found}

    def tags(self, name: str) -> dict[str, str]:
        return {item["Key"]: item["Value"] for item in self.instances()[name]["TagList"]}

    def secret(self, key: str) -> str:
        """One value of the application's secret."""
        text = self.clients.call("secretsmanager", "get_secret_value", {"SecretId": "shop-app"})["SecretString"]
        return str(json.loads(text)[key])

    def dsn(self) -> str:
        """The connection string that the application reads, verified as it should be."""
        url = self.secret("Dsn")
        return re.sub(r"sslmode=[a-z-]+", "sslmode=verify-full", url.partition("&")[0]) + f"&sslrootcert={self.ca_file}"

    def login(self) -> ConnectionTarget:
        """How the orchestrator's own programs connect."""
        parts = urlsplit(self.dsn())
        assert parts.hostname
        username, password = unquote(parts.username or ""), unquote(parts.password or "")
        host, port, database = parts.hostname, parts.port or 5432, parts.path.removeprefix("/")
        return ConnectionTarget(host, database, username, password, port, ca_file=str(self.ca_file))

    def connect(self) -> Any:
        return psycopg.connect(self.dsn(), autocommit=True)

    def write(self, *notes: str) -> None:
        with self.connect() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS notes (id serial, note text, created_at timestamptz DEFAULT now())"
            )
            for note in notes:
                connection.execute("INSERT INTO notes (note) VALUES (%s)", [note])

    def execute(self, sql: str) -> None:
        with self.connect() as connection:
            connection.execute(sql)

    def take_snapshot(self, name: str) -> None:
        """A snapshot of the instance, once it is complete."""
        request = {"DBInstanceIdentifier": NAME, "DBSnapshotIdentifier": name}
        self.clients.call("rds", "create_db_snapshot", request)
        describe: Callable[[], Any] = lambda: self.clients.call(  # noqa: E731
            "rds", "describe_db_snapshots", {"DBSnapshotIdentifier": name}
        )["DBSnapshots"][0]["Status"]
        wait_until(describe, lambda status: status == "available")

    def rows(self) -> list[str]:
        with self.connect() as connection:
            return [row[0] for row in connection.execute("SELECT note FROM notes ORDER BY id")]

    def mark_moment(self) -> datetime:
        """A moment after everything so far and before everything later, once RDS can restore it."""
        time.sleep(1.05)
        moment = datetime.now(UTC).replace(microsecond=0)
        time.sleep(1.0)
        latest: Callable[[], datetime] = lambda: self.instances()[NAME]["LatestRestorableTime"]  # noqa: E731
        wait_until(latest, lambda found: found >= moment)
        return moment
