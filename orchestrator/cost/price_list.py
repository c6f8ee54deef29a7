"""AWS's on-demand list prices that the estimate needs: USD before VAT, a region at a time.  Data only.

A price is added or changed together with ``AS_OF`` and the comment that says where it was read.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

PRICES_AS_OF = "2026-11-22"
HOURS_PER_MONTH = 730
"""Hours of a month, as AWS's own calculator counts."""

MAX_SERVICES_PER_LOAD_BALANCER = 25
"""Express services that share a load balancer (developer guide)."""

FREE_TIER_ALARMS = 10
"""Alarms at standard resolution that the always-free tier holds, an account."""


class RegionPrices(Struct, frozen=True):
    """List prices of one region, in USD.

    ``databases``: instance class -> an hour of single-zone PostgreSQL.  ``storage``: RDS type -> a GB and month,
    single-zone.  ``memory``, ``cpu``: App Runner's GB and vCPU an hour.
    ``task_memory``, ``task_cpu``: Fargate's.  ``balancer``, ``address``: an hour of a load balancer, and of an IPv4
    address that the internet can reach.  ``objects``, ``images``: a GB and month in S3
    and in ECR.  ``secret``, ``alarm``: one, a month.
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
        "db.t3.micro": 0.020,  # aws.amazon.com/rds/postgresql/pricing, Single-AZ; not yet seen on a bill
        "db.t4g.micro": 0.017,  # as billed, EU-InstanceUsage:db.t4g.micro, July 2026
    },
    rds_storage_gb_month={
        "gp2": 0.127,  # aws.amazon.com/rds/postgresql/pricing; as billed for 20 GB: 2.54
        "gp3": 0.127,  # as billed, EU-RDS:GP3-Storage, July 2026
    },
    app_runner_gb_hour=0.007,  # aws.amazon.com/apprunner/pricing, Europe (Ireland): provisioned, and active alike
    app_runner_vcpu_hour=0.064,  # aws.amazon.com/apprunner/pricing: active instances only
    fargate_gb_hour=0.004445,  # as billed, EU-Fargate-GB-Hours, July 2026; Linux on x86
    fargate_vcpu_hour=0.04048,  # as billed, EU-Fargate-vCPU-Hours:perCPU, July 2026
    load_balancer_hour=0.0252,  # as billed, EU-LoadBalancerUsage, July 2026; plus capacity units, 0.008 each an hour
    public_ipv4_hour=0.005,  # as billed, EU-PublicIPv4:InUseAddress, July 2026
    secret_month=0.40,  # aws.amazon.com/secrets-manager/pricing: a secret and month; calls come on top, 0.05 a 10,000
    alarm_month=0.10,  # aws.amazon.com/cloudwatch/pricing: a standard-resolution alarm beyond the free ones
    s3_gb_month=0.023,  # aws.amazon.com/s3/pricing: S3 Standard, first 50 TB; requests come on top
    ecr_gb_month=0.10,  # aws.amazon.com/ecr/pricing
)

PRICES_BY_REGION: Mapping[str, RegionPrices] = {"eu-west-1": _EU_WEST_1}
