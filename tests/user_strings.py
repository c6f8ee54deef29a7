"""List every text that a person reads: ``python -m tests.user_strings [WORD ...]`` prints them as FILE:LINE: TEXT.

Texts are string literals of the product with a space in them, descriptions and reasons of the schemas, and the texts of
pages and workflows.  Docstrings are texts of a command line only where click prints them.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
PRODUCT = ("orchestrator", "ml")
SCHEMA_TEXTS = frozenset({"description", "title", "x-reason", "reason"})


class UserString(NamedTuple):
    """One text and its place."""

    file: str
    line: int
    text: str


def list_strings() -> Iterator[UserString]:
    """Yield the texts of the product, file by file."""
    for top in PRODUCT:
        for path in sorted((ROOT / top).rglob("*.py")):
            yield from _python_strings(path)
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in {".html", ".j2"}:
                yield from _page_strings(path)
    for path in sorted((ROOT / "schemas").glob("*.json")):
        yield from _schema_strings(path)
    for path in sorted((ROOT / ".github").rglob("*.yml")):
        yield from _workflow_strings(path)


@cache
def parse(path: Path) -> ast.Module:
    """Return the syntax tree of a file, parsed once in this process."""
    return ast.parse(path.read_text(encoding="utf-8"))


def _python_strings(path: Path) -> Iterator[UserString]:
    nodes = list(ast.walk(parse(path)))
    skipped = {id(node) for node in _docstrings(nodes)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(value) for value in node.values}
            parts = [value.value if isinstance(value, ast.Constant) else "{}" for value in node.values]
            text = "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if id(node) not in skipped and re.search(r"[A-Za-z]{2,} [A-Za-z`{]", text):
            yield UserString(str(path.relative_to(ROOT)), node.lineno, " ".join(text.split()))


def _docstrings(nodes: list[ast.AST]) -> Iterator[ast.expr]:
    """Yield what documents code: docstrings but those of commands, and strings that stand alone."""
    for node in nodes:
        decorators = getattr(node, "decorator_list", [])
        is_command = any("command" in ast.unparse(decorator) for decorator in decorators)
        for statement in getattr(node, "body", []) if isinstance(getattr(node, "body", []), list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and not is_command:
                yield statement.value


def _page_strings(path: Path) -> Iterator[UserString]:
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        text = re.sub(r"\{[{%#].*?[}%#]\}|<[^>]*>", " ", line)
        if re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", text):
            yield UserString(str(path.relative_to(ROOT)), number, " ".join(text.split()))


def _schema_strings(path: Path) -> Iterator[UserString]:
    text = path.read_text()

    def walk(value: Any, key: str = "") -> Iterator[UserString]:
        if isinstance(value, dict):
            for name, item in value.items():
                yield from walk(item, name)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)
        elif isinstance(value, str) and key in SCHEMA_TEXTS:
            line = text[: max(text.find(json.dumps(value, ensure_ascii=False)), 0)].count("\n") + 1
            yield UserString(str(path.relative_to(ROOT)), line, value)

    yield from walk(json.loads(text))


def _workflow_strings(path: Path) -> Iterator[UserString]:
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if match := re.match(r"\s*-?\s*(?:name|description): (.+)", line):
            yield UserString(str(path.relative_to(ROOT)), number, match.group(1))


def main(words: list[str]) -> None:
    """Print the texts that hold any of ``words``, or all."""
    for string in list_strings():
        if not words or any(word.lower() in string.text.lower() for word in words):
            sys.stdout.write(f"{string.file}:{string.line}: {string.text}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
