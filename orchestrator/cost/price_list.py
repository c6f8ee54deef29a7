"""AWS's on-demand list prices that the estimate needs: USD before VAT, a region at a time.  Data only.

A price is added or changed together with ``AS_OF`` and the comment that says where it was read.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

AS_OF = "2026-11-22"
HOURS = 730
"""Hours of a month, as AWS's own calculator counts."""

BEHIND_ONE = 25
"""Express services that share a load balancer (developer guide)."""

FREE_ALARMS = 10
"""Alarms at standard resolution that the always-free tier holds, an account."""


class Prices(Struct, frozen=True):
    """List prices of one region, in USD.

    ``databases``: instance class -> an hour of single-zone PostgreSQL.  ``storage``: RDS type -> a GB and month,
    single-zone.  ``memory``, ``cpu``: App Runner's GB and vCPU an hour.
    ``task_memory``, ``task_cpu``: Fargate's.  ``balancer``, ``address``: an hour of a load balancer, and of an IPv4
    address that the internet can reach.  ``objects``, ``images``: a GB and month in S3
    and in ECR.  ``secret``, ``alarm``: one, a month.
    """

    databases: Mapping[str, float]
    storage: Mapping[str, float]
    memory: float
    cpu: float
    task_memory: float
    task_cpu: float
    balancer: float
    address: float
    secret: float
    alarm: float
    objects: float
    images: float


_IRELAND = Prices(
    databases={
        "db.t3.micro": 0.020,  # aws.amazon.com/rds/postgresql/pricing, Single-AZ; not yet seen on a bill
        "db.t4g.micro": 0.017,  # as billed, EU-InstanceUsage:db.t4g.micro, July 2026
    },
    storage={
        "gp2": 0.127,  # aws.amazon.com/rds/postgresql/pricing; as billed for 20 GB: 2.54
        "gp3": 0.127,  # as billed, EU-RDS:GP3-Storage, July 2026
    },
    memory=0.007,  # aws.amazon.com/apprunner/pricing, Europe (Ireland): provisioned, and active alike
    cpu=0.064,  # aws.amazon.com/apprunner/pricing: active instances only
    task_memory=0.004445,  # as billed, EU-Fargate-GB-Hours, July 2026; Linux on x86
    task_cpu=0.04048,  # as billed, EU-Fargate-vCPU-Hours:perCPU, July 2026
    balancer=0.0252,  # as billed, EU-LoadBalancerUsage, July 2026; capacity units come on top, 0.008 each an hour
    address=0.005,  # as billed, EU-PublicIPv4:InUseAddress, July 2026
    secret=0.40,  # aws.amazon.com/secrets-manager/pricing: a secret and month; calls come on top, 0.05 a 10,000
    alarm=0.10,  # aws.amazon.com/cloudwatch/pricing: a standard-resolution alarm beyond the free ones
    objects=0.023,  # aws.amazon.com/s3/pricing: S3 Standard, first 50 TB; requests come on top
    images=0.10,  # aws.amazon.com/ecr/pricing
)

PRICES: Mapping[str, Prices] = {"eu-west-1": _IRELAND}
