"""Split a Dockerfile into its instructions, as BuildKit's parser does. Pure.

Source: Docker's Dockerfile reference (parser directives, comments, line continuations, heredocs, JSON arguments).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

BYTE_ORDER_MARK = "\ufeff"
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*\Z")
_BLANK = re.compile(r"[\t\v\f\r ]+")
_HEREDOC = re.compile(r"\d*<<(-?)\s*([^<]+)\Z")
_HEREDOC_START = re.compile(r"<<[ \t\r]*")
_UNKNOWN_MODIFIER = re.compile(r"\$\{\w+[^\w}:+?#%/-]")
_HEREDOC_KEYWORDS = ("RUN", "COPY", "ADD")


def parse_instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line, keyword in capitals, arguments) of each instruction, without comments and heredoc bodies."""
    lines = [line.rstrip("\r") for line in text.removeprefix(BYTE_ORDER_MARK).split("\n")]
    escape = _find_escape_char(lines)
    continuation = re.compile(rf"(?:(?<=[^{re.escape(escape)}])|\A){re.escape(escape)}[ \t]*\Z")
    index = 0
    while index < len(lines):
        line = lines[index].lstrip()
        index += 1
        if not line or line.startswith("#"):
            continue
        start_line = index
        joined, is_continued = continuation.subn("", line, count=1)
        while is_continued and index < len(lines):
            line = lines[index]
            index += 1
            if line.strip() and not line.lstrip().startswith("#"):
                part, is_continued = continuation.subn("", line, count=1)
                joined += part
        keyword, _, arguments = _BLANK.sub(" ", joined.strip(), count=1).partition(" ")
        index = _skip_heredocs(lines, index, keyword.upper(), arguments)
        if keyword:
            yield start_line, keyword.upper(), arguments.strip()


def _find_escape_char(lines: list[str]) -> str:
    for line in lines:
        directive = _DIRECTIVE.match(line.strip())
        if directive is None:
            break
        if directive[1].lower() == "escape":
            return directive[2]
    return "\\"


def _skip_heredocs(lines: list[str], index: int, keyword: str, arguments: str) -> int:
    """Return the index of the line after the heredocs of an instruction."""
    if keyword == "ONBUILD":
        keyword, _, arguments = _BLANK.sub(" ", arguments.strip(), count=1).partition(" ")
    if keyword.upper() not in _HEREDOC_KEYWORDS or "<<" not in arguments or _is_json(arguments):
        return index
    for word in _split_words(arguments):
        heredoc = _HEREDOC.match(word)
        terminator = _unquote(heredoc[2]) if heredoc else ""
        if heredoc is None or not terminator:
            continue
        while index < len(lines) and (lines[index].lstrip("\t") if heredoc[1] else lines[index]) != terminator:
            index += 1
        index += 1
    return index


def _is_json(arguments: str) -> bool:
    """Return whether the arguments are a JSON array of texts, in which ``<<`` is only text."""
    try:
        items = json.loads(arguments)
    except ValueError:
        return False
    return isinstance(items, list) and all(isinstance(item, str) for item in items)


def _split_words(arguments: str) -> list[str]:
    """Return the words of a shell command with their quotes; white space after ``<<`` ends no word.

    There are none if a quote is not closed, or a variable has a modifier that BuildKit does not know: it then looks for
    no heredoc.
    """
    if _UNKNOWN_MODIFIER.search(arguments):
        return []
    words: list[str] = []
    word, index, closing = "", 0, ""
    while index < len(arguments):
        char = arguments[index]
        if char == "\\" and closing != "'":
            word += arguments[index : index + 2]
            index += 2
            continue
        if closing:
            closing = "" if char == closing else closing
        elif char in "\"'":
            closing = char
        elif char.isspace():
            words, word, char = [*words, word] if word else words, "", ""
        elif opening := _HEREDOC_START.match(arguments, index):
            word += opening[0]
            index = opening.end()
            continue
        word += char
        index += 1
    return [] if closing else [*words, *([word] if word else [])]


def _unquote(word: str) -> str:
    return re.sub(r"\\(.)|[\"']", lambda match: match[1] or "", word)
