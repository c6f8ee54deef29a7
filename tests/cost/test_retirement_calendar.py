"""Certificates, TLS policies and runtimes: every value has an end, or is listed without one."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from orchestrator.cli.main import main
from orchestrator.cost import deadlines
from orchestrator.cost.retirement_calendar import CATALOGUE, CLOSED_SERVICES, list_closed_services
from tests.cost.priced_stacks import make

SCHEMAS = Path(__file__).parents[2] / "schemas"
DATED = [
    (resource_type, path, value, retirement.on)
    for (resource_type, path), values in CATALOGUE.items()
    for value, retirement in values.items()
    if retirement is not None
]


def read_enum(kind: str, field: str) -> set[str]:
    """Return the values that a schema allows for a field, wherever the field is."""
    found: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            found.update(node.get("properties", {}).get(field, {}).get("enum", ()))
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(json.loads((SCHEMAS / f"{kind}.schema.json").read_text()))
    return found


def build_resource(resource_type: str, path: tuple[str, ...], value: str) -> Any:
    spec: Any = value
    for key in reversed(path):
        spec = {key: spec}
    return make(f"{resource_type}.x", **spec)


@pytest.mark.parametrize(
    ("key", "kind", "field"),
    [
        (("rds_instance", ("ca_certificate",)), "database", "caCertificate"),
        (("cloudfront_distribution", ("certificate", "minimum_tls")), "cdn", "minimumTls"),
    ],
)
def test_every_value_of_the_schemas_is_listed(key: tuple[str, tuple[str, ...]], kind: str, field: str) -> None:
    allowed = read_enum(kind, field)

    assert len(allowed) >= 3
    assert allowed <= CATALOGUE[key].keys()


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        (("cloudfront_distribution", ("certificate", "minimum_tls")), "MinimumProtocolVersion"),
        (("cloudfront_function", ("runtime",)), "FunctionRuntime"),
    ],
)
def test_every_value_of_the_api_is_listed(key: tuple[str, tuple[str, ...]], shape: str) -> None:
    """botocore's model of CloudFront."""
    model = botocore.session.get_session().get_service_model("cloudfront")

    assert set(model.shape_for(shape).enum) <= CATALOGUE[key].keys()


def test_dates_are_those_of_their_sources() -> None:
    """AWS database blog of 2023: 2024-08-22, 40 and 100 years from 2021 on; RFC 7568 and RFC 8996 by their dates."""
    dates = {value: on for _, _, value, on in DATED}

    assert len(DATED) == len(dates) == 9
    assert dates["rds-ca-2019"] == date(2024, 8, 22)
    assert (dates["rds-ca-rsa2048-g1"].year, dates["rds-ca-rsa4096-g1"].year) == (2061, 2121)
    assert (dates["SSLv3"], dates["TLSv1_2016"]) == (date(2015, 6, 25), date(2021, 3, 25))


@pytest.mark.parametrize(("resource_type", "path", "value", "on"), DATED)
def test_a_plan_warns_half_a_year_ahead_and_after(
    resource_type: str, path: tuple[str, ...], value: str, on: date
) -> None:
    resource = build_resource(resource_type, path, value)
    for days_before, is_warned in ((181, False), (180, True), (0, True), (-100, True)):
        warnings = list(deadlines.list_warnings([resource], on - timedelta(days=days_before)))
        assert bool(warnings) is is_warned
        assert all(f"{resource_type}.x: " in warning and str(on) in warning for warning in warnings)


def test_a_value_without_an_end_has_no_date() -> None:
    assert deadlines.list_deadlines([make("cloudfront_function.x", runtime="cloudfront-js-2.0")]) == []
    assert deadlines.list_deadlines([make("rds_instance.x"), make("cloudfront_distribution.x", certificate=None)]) == []


def test_outlook_lists_services_that_take_no_new_customers(capsys: pytest.CaptureFixture[str]) -> None:
    """terraform-provider-aws issue 47161: App Runner, from 2026-04-30 on."""
    assert main(["outlook", "-f", str(SCHEMAS.parent / "manifests")]) == 0

    assert "2026-04-30  apprunner_service.api: App Runner is closed to new customers" in capsys.readouterr().out
    assert [address for address, _ in list_closed_services([make("apprunner_service.a"), make("s3_bucket.b")])] == [
        "apprunner_service.a"
    ]
    assert CLOSED_SERVICES["apprunner_service"].on == date(2026, 4, 30)
