"""List AWS's on-demand prices by region, in USD before VAT.  Data only.

Change a price together with ``PRICES_AS_OF`` and the comment that names its source.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

PRICES_AS_OF = "2026-11-22"
HOURS_PER_MONTH = 730
"""Hours per month, as in AWS's pricing calculator."""

MAX_SERVICES_PER_LOAD_BALANCER = 25
"""Express services that can share a load balancer (developer guide)."""

FREE_TIER_ALARMS = 10
"""Standard-resolution alarms per account in the always-free tier."""


class RegionPrices(Struct, frozen=True):
    """List prices of one region, in USD.

    ``rds_instance_hour`` is by instance class, for single-zone PostgreSQL; ``rds_storage_gb_month`` by storage type,
    for one zone.
    """

    rds_instance_hour: Mapping[str, float]
    rds_storage_gb_month: Mapping[str, float]
    app_runner_gb_hour: float
    app_runner_vcpu_hour: float
    fargate_gb_hour: float
    fargate_vcpu_hour: float
    load_balancer_hour: float
    public_ipv4_hour: float
    secret_month: float
    alarm_month: float
    s3_gb_month: float
    ecr_gb_month: float


_EU_WEST_1 = RegionPrices(
    rds_instance_hour={
        "db.t3.micro": 0.020,  # aws.amazon.com/rds/postgresql/pricing, Single-AZ; not yet confirmed by a bill
        "db.t4g.micro": 0.017,  # as billed, EU-InstanceUsage:db.t4g.micro, July 2026
    },
    rds_storage_gb_month={
        "gp2": 0.127,  # aws.amazon.com/rds/postgresql/pricing; 20 GB were billed at 2.54 USD
        "gp3": 0.127,  # as billed, EU-RDS:GP3-Storage, July 2026
    },
    app_runner_gb_hour=0.007,  # aws.amazon.com/apprunner/pricing, Europe (Ireland): provisioned, and active alike
    app_runner_vcpu_hour=0.064,  # aws.amazon.com/apprunner/pricing: active instances only
    fargate_gb_hour=0.004445,  # as billed, EU-Fargate-GB-Hours, July 2026; Linux on x86
    fargate_vcpu_hour=0.04048,  # as billed, EU-Fargate-vCPU-Hours:perCPU, July 2026
    load_balancer_hour=0.0252,  # as billed, EU-LoadBalancerUsage, July 2026; plus capacity units, 0.008 each per hour
    public_ipv4_hour=0.005,  # as billed, EU-PublicIPv4:InUseAddress, July 2026
    secret_month=0.40,  # aws.amazon.com/secrets-manager/pricing: per secret and month; calls are extra, 0.05 per 10,000
    alarm_month=0.10,  # aws.amazon.com/cloudwatch/pricing: a standard-resolution alarm beyond the free ones
    s3_gb_month=0.023,  # aws.amazon.com/s3/pricing: S3 Standard, first 50 TB; requests are extra
    ecr_gb_month=0.10,  # aws.amazon.com/ecr/pricing
)

PRICES_BY_REGION: Mapping[str, RegionPrices] = {"eu-west-1": _EU_WEST_1}
