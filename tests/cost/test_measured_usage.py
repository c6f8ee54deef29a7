"""What CloudWatch measured, as usage: names from AWS's user guides, requests checked by botocore's model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from orchestrator import cost
from orchestrator.cost import measured_usage
from orchestrator.cost.declared_usage import Amounts
from orchestrator.problems import Position
from orchestrator.vocabulary import LiveResource, Resource

MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
GIB = 1024**3


def make(kind: str, name: str, component: str, **spec: Any) -> Resource:
    return Resource(kind, name, f"shop-{name}", spec, component, Position("x.yaml"))


STACK = (
    make("s3_bucket", "files", "bucket.files"),
    make("cloudfront_distribution", "web", "cdn.web"),
    make("apprunner_service", "api", "containerservice.api", cpu=256, memory=512),
    make("apprunner_autoscaling", "api", "containerservice.api", min_size=1, max_size=2),
    make("s3_bucket", "planned", "bucket.planned"),
)
LIVE = {
    "s3_bucket.files": LiveResource({}, {"name": "shop-files"}),
    "cloudfront_distribution.web": LiveResource({}, {"id": "E2EXAMPLE"}),
    "apprunner_service.api": LiveResource({}, {"id": "0123"}),
}
QUERIES = list(measured_usage.list_queries(STACK, LIVE))


def collect(metric: str, days: dict[int, float]) -> dict[str, Amounts]:
    """What is made of values by days ago."""
    numbers = [number for number, query in enumerate(QUERIES) if query.metric == metric]
    values = [(MIDNIGHT - timedelta(days=ago), value) for ago, value in days.items()]
    result = {
        "Id": f"q{numbers[0]}",
        "Timestamps": [at for at, _ in values],
        "Values": [value for _, value in values],
        "StatusCode": "Complete",
    }
    usage = measured_usage.collect(QUERIES, [result], MIDNIGHT)
    return dict(usage.get(QUERIES[numbers[0]].component, {}))


def test_what_exists_is_asked_with_the_names_that_aws_documents() -> None:
    assert [(query.namespace, query.metric, query.statistic, dict(query.dimensions)) for query in QUERIES] == [
        ("AWS/S3", "BucketSizeBytes", "Average", {"BucketName": "shop-files", "StorageType": "StandardStorage"}),
        ("AWS/CloudFront", "BytesDownloaded", "Sum", {"DistributionId": "E2EXAMPLE", "Region": "Global"}),
        ("AWS/CloudFront", "Requests", "Sum", {"DistributionId": "E2EXAMPLE", "Region": "Global"}),
        ("AWS/AppRunner", "ActiveInstances", "Sum", {"ServiceName": "shop-api", "ServiceID": "0123"}),
        ("AWS/Logs", "IncomingBytes", "Sum", {"LogGroupName": "/aws/apprunner/shop-api/0123/application"}),
        ("AWS/Logs", "IncomingBytes", "Sum", {"LogGroupName": "/aws/apprunner/shop-api/0123/service"}),
    ]
    assert {query.region for query in QUERIES if query.namespace == "AWS/CloudFront"} == {"us-east-1"}


def test_the_request_is_one_that_cloudwatch_accepts() -> None:
    """Whole days: a period of a day is aligned to midnight in UTC."""
    request = measured_usage.build_request(QUERIES, MIDNIGHT)
    model = botocore.session.get_session().get_service_model("cloudwatch").operation_model("GetMetricData")
    assert model.input_shape is not None

    ParamValidator().validate(request, model.input_shape)
    assert (request["StartTime"], request["EndTime"]) == ("2026-11-01T00:00:00+00:00", "2026-12-01T00:00:00+00:00")
    assert all(query["MetricStat"]["Period"] == 86_400 for query in request["MetricDataQueries"])


@pytest.mark.parametrize(
    ("metric", "days", "measure", "amounts"),
    [
        ("BucketSizeBytes", {1: 3 * GIB, 2: 1 * GIB}, "storageGb", (1, 2, 3)),
        ("BucketSizeBytes", {2: 4 * GIB}, "storageGb", (4, 4, 4)),  # yesterday's size comes late
        ("IncomingBytes", {1: 0.1 * GIB, 2: 0.3 * GIB}, "logsGb", (3, 6, 9)),
        ("IncomingBytes", {4: 0.4 * GIB}, "logsGb", (0, 3, 12)),  # four days old, three without logs
        ("BytesDownloaded", {1: 1 * GIB}, "trafficGb", (30, 30, 30)),
        ("Requests", {1: 1_000_000, 2: 3_000_000}, "requestsMillion", (30, 60, 90)),
        ("ActiveInstances", {1: 8 * 60, 2: 4 * 60}, "activeHoursPerDay", (4, 6, 8)),
        ("ActiveInstances", {1: 36 * 60}, "activeHoursPerDay", (24, 24, 24)),  # one and a half instances all day
        ("ActiveInstances", {1: 36 * 60}, "instances", (1.5, 1.5, 1.5)),
        ("ActiveInstances", {1: 8 * 60}, "instances", (1, 1, 1)),
    ],
)
def test_days_become_a_quiet_a_usual_and_a_busy_month(
    metric: str, days: dict[int, float], measure: str, amounts: Amounts
) -> None:
    assert collect(metric, days)[measure] == pytest.approx(amounts)


@pytest.mark.parametrize("metric", sorted({query.metric for query in QUERIES}))
def test_what_has_no_data_is_not_taken_for_unused(metric: str) -> None:
    assert collect(metric, {}) == {}


def test_both_streams_of_a_service_are_its_logs() -> None:
    logs = [f"q{number}" for number, query in enumerate(QUERIES) if query.metric == "IncomingBytes"]
    day = [MIDNIGHT - timedelta(days=1)]
    results = [{"Id": name, "Timestamps": day, "Values": [float(GIB)]} for name in logs]

    usage = measured_usage.collect(QUERIES, results, MIDNIGHT)

    assert usage == {"containerservice.api": {"logsGb": (60.0, 60.0, 60.0)}}


def test_measured_use_takes_the_place_of_declared_use() -> None:
    """10 hours a day of 0.25 vCPU in eu-west-1: 2.56 for memory, 10/24 of 11.68 for vCPUs."""
    declared = {"containerservice.api": {"activeHoursPerDay": (1.0, 1.0, 1.0), "trafficGb": (7.0, 7.0, 7.0)}}
    measured = {"containerservice.api": {"activeHoursPerDay": (8.0, 10.0, 24.0)}}

    usage = measured_usage.merge(declared, measured)

    assert usage["containerservice.api"] == {"activeHoursPerDay": (8.0, 10.0, 24.0), "trafficGb": (7.0, 7.0, 7.0)}
    before, after = (cost.estimate(STACK, "eu-west-1", usage=each) for each in (declared, usage))
    assert after.expected - before.expected == pytest.approx(9 / 24 * 11.68, abs=0.01)
