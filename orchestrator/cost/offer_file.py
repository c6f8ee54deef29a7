"""Read the prices that the product needs from AWS's offer files.  Pure: takes lines, returns prices.

AWS publishes one CSV file per service and region, without credentials:
``https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/SERVICE/current/REGION/index.csv``.  Five lines of metadata,
a line of column names, then one line per price ("Reading the service price list file for an AWS service", AWS Billing).
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from orchestrator.cost.price_list import Price
from orchestrator.problems import Problems

Row = Mapping[str, str]

_METADATA_LINES = 5
_COLUMNS = ("SKU", "TermType", "StartingRange", "PricePerUnit", "Currency", "Product Family", "usageType")
_EXTENDED_SUPPORT = re.compile(r"ExtendedSupport:(?P<years>Yr1-Yr2|Yr3):PostgreSQL")
_REGION_PREFIX = re.compile(r"^[A-Z]{2,4}[0-9]?-")
"""Usage types outside of us-east-1 begin with the region: ``EU-`` for eu-west-1, ``EUC1-``, ``USW2-``."""


class UsageType(NamedTuple):
    """A usage type of a service, without its region, and the item whose price it is."""

    name: str
    item: str
    product_family: str = ""


SERVICES: Mapping[str, tuple[UsageType, ...]] = {
    "AWSAppRunner": (
        UsageType("AppRunner-Provisioned-GB-hours", "app-runner.gb-hour"),
        UsageType("AppRunner-vCPU-hours", "app-runner.vcpu-hour"),
    ),
    "AWSELB": (UsageType("LoadBalancerUsage", "load-balancer.hour", "Load Balancer-Application"),),
    "AWSSecretsManager": (UsageType("AWSSecretsManager-Secrets", "secret.month"),),
    "AWSDataTransfer": (UsageType("DataTransfer-Out-Bytes", "transfer-out.gb"),),
    "AmazonCloudWatch": (
        UsageType("CW:AlarmMonitorUsage", "alarm.month"),
        UsageType("DataProcessing-Bytes", "logs.gb", "Data Payload"),
    ),
    "AmazonECR": (UsageType("TimedStorage-ByteHrs", "ecr.gb-month"),),
    "AmazonECS": (
        UsageType("Fargate-vCPU-Hours:perCPU", "fargate.vcpu-hour"),
        UsageType("Fargate-GB-Hours", "fargate.gb-hour"),
    ),
    "AmazonRDS": (
        UsageType("RDS:GP2-Storage", "rds.storage.gp2", "Database Storage"),
        UsageType("RDS:GP3-Storage", "rds.storage.gp3", "Database Storage"),
        UsageType("RDS:PIOPS-Storage", "rds.storage.io1", "Database Storage"),
        UsageType("RDS:PIOPS-Storage-IO2", "rds.storage.io2", "Database Storage"),
        UsageType("RDS:IO2-PIOPS-Storage", "rds.storage.io2", "Database Storage"),
        UsageType("RDS:PIOPS", "rds.iops.io1", "Provisioned IOPS"),
        UsageType("RDS:IO2-PIOPS", "rds.iops.io2", "Provisioned IOPS"),
        UsageType("RDS:GP3-PIOPS", "rds.iops.gp3", "Provisioned IOPS"),
        UsageType("RDS:GP3-Throughput", "rds.throughput.gp3", "Provisioned Throughput"),
    ),
    "AmazonS3": (UsageType("TimedStorage-ByteHrs", "s3.gb-month"),),
    "AmazonVPC": (
        UsageType("PublicIPv4:InUseAddress", "public-ipv4.hour"),
        UsageType("VpcEndpoint-Hours", "interface-endpoint.hour"),
    ),
}
"""The offer files to read, and what to take from each.  Classes of RDS and its extended support are taken as well."""


def read(service: str, lines: Iterable[str]) -> dict[str, Price]:
    """Return the on-demand prices in one offer file of ``service``, by item.

    Raises Problems if the file is not an offer file of that service.
    """
    stream = iter(lines)
    metadata = dict(row[:2] for row in csv.reader(itertools.islice(stream, _METADATA_LINES)) if len(row) > 1)
    published = metadata.get("Publication Date", "")[: len("YYYY-MM-DD")]
    rows = csv.DictReader(stream)
    missing = [column for column in _COLUMNS if column not in (rows.fieldnames or ())]
    if metadata.get("OfferCode") != service or not published or missing:
        raise Problems.from_message(
            f"the file is not the AWS offer file of {service}"
            + (f": it has no column {', '.join(missing)}" if missing and published else ""),
            hint="check --url, and check that no proxy responds in place of AWS",
        )
    prices: dict[str, Price] = {}
    for row in rows:
        for item in _items(service, row):
            prices[item] = Price(float(row["PricePerUnit"]), f"AWS Price List, {service}, SKU {row['SKU']}", published)
    return prices


def _items(service: str, row: Row) -> Iterator[str]:
    """Yield the items whose price is in ``row``: at most one."""
    if row["TermType"] != "OnDemand" or row["Currency"] != "USD" or row["StartingRange"] not in {"", "0"}:
        return
    if not float(row["PricePerUnit"] or 0):
        return
    usage_type = _REGION_PREFIX.sub("", row["usageType"])
    if service == "AmazonRDS" and not _is_single_zone_postgres(row):
        return
    if service == "AmazonRDS" and row["Product Family"] == "Database Instance" and "InstanceUsage:" in usage_type:
        yield f"rds.instance.{row['Instance Type']}"
    if support := _EXTENDED_SUPPORT.search(usage_type):
        yield f"rds.extended-support.{'year-3' if support['years'] == 'Yr3' else 'year-1'}"
    for usage in SERVICES[service]:
        if usage_type == usage.name and usage.product_family in {"", row["Product Family"]}:
            yield usage.item


def _is_single_zone_postgres(row: Row) -> bool:
    """Return whether a row of RDS is about PostgreSQL, or any engine, in one zone."""
    engine, deployment = row.get("Database Engine", ""), row.get("Deployment Option", "")
    return engine in {"", "Any", "PostgreSQL"} and deployment in {"", "Single-AZ"}
