"""Find statements that lose data or break the running build, in SQL, EF Core and Alembic migrations.  Pure.

Running code reads the old schema until the new build is live, and again after a rollback.  So what removes, renames or
narrows something is named, and what only adds is not.  Flyway's and Prisma's migrations are SQL.  A reader for people:
it knows the usual spellings, not every dialect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from msgspec import Struct

MAX_EXCERPT_CHARS = 100
_I = re.IGNORECASE | re.DOTALL
_NAME = r"(?:[\w.\"`\[\]$]+)"
SQL_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("drops a table", re.compile(r"\bDROP\s+(?:FOREIGN\s+)?TABLE\b", _I)),
    ("drops a schema or database", re.compile(r"\bDROP\s+(?:SCHEMA|DATABASE)\b", _I)),
    ("drops a view", re.compile(r"\bDROP\s+(?:MATERIALIZED\s+)?VIEW\b", _I)),
    ("drops a type", re.compile(r"\bDROP\s+(?:TYPE|DOMAIN|SEQUENCE)\b", _I)),
    (
        "drops a column",
        re.compile(
            r"\bALTER\s+(?:FOREIGN\s+)?TABLE\b.*?\bDROP\s+"
            r"(?!CONSTRAINT\b|INDEX\b|KEY\b|PRIMARY\b|FOREIGN\b|CHECK\b|DEFAULT\b|NOT\b|IDENTITY\b|EXPRESSION\b|PARTITION\b)"
            r"(?:COLUMN\s+)?(?:IF\s+EXISTS\s+)?[\"`\[\w]",
            _I,
        ),
    ),
    ("renames", re.compile(r"\bALTER\s+(?:TABLE|VIEW|TYPE|SCHEMA)\b.*?\bRENAME\b(?!\s+CONSTRAINT\b)", _I)),
    ("renames", re.compile(r"\bRENAME\s+TABLE\b|\bsp_rename\b", _I)),
    ("renames or changes a column", re.compile(r"\bALTER\s+TABLE\b.*?\b(?:CHANGE|MODIFY)\b", _I)),
    (
        "changes the type of a column",
        re.compile(rf"\bALTER\s+TABLE\b.*?\bALTER\s+(?:COLUMN\s+)?{_NAME}\s+(?:SET\s+DATA\s+)?TYPE\b", _I),
    ),
    ("makes a column NOT NULL", re.compile(r"\bALTER\s+TABLE\b.*?\bSET\s+NOT\s+NULL\b", _I)),
    (
        "adds a NOT NULL column without a default",
        re.compile(
            r"\bALTER\s+TABLE\b.*?\bADD\s+(?!CONSTRAINT\b|INDEX\b|KEY\b|PRIMARY\b|FOREIGN\b|CHECK\b|UNIQUE\b)"
            r"(?:(?!\bDEFAULT\b|\bGENERATED\b|,\s*(?:ADD|ALTER|DROP)\b).)*?\bNOT\s+NULL\b"
            r"(?!(?:(?!,\s*(?:ADD|ALTER|DROP)\b).)*\b(?:DEFAULT|GENERATED)\b)",
            _I,
        ),
    ),
    ("deletes all rows", re.compile(r"\bTRUNCATE\b", _I)),
    (
        "deletes all rows",
        re.compile(rf"\bDELETE\s+FROM\s+(?:ONLY\s+)?{_NAME}(?:\s+(?:AS\s+)?(?!WHERE\b|USING\b)\w+)?\s*\Z", _I),
    ),
)
EF_CORE_CALLS = {
    "DropTable": "drops a table",
    "DropColumn": "drops a column",
    "DropSchema": "drops a schema or database",
    "DropSequence": "drops a type",
    "RenameTable": "renames",
    "RenameColumn": "renames",
    "RenameSequence": "renames",
    "AlterColumn": "changes the type of a column",
    "DeleteData": "deletes rows",
}
ALEMBIC_CALLS = {
    "drop_table": "drops a table",
    "drop_column": "drops a column",
    "rename_table": "renames",
}
_EF_CORE_CALL = re.compile(r"\bmigrationBuilder\s*\.\s*(\w+)\s*(?:<[^<>()]*>)?\s*\(")
_ALEMBIC_CALL = re.compile(r"\b(?:op|batch_op)\s*\.\s*(\w+)\s*\(")
_SQL_NOISE = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<text>'(?:[^']|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)", re.DOTALL
)
_DO_BLOCK = re.compile(r"\bDO\s+(?:LANGUAGE\s+\w+\s+)?\$(?P<tag>\w*)\$.*?\$(?P=tag)\$", _I)
"""PostgreSQL executes this text at once; the body of a function only when it is called."""
_DOLLAR_QUOTE = re.compile(r"\$\w*\$")
_TEXT_IN_CODE = r"(?P<text>\"{3}.*?\"{3}|'{3}.*?'{3}|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
_CSHARP_NOISE = re.compile(_TEXT_IN_CODE + r"|(?P<comment>//[^\n]*|/\*.*?\*/)", re.DOTALL)
_PYTHON_NOISE = re.compile(_TEXT_IN_CODE + r"|(?P<comment>#[^\n]*)", re.DOTALL)
_LITERAL = re.compile(r'"""(.*?)"""|"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'', re.DOTALL)


class DestructiveStatement(Struct, frozen=True):
    """One statement: its line in the script, what it does, and how it begins."""

    line: int
    effect: str
    excerpt: str


def find_statements(path: str, text: str) -> tuple[DestructiveStatement, ...]:
    """Return the destructive statements of a migration script, by its name; its ``Down`` does not count."""
    if path.endswith(".sql"):
        return tuple(_find_in_sql(text))
    if path.endswith(".cs"):
        return tuple(
            _find_in_calls(_blank_comments(_CSHARP_NOISE, text), _EF_CORE_CALL, _judge_ef_core, r"\bvoid\s+Down\s*\(")
        )
    if path.endswith(".py"):
        return tuple(
            _find_in_calls(
                _blank_comments(_PYTHON_NOISE, text), _ALEMBIC_CALL, _judge_alembic, r"^def\s+downgrade\s*\("
            )
        )
    return ()


def _find_in_sql(text: str, first_line: int = 1) -> Iterator[DestructiveStatement]:
    opened = _DO_BLOCK.sub(lambda block: _DOLLAR_QUOTE.sub(lambda quote: " " * len(quote[0]), block[0]), text)
    clean = _SQL_NOISE.sub(_blank, opened)
    start = 0
    for statement in clean.split(";"):
        for effect in dict.fromkeys(effect for effect, pattern in SQL_RULES if pattern.search(statement)):
            leading = len(statement) - len(statement.lstrip())
            yield _describe(text, start + leading, start + len(statement), effect, first_line)
        start += len(statement) + 1


def _blank(match: re.Match[str]) -> str:
    """Return as many characters and lines as a comment or a text has, without its words."""
    filler = " " if match["comment"] else "_"
    return "".join(char if char == "\n" else filler for char in match[0])


def _blank_comments(noise: re.Pattern[str], text: str) -> str:
    """Return a script in a programming language with its comments blanked, and its texts as they are."""
    return noise.sub(lambda match: _blank(match) if match["comment"] else match[0], text)


def _find_in_calls(
    text: str, call: re.Pattern[str], judge: Callable[[str, str], Iterator[str]], undo: str
) -> Iterator[DestructiveStatement]:
    """Yield the destructive calls of a script in a programming language, and the SQL that it executes."""
    undo_match = re.search(undo, text, re.MULTILINE)
    end = undo_match.start() if undo_match else len(text)
    for match in call.finditer(text, 0, end):
        arguments = _read_arguments(text, match.end())
        stop = match.end() + len(arguments)
        for effect in dict.fromkeys(judge(match[1], arguments)):
            yield _describe(text, match.start(), stop + 1, effect, 1)


def _judge_ef_core(name: str, arguments: str) -> Iterator[str]:
    if name in EF_CORE_CALLS:
        yield EF_CORE_CALLS[name]
    if name == "AddColumn" and re.search(r"\bnullable\s*:\s*false\b", arguments) and "default" not in arguments:
        yield "adds a NOT NULL column without a default"
    if name == "Sql":
        yield from _judge_sql(arguments)


def _judge_alembic(name: str, arguments: str) -> Iterator[str]:
    if name in ALEMBIC_CALLS:
        yield ALEMBIC_CALLS[name]
    if name == "alter_column":
        if "new_column_name" in arguments:
            yield "renames"
        if re.search(r"\btype_\s*=", arguments):
            yield "changes the type of a column"
        if re.search(r"\bnullable\s*=\s*False\b", arguments):
            yield "makes a column NOT NULL"
    if name == "add_column" and re.search(r"\bnullable\s*=\s*False\b", arguments) and "server_default" not in arguments:
        yield "adds a NOT NULL column without a default"
    if name == "execute":
        yield from _judge_sql(arguments)


def _judge_sql(arguments: str) -> Iterator[str]:
    """Yield what the SQL in the text arguments of a call does."""
    literals = (
        re.sub(r"\\(.)", r"\1", "".join(filter(None, match.groups()))) for match in _LITERAL.finditer(arguments)
    )
    yield from (found.effect for found in _find_in_sql(" ".join(literals)))


def _read_arguments(text: str, start: int) -> str:
    """Return the arguments of a call up to its closing bracket; brackets in texts are not counted."""
    masked = _LITERAL.sub(lambda match: "_" * len(match[0]), text[start:])
    depth = 1
    for position, char in enumerate(masked):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return text[start : start + position]
    return text[start:]


def _describe(text: str, start: int, end: int, effect: str, first_line: int) -> DestructiveStatement:
    excerpt = " ".join(text[start:end].split())
    shown = excerpt if len(excerpt) <= MAX_EXCERPT_CHARS else f"{excerpt[: MAX_EXCERPT_CHARS - 3]}..."
    return DestructiveStatement(first_line + text.count("\n", 0, start), effect, shown)
