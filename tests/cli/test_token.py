"""Tokens for scripts, from the command line to the door: shown once, stored hashed, limited, ended."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from orchestrator.cli.main import main
from orchestrator.state.server.store import Store
from tests.cli.state_service import AdjustableClock
from tests.state.pages.page_service import make_settings, serve


def test_a_token_lives_and_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it is for, how long, for which environment; revoked or run out it opens nothing, and its name is free."""
    told, clock = make_settings(tmp_path), AdjustableClock()
    database = ["--database", told.database]

    def token(*words: str) -> str:
        assert main(["token", *words, *database]) == 0
        return capsys.readouterr().out.strip()

    made = token("create", "ci", "--scope", "write", "--only", "shop/prod", "--days", "30")
    assert made.encode() not in (tmp_path / "state.db").read_bytes()
    assert made not in token("list")
    assert main(["token", "create", "ci", *database]) == 1
    assert main(["token", "create", "other", "--scope", "root", *database]) == 1
    assert "unknown scope 'root'" in capsys.readouterr().err

    with serve(Store.open(told.database, clock), told) as address, httpx.Client(base_url=f"{address}/api/v1") as http:

        def may(word: str, environment: str = "prod") -> int:
            path = f"/environments/shop/{environment}/models/products/v1"
            return http.put(path, json={}, headers={"authorization": f"Bearer {word}"}).status_code

        assert [may(made), may(made, "qa"), may(made[:-1]), may("x")] == [422, 403, 401, 401]
        assert token("revoke", "ci") == "Revoked token ci."
        assert may(made) == 401
        again = token("create", "ci", "--scope", "write", "--days", "1")
        assert may(again) == 422
        clock.offset_seconds = 86_401.0
        assert may(again) == 401
    assert "ci: write; until" in token("list")
    assert main(["token", "revoke", "nobody", *database]) == 1
