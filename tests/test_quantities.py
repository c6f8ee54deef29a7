"""Numbers that strangers write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.quantities import parse_count
from orchestrator.state.server import access
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store

PRODUCT = Path(__file__).parents[1] / "orchestrator"
STRANGE = ("", "²", "-1", "+1", " 1", "1.5", "1e3", "٣", "9" * 13, "9" * 5000)
GUARD = re.compile(r"\.isdigit\(\).*\bint\(|\bint\(.*\.isdigit\(\)")


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: repr(text[:8]))
def test_a_strange_number_is_none(text: str) -> None:
    assert parse_count(text) is None


def test_a_number_is_read() -> None:
    assert [parse_count(text) for text in ("0", "007", "1767225600")] == [0, 7, 1767225600]


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: repr(text[:8]))
def test_a_strange_time_of_a_proxy_is_nobody(text: str, tmp_path: Path) -> None:
    """ "²" and five thousand digits ended in a traceback: `str.isdigit` holds for both, and `int` refuses them."""
    store = Store.open(f"sqlite:///{tmp_path}/state.db")
    authenticator = access.Authenticator(store, Settings(proxy_secret="a" * 40))

    headers = {"x-orchestrator-user": "eve", "x-orchestrator-time": text}
    assert authenticator.authenticate("GET", "/", headers, {}) == access.ANONYMOUS
    store.engine.dispose()


def test_no_number_is_read_behind_isdigit() -> None:
    """Every place reads what others wrote by `parse_count`; a path of a manifest's own list is ours."""
    lines = [
        (path.relative_to(PRODUCT).as_posix(), line.strip())
        for path in sorted(PRODUCT.rglob("*.py"))
        for line in path.read_text().splitlines()
        if GUARD.search(line)
    ]

    assert [path for path, _ in lines] == ["quantities.py", "render/resource_summary.py"]
