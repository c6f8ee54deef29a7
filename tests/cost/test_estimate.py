"""What the stack costs a month: from a dated list, with its assumptions said, and never guessed."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator import cost
from orchestrator.problems import Position
from orchestrator.values import Ref
from orchestrator.vocabulary import Resource

IRELAND = "eu-west-1"


def made(address: str, **spec: Any) -> Resource:
    kind, _, name = address.partition(".")
    return Resource(kind, name, name, spec, "x.y", Position("x.yaml"))


SERVICE = made("apprunner_service.api", cpu="0.25 vCPU", memory="0.5 GB")
SCALING = made("apprunner_autoscaling.api", min_size=1, max_size=2)
DATABASE = made("rds_instance.main", instance_class="db.t3.micro", storage_type="gp2", storage_gb=20, multi_az=False)
BUDGET = made(
    "budgets_budget.monthly",
    limit=60,
    currency="USD",
    notifications=[
        {"type": "ACTUAL", "unit": "ABSOLUTE_VALUE", "threshold": 20},
        {"type": "ACTUAL", "unit": "PERCENTAGE", "threshold": 100},
        {"type": "FORECASTED", "unit": "ABSOLUTE_VALUE", "threshold": 10},
    ],
)
STACK = [
    SERVICE,
    SCALING,
    DATABASE,
    BUDGET,
    made("secretsmanager_secret.app"),
    made("s3_bucket.files"),
    made("s3_bucket.web"),
    made("ecr_repository.api"),
    made("iam_role.api-instance"),
    made("cloudfront_distribution.web"),
]


def test_the_real_stack_is_about_twenty_dollars_while_idle() -> None:
    """App Runner's memory, the database and its storage, one secret, little in S3 and ECR."""
    estimate = cost.estimate(STACK, IRELAND)

    assert estimate.idle == pytest.approx(20.5, abs=0.2)
    assert estimate.active == pytest.approx(32.1, abs=0.3)
    assert estimate.unpriced == ()


def test_an_idle_instance_bills_its_memory_and_a_working_one_its_cpu_too() -> None:
    """0.5 GB all month; with 0.25 vCPU at work the whole month on top."""
    [line] = cost.estimate([SERVICE, SCALING], IRELAND).line_items

    assert (line.address, line.idle, line.active) == ("apprunner_service.api", 2.56, 14.23)
    assert "up to 2 under load" in line.assumptions


def test_every_provisioned_instance_counts() -> None:
    """Two that are always there cost twice as much."""
    [line] = cost.estimate([SERVICE, made("apprunner_autoscaling.api", min_size=2, max_size=2)], IRELAND).line_items

    assert line.idle == 5.11


def test_a_live_service_in_awss_units_costs_the_same() -> None:
    """Desired says 0.25 vCPU, a snapshot says 256."""
    live = replace(SERVICE, spec={"cpu": 256, "memory": 512})

    assert cost.estimate([live, SCALING], IRELAND).line_items == cost.estimate([SERVICE, SCALING], IRELAND).line_items


def test_a_second_zone_doubles_a_database() -> None:
    """Instance and storage stand twice."""
    both = replace(DATABASE, spec={**DATABASE.spec, "multi_az": True})

    assert cost.estimate([both], IRELAND).idle == pytest.approx(2 * cost.estimate([DATABASE], IRELAND).idle)


@pytest.mark.parametrize(
    ("changed", "why", "rest"),
    [
        ({"instance_class": "db.r9.huge"}, "instance class db.r9.huge", 2.54),  # 20 GB of gp2
        ({"storage_type": "standard"}, "storage type standard", 14.6),  # 730 hours of a db.t3.micro
        (
            {"instance_class": "db.t3.metal", "version": "11", "lifecycle_support": "open-source-rds-extended-support"},
            "instance class db.t3.metal in eu-west-1, no price for RDS Extended Support of db.t3.metal",
            2.54,
        ),
        (
            {"instance_class": "db.r9.huge", "storage_type": "standard"},
            "instance class db.r9.huge in eu-west-1, no price for storage type standard",
            None,
        ),
    ],
)
def test_a_part_without_a_price_is_named_and_the_others_count(
    changed: dict[str, str], why: str, rest: float | None
) -> None:
    """It is not guessed.  A database whose version is out of support must not look as if it cost nothing."""
    database = replace(DATABASE, spec={**DATABASE.spec, **changed})
    estimate = cost.estimate([database], IRELAND, on=date(2026, 11, 30))

    assert [item.idle for item in estimate.line_items] == ([] if rest is None else [pytest.approx(rest)])
    assert estimate.unpriced == (("rds_instance.main", f"no price for {why} in {IRELAND}"),)
    assert all(item.assumptions.endswith("; excludes parts without a price") for item in estimate.line_items)


def test_a_region_without_prices_is_not_estimated() -> None:
    """What would cost nothing there is not named either."""
    estimate = cost.estimate(STACK, "sa-east-1")

    assert estimate.line_items == ()
    why = "no prices for sa-east-1: run `orchestrator prices refresh --region sa-east-1`"
    assert {reason for _, reason in estimate.unpriced} == {why}
    assert cost.format_headline(estimate) == (
        f"Cost not estimated: apprunner_service.api ({why}), rds_instance.main ({why}), secretsmanager_secret.app "
        f"({why}) and 3 more."
    )


def test_a_total_without_everything_is_a_lower_limit_that_names_what_is_missing() -> None:
    """A class without a price made the total look as if it had fallen."""
    unlisted = replace(DATABASE, spec={**DATABASE.spec, "instance_class": "db.x2iedn.large"})
    before, after = cost.estimate([DATABASE, SERVICE, SCALING], IRELAND), cost.estimate([unlisted, SERVICE], IRELAND)

    headline = cost.format_headline(after, cost.compare(before, after))

    assert headline.startswith("At least 5.10 USD a month idle, ")
    reason = "no price for instance class db.x2iedn.large in eu-west-1"
    assert headline.endswith(f"; not estimated: rds_instance.main ({reason}).")
    command = "orchestrator prices refresh --region eu-west-1"
    assert [text for text in cost.list_warnings(after) if text.endswith(command)] != []
    assert [text for text in cost.list_warnings(before) if text.endswith(command)] == []


@pytest.mark.parametrize(("count", "charged"), [(10, 0.0), (13, 0.3)])
def test_ten_alarms_are_free(count: int, charged: float) -> None:
    """Those beyond cost ten cents each, in one line."""
    alarms = [made(f"cloudwatch_alarm.a{number}") for number in range(count)]

    assert cost.estimate(alarms, IRELAND).idle == charged


def test_a_change_is_told_as_a_difference() -> None:
    """What is added, what goes, what grows; unchanged lines are left out."""
    before = cost.estimate([SERVICE, SCALING, made("secretsmanager_secret.old")], IRELAND)
    after = cost.estimate([SERVICE, SCALING, DATABASE], IRELAND)
    change = cost.compare(before, after)

    assert change.changed_items == (("secretsmanager_secret.old", 0.4, 0.0), ("rds_instance.main", 0.0, 17.14))
    assert (change.idle, change.active) == (16.74, 16.74)
    assert "(+16.74)" in cost.format_headline(after, change)


def test_what_has_no_price_is_in_no_difference() -> None:
    """A database whose new size is not on the list does not look as if it became free."""
    unlisted = replace(DATABASE, spec={**DATABASE.spec, "instance_class": "db.x2iedn.large"})
    before, after = cost.estimate([DATABASE, SERVICE, SCALING], IRELAND), cost.estimate([unlisted], IRELAND)

    assert [address for address, _, _ in cost.compare(before, after).changed_items] == [SERVICE.address]


def test_an_alert_that_fires_every_month_is_said_beforehand() -> None:
    """Only of what is really spent, and only what the idle stack reaches by itself."""
    [note] = cost.list_warnings(cost.estimate(STACK, IRELAND))

    assert note.startswith(
        "The 20 USD budget alert will fire every month, the first on about day 30: the stack costs about 20.42 USD"
    )
    [note] = cost.list_warnings(cost.estimate([SERVICE, SCALING, BUDGET], IRELAND))
    assert note.startswith("The first budget alert (20 USD) is 17.44 USD above the idle cost")


def test_the_dearest_comes_first_and_both_sums_are_in_the_headline() -> None:
    """Idle and active, with the day and the region of the prices."""
    estimate = cost.estimate(STACK, IRELAND)

    assert cost.format_line_items(estimate)[0].startswith("rds_instance.main")
    assert cost.format_headline(estimate) == (
        f"About {estimate.idle:.2f} USD a month idle, {estimate.active:.2f} if active all day, "
        f"before VAT and traffic (eu-west-1, list prices of {estimate.as_of})."
    )


def test_nothing_costs_nothing() -> None:
    """No lines, no headline, no note."""
    estimate = cost.estimate([], IRELAND)

    assert (cost.format_headline(estimate), cost.format_line_items(estimate), list(cost.list_warnings(estimate))) == (
        "",
        [],
        [],
    )


EXPRESS = made(
    "ecs_express_service.api",
    cpu=256,
    memory=512,
    scaling={"min": 1, "max": 2},
    subnets=Ref("ec2_vpc.network", "public_subnets"),
)


def test_with_express_the_stack_is_about_fifty_four_dollars() -> None:
    """Fargate all day, a load balancer and three public addresses, whether anybody asks or not."""
    database = replace(DATABASE, spec={**DATABASE.spec, "instance_class": "db.t4g.micro"})
    estimate = cost.estimate([EXPRESS, database, *STACK[3:]], IRELAND)
    lines = {line.address: line.idle for line in estimate.line_items}

    assert (lines["ecs_express_service.api"], lines["load_balancer"]) == (12.66, 25.70)
    assert estimate.idle == estimate.active == pytest.approx(54.1, abs=0.5)


def test_budget_alerts_that_it_reaches_by_itself_are_noted() -> None:
    """The first of them, as with any stack."""
    [note] = cost.list_warnings(cost.estimate([EXPRESS, BUDGET], IRELAND))

    assert note.startswith("The 20 USD budget alert will fire every month")


@pytest.mark.parametrize(("count", "balancers"), [(1, 1), (25, 1), (26, 2)])
def test_services_share_a_load_balancer(count: int, balancers: int) -> None:
    """25 to one, in a network."""
    services = [replace(EXPRESS, name=f"api{number}") for number in range(count)]
    [line] = [one for one in cost.estimate(services, IRELAND).line_items if one.address == "load_balancer"]

    assert line.idle == pytest.approx(balancers * 25.70, abs=0.01)


def test_what_is_not_public_has_no_addresses_to_pay_for() -> None:
    """Neither its tasks nor its load balancer; the way out is somebody else's bill."""
    private = replace(EXPRESS, spec={**EXPRESS.spec, "subnets": Ref("ec2_vpc.network", "private_subnets")})
    lines = {line.address: line.idle for line in cost.estimate([private], IRELAND).line_items}

    assert lines == {"ecs_express_service.api": 9.01, "load_balancer.internal": 18.40}
