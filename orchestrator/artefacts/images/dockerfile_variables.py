"""Expand the variables of a Dockerfile instruction. Pure.

Source: Docker's Dockerfile reference, "Environment replacement": the modifiers of BuildKit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+?]|##?|%%?|//?)([^${}]*))?\})")
MAX_NESTING = 20


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Expand ``$NAME``, ``${NAME}`` and its modifiers, from the inside out; an unknown name expands to nothing."""
    for _ in range(MAX_NESTING):
        expanded = _VARIABLE.sub(lambda match: _expand(match, values), text)
        if expanded == text:
            break
        text = expanded
    return text


def _expand(match: re.Match[str], values: Mapping[str, str]) -> str:
    name, operator, word = match[1] or match[2], match[3] or "", match[4] or ""
    value = values.get(name, "")
    is_set = bool(value) if operator.startswith(":") else name in values
    match operator.removeprefix(":"):
        case "-":
            return value if is_set else word
        case "+":
            return word if is_set else ""
        case "#" | "##":
            return re.sub(f"\\A(?:{_to_regex(word, is_greedy=operator == '##')})", "", value, count=1)
        case "%" | "%%":
            greedy = _to_regex(word, is_greedy=True)
            starts = range(len(value) + 1) if operator == "%%" else range(len(value), -1, -1)
            start = next((index for index in starts if re.fullmatch(greedy, value[index:])), len(value))
            return value[:start]
        case "/" | "//":
            pattern, _, replacement = word.partition("/")
            regex = _to_regex(pattern, is_greedy=True)
            return re.sub(regex, lambda _: replacement, value, count=operator == "/") if pattern else value
        case _:
            return value


def _to_regex(pattern: str, *, is_greedy: bool) -> str:
    """Return a shell pattern as a regular expression."""
    wildcards = {"*": ".*" if is_greedy else ".*?", "?": "."}
    return "".join(wildcards.get(char) or re.escape(char) for char in pattern)
