"""Connect to a database with ``psql``: where it is, who connects, and what a failure means."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from orchestrator import shell
from orchestrator.problems import Problems
from orchestrator.redaction.redact import sanitise

CONNECT_TIMEOUT_SECONDS = 10
LOCK_TIMEOUT_SECONDS = 60
QUERY_TIMEOUT_SECONDS = 24 * 3600.0
MAX_ERROR_CHARS = 600
SESSION_OPTIONS = (
    "client_min_messages=error",
    "datestyle=ISO",
    "intervalstyle=postgres",
    "timezone=UTC",
    "bytea_output=hex",
    "extra_float_digits=3",
    "search_path=pg_catalog",
    "row_security=off",
    "lock_timeout={lock_timeout_ms}",
    "default_transaction_read_only={read_only}",
)
"""Settings of a session: two servers must print the same value alike, no policy may hide rows, no lock stops us."""


Route = Callable[[str, int], tuple[str, int]]
"""Returns the address and port at which this machine reaches a host and port. Raises Problems if there is no way."""


class ConnectionTarget(Struct, frozen=True):
    """One database: host, port and name, and who connects. ``ca_file`` verifies the server's certificate.

    ``route`` reaches it elsewhere than at what ``host`` resolves to; the certificate has to be that of ``host`` all the
    same.
    """

    host: str
    database: str
    username: str
    password: str = ""
    port: int = 5432
    ssl_mode: str = ""
    ca_file: str = ""
    route: Route | None = None
    lock_timeout_ms: int = LOCK_TIMEOUT_SECONDS * 1000

    def __repr__(self) -> str:
        return f"ConnectionTarget({self.label})"

    @property
    def label(self) -> str:
        """Return ``user@host:port/database``, without the password."""
        return f"{self.username}@{self.host}:{self.port}/{self.database}"

    def environment(self, *, read_only: bool = True) -> dict[str, str]:
        """Return the variables that PostgreSQL's programs read. Raises Problems if the route leads nowhere."""
        address, port = self.route(self.host, self.port) if self.route else ("", self.port)
        values = {"read_only": "on" if read_only else "off", "lock_timeout_ms": self.lock_timeout_ms}
        options = " ".join(f"-c {option.format_map(values)}" for option in SESSION_OPTIONS)
        ssl_mode = "verify-full" if self.ca_file else self.ssl_mode or "prefer"
        return {
            "PGHOST": self.host,
            "PGPORT": str(port),
            "PGDATABASE": self.database,
            "PGUSER": self.username,
            "PGSSLMODE": ssl_mode,
            "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT_SECONDS),
            "PGAPPNAME": "orchestrator",
            "PGCLIENTENCODING": "UTF8",
            "LC_ALL": "C.UTF-8",  # the programs' messages are read
            "PGOPTIONS": options,
            **({"PGHOSTADDR": address} if address else {}),
            **({"PGPASSWORD": self.password} if self.password else {}),
            **({"PGSSLROOTCERT": self.ca_file} if self.ca_file else {}),
        }


def parse_url(url: str, password: str = "") -> ConnectionTarget:
    """Return the target of ``postgresql://user@host:port/database?sslmode=...``.

    Raises Problems, which never contain the password, also if the URL has one: command lines are visible to everybody.
    """
    parts = urlsplit(url)
    try:
        port = parts.port or 5432
    except ValueError:
        port = 0
    database = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in {"postgresql", "postgres"} or not parts.username or not database or not port:
        raise Problems.from_message(
            "the URL of the source database is incomplete",
            hint="write postgresql://USER@HOST:PORT/DATABASE",
        )
    if parts.password:
        raise Problems.from_message(
            "the URL of the source database contains a password, which is visible in this machine's process list",
            hint="remove it from the URL, and set PGPASSWORD or use ~/.pgpass",
        )
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return ConnectionTarget(
        query.get("host", parts.hostname or "localhost"),
        database,
        unquote(parts.username),
        password,
        port,
        query.get("sslmode", ""),
        query.get("sslrootcert", ""),
    )


def run_program(
    target: ConnectionTarget, program: str, arguments: Sequence[str], *, stdin: str = "", read_only: bool = True
) -> str:
    """Run one of PostgreSQL's programs on a database and return its output.

    Raises Problems with the program's message, and what to do about it.
    """
    result = run_process(target, program, arguments, stdin=stdin, read_only=read_only)
    if result.exit_code:
        message = sanitise(result.output.strip()[-MAX_ERROR_CHARS:].replace("\n", " "))
        raise Problems.from_message(f"{target.label}: {message}", hint=find_hint(message))
    return result.output


def run_process(
    target: ConnectionTarget, program: str, arguments: Sequence[str], *, stdin: str = "", read_only: bool = True
) -> shell.ProcessResult:
    """Run one of PostgreSQL's programs on a database, and return its exit code and output without the password.

    Raises Problems if it is not installed.
    """
    require_programs(program)
    result = shell.run(
        [program, *arguments],
        environment=target.environment(read_only=read_only),
        stdin=stdin,
        timeout=QUERY_TIMEOUT_SECONDS,
    )
    output = result.output.replace(target.password, "(secret)") if target.password else result.output
    return shell.ProcessResult(result.exit_code, output)


def execute(target: ConnectionTarget, sql: str, *, read_only: bool = False) -> str:
    """Run SQL and return its rows as text; without ``read_only`` it may write. Raises Problems."""
    options = ["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-f", "-"]
    return run_program(target, "psql", options, stdin=sql, read_only=read_only)


def query(target: ConnectionTarget, sql: str) -> list[dict[str, Any]]:
    """Return the rows of a SELECT. Raises Problems."""
    return query_each(target, sql)[0]


def query_each(target: ConnectionTarget, *statements: str) -> list[list[dict[str, Any]]]:
    """Return the rows of several SELECTs, which one session runs in one snapshot. Raises Problems."""
    selects = "".join(f"SELECT coalesce(json_agg(q)::text, '[]') FROM ({sql}) q;\n" for sql in statements)  # noqa: S608
    text = f"BEGIN ISOLATION LEVEL REPEATABLE READ;\n\\pset recordsep_zero\n{selects}COMMIT;\n"
    output = execute(target, text, read_only=True)
    return [json.loads(rows) for rows in output.split("\0") if rows]


def query_column(target: ConnectionTarget, sql: str) -> list[str | None]:
    """Return the values of a SELECT of one column, written by a user; tables are found as in the user's sessions.

    Raises Problems if it is no such SELECT, or fails: the session is read-only.
    """
    statement = sql.strip().removesuffix(";")
    columns = f"SELECT (SELECT value FROM json_each_text(row_to_json(q))) AS value FROM ({statement}) q"  # noqa: S608
    text = f"SET search_path = \"$user\", public;\nSELECT coalesce(json_agg(value), '[]') FROM ({columns}) r;"
    values: list[str | None] = json.loads(execute(target, text, read_only=True))
    return values


def require_programs(*programs: str) -> None:
    """Raise Problems if one of PostgreSQL's programs is not installed."""
    missing = [program for program in programs if shell.which(program) is None]
    if missing:
        raise Problems.from_message(
            f"not installed: {', '.join(missing)}",
            hint="install PostgreSQL's client: apt install postgresql-client",
        )


_HINTS: Mapping[str, str] = {
    "password authentication failed": "the password is wrong for this user: check the secret",
    "certificate verify failed": "pass the server's CA certificate with --ca",
    "no encryption": "the server requires TLS: add ?sslmode=require to the URL",
    "timeout expired": "this machine cannot reach the database: run the command in its network, or pass --via vpc if "
    "it is a Database of the project",
    "could not translate host name": "this machine cannot resolve the host: check its name, or run the command in "
    "its network",
    "server version": "install a PostgreSQL client that is at least as new as the server",
    "No space left on device": "free some disk space, or pass --work with a folder on another disk",
    "lock timeout": "another session has locked a table: end it (see pg_stat_activity), then run the command again",
    "row-level security": "policies hide rows from this user: connect as the table owner, or as a role with BYPASSRLS",
    "permission denied": "connect as the owner of the tables, or as a superuser",
}


def find_hint(message: str) -> str:
    """Return what to do about a message of PostgreSQL's programs. Pure."""
    return next(
        (hint for text, hint in _HINTS.items() if text.lower() in message.lower()),
        "fix the cause, then run the command again",
    )
