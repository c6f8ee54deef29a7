"""Parse YAML text with libyaml into nodes with positions, and report syntax errors in plain words.

libyaml's own composer overflows the C stack on deeply nested text, so nodes are composed here from its events.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml
from yaml.composer import Composer
from yaml.cyaml import CParser  # type: ignore[attr-defined]
from yaml.resolver import Resolver

from orchestrator.problems import Position, Problem

MAX_DEPTH = 40
# Characters that YAML forbids, and the line ends that only YAML recognises.
# Python compiles four short ranges ten times faster than one negated set.
_FORBIDDEN_CHARACTERS = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|[\u2028\u2029]|[\ud800-\udfff]|[\ufffe\uffff]"
)
_TAB_MESSAGE = "YAML does not allow tabs for indentation"

# libyaml's phrase, our message and our hint.
_ERROR_MESSAGES = (
    ("violates indentation", _TAB_MESSAGE, "indent with spaces"),
    ("mapping values are not allowed", "unexpected `:`", "quote text that contains `: `"),
    ("did not find expected key", "this line does not match the indentation around it", "align keys with those above"),
    (
        "did not find expected '-' indicator",
        "expected a list item: the line does not begin with `-`",
        "align list items with those above",
    ),
    ("unexpected end of stream", "unclosed quote", "close the quote"),
    ("expected ',' or ']'", "unclosed `[` list", "separate items with commas and close the list with `]`"),
    ("expected ',' or '}'", "unclosed `{` mapping", "separate entries with commas and close the mapping with `}`"),
    ("could not find expected ':'", "missing `:` after a key", "write `key: value`, with a space after the colon"),
    (
        "expected node content",
        "missing or unexpected value",
        "quote text such as `]` and `,`",
    ),
    ("undefined alias", "undefined alias: `*name` has no anchor `&name`", "quote text that begins with `*`"),
    ("duplicate anchor", "duplicate anchor (`&name`)", "give each anchor a unique name"),
    ("nested too deeply", f"nested more than {MAX_DEPTH} levels deep", None),
    ("<document start>", "text after the end of the document", "separate documents with a line `---`"),
    ("unknown directive", "unknown YAML directive (`%...`)", "quote text that begins with `%`"),
)


class _Loader(Composer, CParser, Resolver):
    """Composes libyaml's events in Python, with limited nesting and with positions."""

    def __init__(self, text: str) -> None:
        CParser.__init__(self, text)
        Composer.__init__(self)
        Resolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        """Return one node.

        Raises MarkedYAMLError if it is nested too deeply, before it is built.
        """
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = getattr(self.peek_event(), "start_mark", None)
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        try:
            return Composer.compose_node(self, parent, index)  # type: ignore[arg-type]
        finally:
            self._depth -= 1


def parse_nodes(text: str, file: str) -> Iterator[yaml.Node | Problem]:
    """Yield the documents of a text in order; a syntax error is yielded as a Problem and ends the iteration."""
    forbidden_match = _FORBIDDEN_CHARACTERS.search(text)
    if forbidden_match:
        yield _forbidden_character_problem(text, file, forbidden_match)
        return
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield node
    except yaml.MarkedYAMLError as error:
        yield _syntax_problem(error, text, file)
    except yaml.YAMLError as error:
        yield Problem(f"invalid YAML: {' '.join(str(error).split())}", Position(file))
    finally:
        loader.dispose()


def _forbidden_character_problem(text: str, file: str, match: re.Match[str]) -> Problem:
    preceding_text = text[: match.start()]
    where = Position(file, preceding_text.count("\n") + 1, match.start() - preceding_text.rfind("\n"))
    name = "a NUL character" if match[0] == "\0" else f"the control character U+{ord(match[0]):04X}"
    return Problem(f"{name} is not allowed in YAML", where, 'remove it, or write it as "\\x.." in double quotes')


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    where = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file)
    problem = error.problem or "syntax error"
    if "cannot start any token" in problem:
        return _invalid_start_problem(text, where)
    for libyaml_phrase, message, hint in _ERROR_MESSAGES:
        if libyaml_phrase in problem:
            context_note = _context_note(error)
            return Problem(message + context_note, where, hint)
    return Problem(f"invalid YAML: {problem}{_context_note(error)}", where)


def _context_note(error: yaml.MarkedYAMLError) -> str:
    context, mark = error.context_mark, error.problem_mark
    if context is None or mark is None or context.line == mark.line:
        return ""
    return f" (started on line {context.line + 1})"


def _invalid_start_problem(text: str, where: Position) -> Problem:
    line = text.split("\n")[where.line - 1]
    character = line[where.column - 1 : where.column]
    if character == "\t":
        return Problem(_TAB_MESSAGE, where, "indent with spaces")
    return Problem(f"text cannot begin with `{character}`", where, f'quote it: "{character}..."')
