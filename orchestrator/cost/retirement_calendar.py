"""Know until when certificates, TLS policies and runtimes work, and which services take no new customers.  Pure.

A value without a date is listed as well: no end of it was announced when its source was read.  A test holds the
catalogue against every value that the schemas allow, and that AWS's API knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from msgspec import Struct

from orchestrator.vocabulary import Resource

FieldPath = tuple[str, ...]
"""Path of a field in the spec of a resource."""


class Retirement(Struct, frozen=True):
    """The day on which something stops working, what happens then, and who says so."""

    on: date
    effect: str
    source: str


_RDS_CERTIFICATES = "RDS user guide: Using SSL/TLS to encrypt a connection to a DB instance"
_NEWER_AUTHORITY = "clients that verify certificates cannot connect; set `caCertificate` to rds-ca-rsa2048-g1"
_NEWER_TLS = "current browsers do not use it; set `minimumTls` to TLSv1.2_2021"


def _expire(authority: str, on: date) -> Retirement:
    return Retirement(
        on, f"the certificate authority {authority} expires: {_NEWER_AUTHORITY} or a newer one", _RDS_CERTIFICATES
    )


def _prohibit(protocols: str, on: date, source: str) -> Retirement:
    return Retirement(on, f"the TLS policy accepts {protocols}, which the IETF prohibits: {_NEWER_TLS}", source)


_SSL_3 = _prohibit("SSL 3.0", date(2015, 6, 25), "RFC 7568")
_TLS_1_0 = _prohibit("TLS 1.0", date(2021, 3, 25), "RFC 8996")
_TLS_1_1 = _prohibit("TLS 1.1", date(2021, 3, 25), "RFC 8996")

CATALOGUE: Mapping[tuple[str, FieldPath], Mapping[str, Retirement | None]] = {
    ("rds_instance", ("ca_certificate",)): {
        "rds-ca-2015": _expire("rds-ca-2015", date(2020, 3, 5)),
        "rds-ca-2019": _expire("rds-ca-2019", date(2024, 8, 22)),
        "rds-ca-rsa2048-g1": _expire("rds-ca-rsa2048-g1", date(2061, 1, 1)),
        "rds-ca-rsa4096-g1": _expire("rds-ca-rsa4096-g1", date(2121, 1, 1)),
        "rds-ca-ecc384-g1": _expire("rds-ca-ecc384-g1", date(2121, 1, 1)),
    },
    ("cloudfront_distribution", ("certificate", "minimum_tls")): {
        "SSLv3": _SSL_3,
        "TLSv1": _TLS_1_0,
        "TLSv1_2016": _TLS_1_0,
        "TLSv1.1_2016": _TLS_1_1,
        **dict.fromkeys(["TLSv1.2_2018", "TLSv1.2_2019", "TLSv1.2_2021", "TLSv1.2_2025", "TLSv1.3_2025"]),
    },
    ("cloudfront_function", ("runtime",)): dict.fromkeys(["cloudfront-js-1.0", "cloudfront-js-2.0"]),
}
"""Values of a field by resource type, each with its end, or None.  Of a year without a day, the first day counts."""

CLOSED_SERVICES: Mapping[str, Retirement] = {
    "apprunner_service": Retirement(
        date(2026, 4, 30),
        "App Runner is closed to new customers and new features. Services of existing customers keep running; the "
        "replacement is `runtime: ecs-express`",
        "App Runner developer guide: AWS App Runner availability change",
    ),
}
"""Services that are closed to new customers, by resource type.  Existing resources keep working."""


def list_retirements(resource: Resource) -> Iterator[Retirement]:
    """Yield the end of each setting of ``resource`` that has one."""
    for (resource_type, path), values in CATALOGUE.items():
        if resource.type == resource_type:
            retirement = values.get(str(_read(resource.spec, path)))
            if retirement is not None:
                yield retirement


def list_closed_services(resources: Iterable[Resource]) -> Iterator[tuple[str, Retirement]]:
    """Yield the address and the closure of each resource of a service that takes no new customers."""
    for resource in resources:
        if closure := CLOSED_SERVICES.get(resource.type):
            yield resource.address, closure


def _read(spec: Mapping[str, object], path: FieldPath) -> object:
    value: object = spec
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value
