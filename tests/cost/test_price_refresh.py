"""Reading AWS's offer files over a real connection: what is taken, what is not, and what a bad answer does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli.main import cli
from orchestrator.cost import offer_file, price_list
from orchestrator.problems import Problems
from orchestrator.runs import price_refresh

COLUMNS = [
    "SKU",
    "OfferTermCode",
    "RateCode",
    "TermType",
    "PriceDescription",
    "EffectiveDate",
    "StartingRange",
    "EndingRange",
    "Unit",
    "PricePerUnit",
    "Currency",
    "Product Family",
    "serviceCode",
    "Location",
    "Instance Type",
    "Volume Type",
    "Database Engine",
    "Deployment Option",
    "usageType",
    "operation",
    "Extended Support Pricing Year",
    "Region Code",
]
"""The columns of AmazonRDS's offer file of 2026-04-28 that matter, under the names that AWS gives them."""


def ignore(_: str) -> None:
    """Report nothing."""


def offer(service: str, *rows: dict[str, str]) -> str:
    metadata = [
        ("FormatVersion", "v1.0"),
        ("Disclaimer", "This pricing list is for informational purposes only."),
        ("Publication Date", "2026-11-28T17:07:46Z"),
        ("Version", "20261128170746"),
        ("OfferCode", service),
    ]
    lines = [f'"{name}","{value}"' for name, value in metadata]
    usual = {"TermType": "OnDemand", "Currency": "USD", "StartingRange": "0"}
    lines.append(",".join(f'"{column}"' for column in COLUMNS))
    lines += [",".join(f'"{({**usual, **row}).get(column, "")}"' for column in COLUMNS) for row in rows]
    return "\n".join(lines) + "\n"


def instance(usage: str, price: str, **more: str) -> dict[str, str]:
    return {
        "SKU": "S1",
        "Product Family": "Database Instance",
        "Instance Type": usage.partition(":")[2],
        "usageType": usage,
        "Database Engine": "PostgreSQL",
        "Deployment Option": "Single-AZ",
        "PricePerUnit": price,
        **more,
    }


RDS = offer(
    "AmazonRDS",
    instance("EU-InstanceUsage:db.m7g.large", "0.1890000000"),
    instance("EU-InstanceUsage:db.m7g.large", "0.9", **{"Database Engine": "Oracle"}),
    instance("EU-Multi-AZUsage:db.m7g.large", "0.378", **{"Deployment Option": "Multi-AZ"}),
    instance("EU-InstanceUsage:db.m7g.large", "0.1", TermType="Reserved"),
    instance("EU-InstanceUsage:db.m7g.large", "1.1", Currency="CNY"),
    {
        "SKU": "S2", "Product Family": "Database Storage", "usageType": "EU-RDS:GP3-Storage", "PricePerUnit": "0.127",
        "Database Engine": "Any", "Deployment Option": "Single-AZ",
    },
    {
        "SKU": "S3", "Product Family": "Database Storage", "usageType": "EU-RDS:Multi-AZ-GP3-Storage",
        "PricePerUnit": "0.254", "Database Engine": "Any", "Deployment Option": "Multi-AZ",
    },
    {"SKU": "S7", "Product Family": "Database Storage", "usageType": "EU-RDS:PIOPS-Storage-IO2",
     "PricePerUnit": "0.138"},
    {"SKU": "S8", "Product Family": "Provisioned IOPS", "usageType": "EU-RDS:IO2-PIOPS", "PricePerUnit": "0.11"},
    {"SKU": "S4", "usageType": "EU-ExtendedSupport:Yr1-Yr2:PostgreSQL11", "PricePerUnit": "0.1120000000"},
    {"SKU": "S5", "usageType": "EU-ExtendedSupport:Yr3:PostgreSQL11", "PricePerUnit": "0.2240000000"},
    {"SKU": "S6", "usageType": "EU-ExtendedSupport:Yr3:MySQL5.7", "PricePerUnit": "0.9"},
)  # fmt: skip
ECS = offer(
    "AmazonECS",
    {"SKU": "F1", "usageType": "EU-Fargate-vCPU-Hours:perCPU", "PricePerUnit": "0.0404800000"},
    {"SKU": "F2", "usageType": "EU-Fargate-ARM-vCPU-Hours:perCPU", "PricePerUnit": "0.0323800000"},
    {"SKU": "F3", "usageType": "EU-Fargate-GB-Hours", "PricePerUnit": "0.0044450000"},
    {"SKU": "F4", "usageType": "EU-Fargate-Windows-GB-Hours", "PricePerUnit": "0.0044450001"},
)
S3 = offer(
    "AmazonS3",
    {"SKU": "T1", "usageType": "EU-TimedStorage-ByteHrs", "PricePerUnit": "0.0230000000"},
    {"SKU": "T1", "usageType": "EU-TimedStorage-ByteHrs", "PricePerUnit": "0.0220000000", "StartingRange": "51200"},
)


class Offers(BaseHTTPRequestHandler):
    """Serves offer files by service; any other service is not offered in the region."""

    files: dict[str, str]
    status = 200

    def do_GET(self) -> None:
        service = self.path.split("/")[4]
        body = self.files.get(service, "").encode()
        self.send_response(self.status if body else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def offers() -> Iterator[tuple[str, type[Offers]]]:
    handler = type("OffersOfOneTest", (Offers,), {"files": {"AmazonRDS": RDS, "AmazonECS": ECS, "AmazonS3": S3}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


def test_prices_are_taken_from_single_zone_postgres_on_demand(offers: tuple[str, type[Offers]], tmp_path: Path) -> None:
    said: list[str] = []
    fresh = price_refresh.refresh(tmp_path / "prices.json", ["eu-west-1"], said.append, offers[0])

    assert {item: row.usd for item, row in fresh.regions["eu-west-1"].items()} == {
        "rds.instance.db.m7g.large": 0.189,
        "rds.storage.gp3": 0.127,
        "rds.storage.io2": 0.138,
        "rds.iops.io2": 0.11,
        "rds.extended-support.year-1": 0.112,
        "rds.extended-support.year-3": 0.224,
        "fargate.vcpu-hour": 0.04048,
        "fargate.gb-hour": 0.004445,
        "s3.gb-month": 0.023,
    }
    row = fresh.regions["eu-west-1"]["rds.instance.db.m7g.large"]
    assert (row.source, row.as_of) == ("AWS Price List, AmazonRDS, SKU S1", "2026-11-28")
    assert price_list.load_file(tmp_path / "prices.json") == fresh
    assert said == ["eu-west-1: 9 prices"]


def test_other_regions_of_the_file_are_kept(offers: tuple[str, type[Offers]], tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    price_refresh.refresh(path, ["us-east-1"], ignore, offers[0])
    price_refresh.refresh(path, ["eu-west-1"], ignore, offers[0])

    assert sorted(price_list.load_file(path).regions) == ["eu-west-1", "us-east-1"]


@pytest.mark.parametrize(
    ("service", "body", "words"),
    [
        ("AmazonRDS", "<html>sign in to the guest network</html>", "the file is not the AWS offer file of AmazonRDS"),
        ("AmazonECS", RDS, "the file is not the AWS offer file of AmazonECS"),
        ("AmazonRDS", RDS.replace('"usageType"', '"usage"'), "it has no column usageType"),
    ],
)
def test_an_answer_that_is_no_offer_file_loses_nothing(
    offers: tuple[str, type[Offers]], tmp_path: Path, service: str, body: str, words: str
) -> None:
    path = tmp_path / "prices.json"
    price_refresh.refresh(path, ["eu-west-1"], ignore, offers[0])
    before = path.read_bytes()
    offers[1].files = {**offers[1].files, service: body}

    with pytest.raises(Problems, match=words):
        price_refresh.refresh(path, ["eu-west-1"], ignore, offers[0])
    assert path.read_bytes() == before


@pytest.mark.parametrize("dead", ["refused", "status"])
def test_a_network_that_fails_is_told_once_a_file(offers: tuple[str, type[Offers]], tmp_path: Path, dead: str) -> None:
    url, handler = offers
    handler.status = 503
    with pytest.raises(Problems) as caught:
        price_refresh.refresh(
            tmp_path / "prices.json", ["eu-west-1"], ignore, "http://127.0.0.1:9" if dead == "refused" else url
        )

    expected = len(offer_file.SERVICES) if dead == "refused" else 3
    assert len(caught.value.problems) == expected + 1
    assert not (tmp_path / "prices.json").exists()


def test_commands_refresh_and_use_the_prices(
    offers: tuple[str, type[Offers]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cost` estimates with what `prices refresh` wrote."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    done = runner.invoke(
        cli, ["prices", "refresh", "--region", "eu-west-1", "--url", offers[0]], catch_exceptions=False
    )

    assert done.exit_code == 0, done.output
    assert (tmp_path / "prices.json").is_file()
    shown = runner.invoke(cli, ["prices", "show"], catch_exceptions=False)
    assert "db.m7g.large" in shown.output
