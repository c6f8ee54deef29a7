"""What the runner is told to blot out, and when it is told nothing."""

from __future__ import annotations

from io import StringIO

import pytest

from orchestrator.redaction.github_masks import mask

RUNNER = {"GITHUB_ACTIONS": "true"}


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("s3cret-word", "\n::add-mask::s3cret-word\n"),
        ("100%0A::done", "\n::add-mask::100%250A::done\n"),
        ("first line\n\n}\nlast line", "\n::add-mask::first line\n\n::add-mask::last line\n"),
        ("short", ""),
        ("", ""),
    ],
)
def test_a_runner_is_told_each_line(secret: str, said: str) -> None:
    """A command is one line long, and the runner takes percent signs for its own; short words are left."""
    heard = StringIO()

    assert mask(secret, heard, RUNNER) == secret
    assert heard.getvalue() == said


def test_elsewhere_nothing_is_said() -> None:
    """On a laptop the mask itself would be what shows the secret."""
    heard = StringIO()

    assert mask("s3cret-word", heard, {}) == "s3cret-word"
    assert heard.getvalue() == ""
