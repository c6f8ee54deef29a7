"""Texts of others on pages: escaped, whatever is in them."""

from __future__ import annotations

import pytest

from orchestrator.state.server.pages.formatting import format_code_spans


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("run `orchestrator drift` now", "run <code>orchestrator drift</code> now"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("`<b>`", "<code>&lt;b&gt;</code>"),
        ("no end `of it", "no end <code>of it</code>"),
    ],
)
def test_code_between_backticks(text: str, html: str) -> None:
    assert format_code_spans(text) == html
