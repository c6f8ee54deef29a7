"""Connection strings of a Database, each used by the driver that reads its form, against a private authority."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from orchestrator.emulator import Emulator, start
from orchestrator.emulator.database_engine import find_binaries
from orchestrator.emulator.database_engine.certificates import CertificateAuthority
from tests.proofs.real_stack import aws_environment
from tests.recovery.project import Project

pytestmark = [
    pytest.mark.real_parts,
    pytest.mark.xdist_group("emulator-databases"),
    pytest.mark.skipif(find_binaries() is None, reason="needs PostgreSQL's server programs"),
]
NODE_PROGRAM = """
const {Client} = require('pg'); const client = new Client({connectionString: process.env.DATABASE_URL});
client.connect().then(() => client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'))
  .then(found => { console.log(found.rows[0].ssl); return client.end() }, error => { console.log(error.code) })
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with start(settle_seconds=0, run_services=True) as running:
        yield running


@pytest.fixture
def project(emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    """The project, whose connection strings verify the server with the emulator's authority."""
    emulator.reset()
    with aws_environment(emulator):
        made = Project(emulator, tmp_path, capsys)
        manifest = made.folder / "shop.yaml"
        text = manifest.read_text().replace("  username: shop\n", f"  username: shop\n  caFile: {made.ca_file}\n")
        manifest.write_text(text)
        made.succeed("apply", "--auto-approve")
        yield made


@pytest.fixture
def node_modules(tmp_path: Path) -> Path:
    """A folder with node-postgres."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("needs Node")
    folder = tmp_path / "node"
    folder.mkdir()
    command = [npm, "install", "--no-audit", "--no-fund", "pg@8.23.1"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=100)
    if installed.returncode:
        pytest.skip("needs npm's registry, for node-postgres")
    return folder


def test_the_url_verifies_the_server(project: Project) -> None:
    """psycopg and SQLAlchemy connect with the string of the secret, and not to a server of another authority."""
    url = project.secret("Dsn")

    with psycopg.connect(url) as connection:
        assert connection.pgconn.ssl_in_use
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as sql_connection:
        assert sql_connection.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
    engine.dispose()
    project.ca_file.write_text(CertificateAuthority().bundle)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(url)


def test_node_postgres_connects(project: Project, node_modules: Path) -> None:
    """With ``sslmode=require`` alone it answers UNABLE_TO_VERIFY_LEAF_SIGNATURE: it takes require for verify-full."""
    url = project.secret("Dsn")

    def connect(database_url: str) -> str:
        return subprocess.run(
            ["node", "-e", NODE_PROGRAM], cwd=node_modules, env={"DATABASE_URL": database_url, "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout.strip()  # fmt: skip

    assert connect(url) == "true"
    assert connect(f"{url.partition('?')[0]}?sslmode=require") == "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
