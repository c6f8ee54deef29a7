"""YAML text -> nodes with positions.  Reads with libyaml; says in plain words what is wrong, and where.

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
# What YAML forbids, and the line ends that YAML knows and no editor does.
# As four short ranges Python compiles it ten times faster than as what is not allowed.
_FORBIDDEN_CHARACTERS = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|[\u2028\u2029]|[\ud800-\udfff]|[\ufffe\uffff]"
)
_TAB_MESSAGE = "a tab stands where YAML wants spaces"

# libyaml's words -> ours: what is wrong, and what to do.
_ERROR_MESSAGES = (
    ("violates indentation", _TAB_MESSAGE, "indent with spaces"),
    ("mapping values are not allowed", "a `:` stands where no key can be", "quote text that contains `: `"),
    ("did not find expected key", "this line does not fit the indentation around it", "line keys up with those above"),
    (
        "did not find expected '-' indicator",
        "a list ends here without reason: the line begins with no `-`",
        "line list items up with those above",
    ),
    ("unexpected end of stream", "quoted text is not closed", "close the quote"),
    ("expected ',' or ']'", "a `[` list is not closed", "separate items by commas and close with `]`"),
    ("expected ',' or '}'", "a `{` mapping is not closed", "separate entries by commas and close with `}`"),
    ("could not find expected ':'", "a key without `:`", "write `key: value`, with a space after the colon"),
    (
        "expected node content",
        "a value is missing here, or something stands in its place",
        "quote text like `]` and `,`",
    ),
    ("undefined alias", "an alias (`*name`) without its anchor (`&name`)", "quote text that begins with `*`"),
    ("duplicate anchor", "an anchor (`&name`) is set twice", "give each anchor a name of its own"),
    ("nested too deeply", f"nested more than {MAX_DEPTH} levels deep", None),
    ("<document start>", "text after the end of the document", "separate documents by a line `---`"),
    ("unknown directive", "a YAML directive (`%...`) that is not known", "quote text that begins with `%`"),
)


class _Loader(Composer, CParser, Resolver):
    """libyaml's events, composed in Python: nesting is bounded, positions are kept."""

    def __init__(self, text: str) -> None:
        CParser.__init__(self, text)
        Composer.__init__(self)
        Resolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        """One node; what is nested too deeply is refused before it is built."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = getattr(self.peek_event(), "start_mark", None)
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        try:
            return Composer.compose_node(self, parent, index)  # type: ignore[arg-type]
        finally:
            self._depth -= 1


def parse_nodes(text: str, file: str) -> Iterator[yaml.Node | Problem]:
    """The documents of a text in order; the first thing that YAML cannot read ends them, as a Problem."""
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
        yield Problem(f"not YAML: {' '.join(str(error).split())}", Position(file))
    finally:
        loader.dispose()


def _forbidden_character_problem(text: str, file: str, match: re.Match[str]) -> Problem:
    preceding_text = text[: match.start()]
    where = Position(file, preceding_text.count("\n") + 1, match.start() - preceding_text.rfind("\n"))
    name = "a NUL character" if match[0] == "\0" else f"the control character U+{ord(match[0]):04X}"
    return Problem(f"{name} cannot stand in YAML", where, 'remove it, or write it as "\\x.." in double quotes')


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    where = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file)
    problem = error.problem or "not YAML"
    if "cannot start any token" in problem:
        return _invalid_start_problem(text, where)
    for libyaml_phrase, message, hint in _ERROR_MESSAGES:
        if libyaml_phrase in problem:
            context_note = _context_note(error)
            return Problem(message + context_note, where, hint)
    return Problem(f"not YAML: {problem}{_context_note(error)}", where)


def _context_note(error: yaml.MarkedYAMLError) -> str:
    context, mark = error.context_mark, error.problem_mark
    if context is None or mark is None or context.line == mark.line:
        return ""
    return f" (it began on line {context.line + 1})"


def _invalid_start_problem(text: str, where: Position) -> Problem:
    line = text.split("\n")[where.line - 1]
    character = line[where.column - 1 : where.column]
    if character == "\t":
        return Problem(_TAB_MESSAGE, where, "indent with spaces")
    return Problem(f"text cannot begin with `{character}`", where, f'quote it: "{character}..."')
