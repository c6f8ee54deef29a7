"""The OpenAPI document and the service agree: schemathesis asks what the document allows and what it forbids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi

from orchestrator.state.server import app
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from tests.state.api_service import ApiService, run_api_service

EXAMPLES = 4
"""Requests an endpoint: enough to find what is wrong everywhere, few enough to be waited for."""
SCHEMA = schemathesis.openapi.from_dict(app.create_app(Settings(), Store(None)).openapi())  # type: ignore[arg-type]
HELD = (
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
    openapi.negative_data_rejection,
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiService]:
    """A service with a run, which nobody limits."""
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('openapi')}/state.db")
    with run_api_service(store) as made:
        made.word = made.issue_token("read", "propose", "write", "operate")  # type: ignore[attr-defined]
        yield made


@pytest.mark.slow
@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_what_it_says_is_so(case: Any, house: ApiService) -> None:
    """Every answer is one that the document knows, in its shape, and never the service's own failure."""
    headers = {"Authorization": f"Bearer {house.word}"}  # type: ignore[attr-defined]
    answer = case.call(base_url=house.address, headers=headers)
    if answer.status_code == 429:
        return
    case.validate_response(answer, checks=HELD)
