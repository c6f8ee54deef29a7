"""Find secrets in plain text, by the name of the key, the pattern of the value or its randomness.  Pure.

Messages name the type of secret and never the secret itself.  A line that ends with the comment
``# orchestrator: not-a-secret`` is skipped.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import yaml

from orchestrator.manifest.document import Document, Path, format_path, node_position
from orchestrator.problems import Problem

ALLOW_COMMENT = "orchestrator: not-a-secret"
PLAIN_TEXT_SECRET_HINT = (
    "generate it in a Secret (`generate: {length: 64}`), or declare it there with `external: true` and store it with "
    "`orchestrator secret set`; "
    f"if it is not a secret, end the line with `# {ALLOW_COMMENT}`"
)

_SECRET_WORD_PATTERN = re.compile(
    "password|passwd|passphrase|pwd|secret|token|credentials?|dsn|connectionstring|clientsecret"
    "|(api|secret|private|access|auth|signing|encryption)key"
)
_WORD_PATTERN = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_SECRET_PATTERNS = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY", "a private key"),
        (r"\b(AKIA|ASIA)[A-Z2-7]{16}\b", "an AWS access key"),
        (r"\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})", "a GitHub token"),
        (r"\bglpat-[\w-]{20}", "a GitLab token"),
        (r"\bxox[abeoprs]-[\w-]{10,}", "a Slack token"),
        (r"hooks\.slack\.com/services/\w+/\w+/\w+", "a Slack webhook"),
        (r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}", "a JSON web token"),
        (r"\b[sr]k_(live|test)_\w{16,}", "a Stripe key"),
        (r"\bAIza[\w-]{35}", "a Google API key"),
        (r"\bSG\.[\w-]{16,}\.[\w-]{16,}", "a SendGrid key"),
        (r"\bnpm_[A-Za-z0-9]{36}", "an npm token"),
        (r"\bsk-[A-Za-z0-9_-]{32,}", "an API key"),
        (r"[a-z][a-z0-9+.-]*://[^\s/:@]*:(?!\$\{)[^\s/@]+@", "a connection string with a password"),
        (r"(?i)\b(password|pwd)\s*=\s*(?!\$\{)[^\s;]+", "a connection string with a password"),
        (r"(?i)\bbearer\s+[\w.~+/-]{16,}", "a bearer token"),
    )
)
_HARMLESS_PATTERN = re.compile(
    r"(?i)(sha(256|384|512)[:-][a-z0-9+/=]+|\b[0-9a-f]{40}\b|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\barn:[^\s,;]+|\$\{[^}]*\})"
)
_TOKEN_PATTERN = re.compile(r"[A-Za-z0-9+]{20,}")
_AWS_SECRET_PATTERN = re.compile(r"[A-Za-z0-9/+]{40}\Z")
_HANDLE_PATTERN = re.compile(r"[a-z]+\.[a-z][a-z0-9-]*(\[.+\])?\Z")
_IDENTIFIER_PATTERN = re.compile(r"(arn:|alias/|https?://)\S+\Z|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def find_secrets(document: Document) -> Iterator[Problem]:
    """Yield a problem for every value of a document that looks like a secret."""
    for path, key, value in _walk_scalars(document.node, (), document.node, 0):
        secret_type = detect_secret_type(path, value.value)
        if secret_type and not any(ALLOW_COMMENT in document.lines[node.start_mark.line] for node in (key, value)):
            yield Problem(
                f"{format_path(path)} contains {secret_type} in plain text",
                node_position(document.file, value),
                PLAIN_TEXT_SECRET_HINT,
            )


def _walk_scalars(
    node: yaml.Node, path: Path, key: yaml.Node, depth: int
) -> Iterator[tuple[Path, yaml.Node, yaml.ScalarNode]]:
    """Yield every scalar with its path and its key; the depth limit ends an alias that contains itself."""
    if isinstance(node, yaml.ScalarNode):
        yield path, key, node
    elif isinstance(node, yaml.MappingNode) and depth < 100:
        for key_node, value in node.value:
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            yield from _walk_scalars(value, (*path, name), key_node, depth + 1)
    elif isinstance(node, yaml.SequenceNode) and depth < 100:
        for index, item in enumerate(node.value):
            yield from _walk_scalars(item, (*path, index), item, depth + 1)


def detect_secret_type(path: Path, text: str) -> str | None:
    """Return the type of secret that ``text`` at ``path`` looks like, or None."""
    for pattern, name in _SECRET_PATTERNS:
        if pattern.search(text):
            return name
    if _is_secret_key(path) and _could_be_secret(text):
        return "a secret (according to its key)"
    return "a random string that looks like a secret" if _looks_random(text) else None


def _is_secret_key(path: Path) -> bool:
    """Return whether the key ends in a word for a secret: ``DB_PASSWORD``, ``Jwt:SecretKey``, not ``TOKEN_TTL``."""
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    words = [word.lower() for word in _WORD_PATTERN.findall(key)]
    return any(_SECRET_WORD_PATTERN.fullmatch("".join(words[-count:])) for count in (1, 2) if words)


def _could_be_secret(text: str) -> bool:
    stripped = text.strip()
    is_identifier = "${" in stripped or _HANDLE_PATTERN.match(stripped) or _IDENTIFIER_PATTERN.match(stripped)
    return bool(stripped) and not is_identifier and stripped.lower() not in {"true", "false", "null", "none", "~"}


def _looks_random(text: str) -> bool:
    if _AWS_SECRET_PATTERN.match(text) and _has_mixed_characters(text, 3, 0.25) and not _HARMLESS_PATTERN.search(text):
        return True
    remaining_text = _HARMLESS_PATTERN.sub(" ", text)
    return any(
        _has_mixed_characters(token, 3 if len(token) < 32 else 2) for token in _TOKEN_PATTERN.findall(remaining_text)
    )


def _has_mixed_characters(token: str, min_classes: int, min_change_ratio: float = 0.4) -> bool:
    """Return whether a token looks random: several character classes, frequent changes between them, high entropy."""
    character_classes = [
        "digit" if char.isdigit() else "upper" if char.isupper() else "lower" for char in token if char.isalnum()
    ]
    changes = sum(previous != current for previous, current in pairwise(character_classes))
    counts = Counter(token)
    entropy_bits = -sum(count / len(token) * math.log2(count / len(token)) for count in counts.values())
    return (
        len(set(character_classes)) >= min_classes
        and "digit" in character_classes
        and changes >= min_change_ratio * len(token)
        and entropy_bits >= 3.3
    )
