"""A ContainerService against an emulated ECS Express Mode: deployments, failures, crashes, and another runtime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.aws import Clients
from orchestrator.emulator import Emulator, Faults
from orchestrator.emulator.faults import Rule
from orchestrator.planning.events import ignore_event
from orchestrator.resources import ecs_express_service
from orchestrator.runs import plan_output
from orchestrator.vocabulary import Action, Actuation, DesiredState, Health
from tests import performed_calls
from tests.components import manifest_stacks
from tests.components.container_services import IMAGE, SCOPE, expand_resources, make_service
from tests.components.deployment import NETWORK, apply, clients, find_change, list_failed, list_pending, plan

OTHER = IMAGE.replace("a" * 64, "b" * 64)
API, BEFORE = "ecs_express_service.api", "apprunner_service.api"
ARN = "arn:aws:ecs:eu-west-1:123456789012:service/default/shop-prod-api"

pytestmark = pytest.mark.xdist_group("express")


def wanted(image: str = IMAGE, runtime: str = "ecs-express", **spec: Any) -> DesiredState:
    spec = {"health": {"path": "/health"}, "alarms": {"http5xx": 5}, **spec}
    made = expand_resources(make_service(image={"prebuilt": image, "repository": "shop"}, runtime=runtime, **spec))
    return DesiredState(SCOPE, (NETWORK, *made.values()))


def call(operation: str, **parameters: Any) -> Any:
    return clients().call("ecs", operation, parameters)


def deployments() -> list[str]:
    """The statuses of all that were ever begun, the newest first."""
    return [one["status"] for one in call("list_service_deployments", service=ARN)["serviceDeployments"]]


def test_it_is_made_and_then_left_alone(aws: Emulator) -> None:
    """Two runs: the second has nothing to do, so there is one deployment."""
    assert list_failed(apply(wanted())) == []
    assert list_pending(wanted()) == []
    apply(wanted())

    assert deployments() == ["SUCCESSFUL"]
    [alarm] = clients().call("cloudwatch", "describe_alarms", {})["MetricAlarms"]
    assert [one["Value"].partition("/")[0] for one in alarm["Dimensions"]] == ["app"]


def test_a_creation_whose_answer_was_lost_is_gone_on_with(aws: Emulator) -> None:
    """It is sent again, and ECS says that the service is there: that is no failure of a deploy."""
    lost = Rule("reset_after", service="ecs", operation="CreateExpressGatewayService", limit=1)
    aws.faults = Faults(rules=(lost,))
    outcomes = performed_calls.apply(plan(wanted()), ignore_event, clients=Clients(SCOPE.region, attempts=2))

    assert [one.address for one in outcomes if one.actuation is Actuation.FAILED] == []
    assert deployments() == ["SUCCESSFUL"]


def test_a_change_is_one_more_deployment(aws: Emulator) -> None:
    """The plan says what a canary means to users, and that they are not cut off."""
    apply(wanted())
    change = find_change(plan(wanted(OTHER)), API)

    assert (change.action, "No downtime." in change.effects[0]) == (Action.UPDATE, True)
    assert list_failed(apply(wanted(OTHER))) == []
    assert (deployments(), list_pending(wanted(OTHER))) == (["SUCCESSFUL"] * 2, [])


def test_new_roles_are_waited_for(aws: Emulator) -> None:
    """IAM takes its time until ECS may assume what was just made."""
    aws.faults = Faults(role_assumable_after_seconds=0.3)

    assert list_failed(apply(wanted())) == []


def test_a_rolled_back_deployment_is_a_failure(aws: Emulator) -> None:
    """ECS says ACTIVE, but the old image answers: that is told with ECS's reason, and differs on the next run."""
    apply(wanted())
    aws.faults = Faults(failing_images=(OTHER,))
    outcomes = apply(wanted(OTHER))

    assert list_failed(outcomes) == [API]
    assert "ROLLBACK_SUCCESSFUL (Service deployment rolled back" in outcomes[API].reason
    assert "the log group /ecs/shop-prod-api" in outcomes[API].reason
    assert list_pending(wanted(OTHER)) == [f"update {API}"]
    assert list_pending(wanted()) == []


def test_a_service_that_never_answered_is_deployed_again(aws: Emulator) -> None:
    """A failed first deployment is told, stays a difference, and is mended in the same service without a token."""
    aws.faults = Faults(failing_images=(IMAGE,))
    assert list_failed(apply(wanted())) == [API]
    aws.faults = Faults()
    change = find_change(plan(wanted()), API)

    assert (change.action, change.health, change.status) == (Action.UPDATE, Health.FAILED, "ROLLBACK_FAILED")
    assert list_failed(apply(wanted())) == []
    assert (deployments(), list_pending(wanted())) == (["SUCCESSFUL", "ROLLBACK_FAILED"], [])


def start_endless_deployment(aws: Emulator, image: str) -> None:
    """Begin to deploy another image, by a run that is then killed; ECS does not end this deployment by itself."""
    settings = call("describe_express_gateway_service", serviceArn=ARN)["service"]["activeConfigurations"][0]
    aws.faults = Faults(account_limits=("no-load-balancers",))
    container = {**settings["primaryContainer"], "image": image}
    call("update_express_gateway_service", serviceArn=ARN, primaryContainer=container)
    aws.faults = Faults()


def test_the_version_before_a_deployment_in_progress_comes_back_by_stopping_it(aws: Emulator) -> None:
    """Nothing is waited for and no canary is begun: ECS's StopServiceDeployment with ROLLBACK (ECS API reference)."""
    apply(wanted())
    start_endless_deployment(aws, OTHER)
    change = find_change(plan(wanted()), API)
    aws.clear_calls()

    assert list_failed(apply(wanted())) == []

    writes = [one.operation for one in aws.calls if one.service == "ecs" and one.access == "write"]
    assert change.effects == (ecs_express_service.DEPLOYMENT_STOP_EFFECT,)
    assert writes == ["StopServiceDeployment"]
    assert deployments() == ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]
    assert list_pending(wanted()) == []


@pytest.mark.parametrize("changed", [{"image": OTHER.replace("b" * 64, "c" * 64)}, {"memory": 1}])
def test_any_other_version_waits_for_the_deployment_in_progress(aws: Emulator, changed: dict[str, Any]) -> None:
    """What is not exactly the version before it needs a deployment of its own."""
    apply(wanted())
    start_endless_deployment(aws, OTHER)

    change = find_change(plan(wanted(**changed)), API)

    assert ecs_express_service.CANARY_DEPLOYMENT_EFFECT in change.effects
    assert [step.action for step in change.steps if "StopServiceDeployment" in step.action] == []


def newest_deployment() -> str:
    return str(call("list_service_deployments", service=ARN)["serviceDeployments"][0]["serviceDeploymentArn"])


def test_a_deployment_that_somebody_else_stopped_is_no_failure(aws: Emulator) -> None:
    """ECS answers ConflictException, and has returned to the wanted version."""
    apply(wanted())
    start_endless_deployment(aws, OTHER)
    prepared = plan(wanted())
    call("stop_service_deployment", serviceDeploymentArn=newest_deployment())

    outcomes = performed_calls.apply(prepared, ignore_event, clients=clients())

    assert [one.actuation for one in outcomes if one.address == API] == [Actuation.SUCCEEDED]
    assert list_pending(wanted()) == []


def test_a_deployment_that_succeeds_before_it_is_stopped_is_replaced_by_the_next_run(aws: Emulator) -> None:
    """Between the plan and the stop it may end: that is said, and the next run deploys the wanted version."""
    apply(wanted())
    aws.faults = Faults(settle_seconds={"ecs": 600})
    container = call("describe_express_gateway_service", serviceArn=ARN)["service"]["activeConfigurations"][0]
    changed = {**container["primaryContainer"], "image": OTHER}
    call("update_express_gateway_service", serviceArn=ARN, primaryContainer=changed)
    prepared = plan(wanted())
    aws.faults = Faults()

    outcomes = {one.address: one for one in performed_calls.apply(prepared, ignore_event, clients=clients())}

    assert list_failed(outcomes) == [API]
    assert "Run the command again: if the deployment ended before it could be stopped" in outcomes[API].reason
    assert list_failed(apply(wanted())) == []
    assert list_pending(wanted()) == []


def put_yesterday(requests: int, errors: int) -> None:
    """What the load balancer counted, as CloudWatch keeps it."""
    [configuration] = call("describe_express_gateway_service", serviceArn=ARN)["service"]["activeConfigurations"]
    revision = call("describe_service_revisions", serviceRevisionArns=[configuration["serviceRevisionArn"]])
    [path] = revision["serviceRevisions"][0]["ecsManagedResources"]["ingressPaths"]
    dimensions = [
        {"Name": "LoadBalancer", "Value": path["loadBalancer"]["arn"].partition(":loadbalancer/")[2]},
        {"Name": "TargetGroup", "Value": path["targetGroups"][0]["arn"].rpartition(":")[2]},
    ]
    counts = {"RequestCount": requests, "HTTPCode_Target_4XX_Count": errors - 1, "HTTPCode_Target_5XX_Count": 1}
    noon = (datetime.now(UTC) - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
    data = [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": noon, "Value": value}
        for name, value in counts.items()
    ]
    clients().call("cloudwatch", "put_metric_data", {"Namespace": "AWS/ApplicationELB", "MetricData": data})


@pytest.mark.parametrize(("errors", "said"), [(30, "3.0 % of 1000 responses"), (10, "1.0 % of 1000 responses")])
def test_a_plan_says_what_share_of_yesterdays_responses_were_errors(aws: Emulator, errors: int, said: str) -> None:
    """Above one percent, ECS rolls a deployment back, whatever the new version does; the digest stays the same."""
    apply(wanted())
    before = plan(wanted(OTHER)).plan
    put_yesterday(1000, errors)

    planned = plan(wanted(OTHER)).plan

    [note] = [note for note in planned.notes if "4xx or 5xx" in note]
    assert said in note
    assert ("even if the new version works" in note) == (errors > 10)
    assert planned.digest == before.digest
    assert [note for note in (*before.notes, *plan(wanted()).plan.notes) if "4xx" in note] == []


def test_a_role_that_may_not_read_metrics_can_plan(aws: Emulator) -> None:
    """Roles that were made before this version."""
    apply(wanted())
    aws.faults = Faults(denied=("cloudwatch:GetMetricData",))

    assert plan(wanted(OTHER)).plan.unread == ()


def test_a_deployment_under_way_is_waited_for_and_not_doubled(aws: Emulator) -> None:
    """The run that began it was killed: the next one waits for it, and begins none of its own."""
    apply(wanted())
    aws.faults = Faults(settle_seconds={"ecs": 1})
    settings = call("describe_express_gateway_service", serviceArn=ARN)["service"]["activeConfigurations"][0]
    container = {**settings["primaryContainer"], "image": OTHER}
    call("update_express_gateway_service", serviceArn=ARN, primaryContainer=container)
    planned = plan(wanted(OTHER))
    change = find_change(planned, API)

    assert (change.health, change.effects) == (Health.PROGRESSING, ("The run waits for the deployment in progress.",))
    performed_calls.apply(planned, ignore_event, clients=clients())
    assert (deployments(), list_pending(wanted(OTHER))) == (["SUCCESSFUL"] * 2, [])


def test_a_variable_set_by_hand_is_taken_out_again(aws: Emulator) -> None:
    """What the manifest does not name is not in the environment."""
    apply(wanted(environment={"MODE": "fast"}))
    settings = call("describe_express_gateway_service", serviceArn=ARN)["service"]["activeConfigurations"][0]
    variables = [{"name": "DEBUG", "value": "1"}, *settings["primaryContainer"]["environment"]]
    container = {**settings["primaryContainer"], "environment": variables}
    call("update_express_gateway_service", serviceArn=ARN, primaryContainer=container)
    apply(wanted(environment={"MODE": "fast"}))
    [settings] = call("describe_express_gateway_service", serviceArn=ARN)["service"]["activeConfigurations"]

    assert settings["primaryContainer"]["environment"] == [{"name": "MODE", "value": "fast"}]


@pytest.mark.parametrize("write", range(1, 5))
def test_killed_at_any_write_the_next_run_ends_it(aws: Emulator, write: int) -> None:
    """A change is cut short after each of its calls; whatever was begun is ended, and nothing twice."""
    apply(wanted())
    desired = wanted(OTHER, logs={"retentionDays": 7}, instances={"max": 5})
    aws.crash_at(write, "after")
    apply(desired)
    aws.revive()
    apply(desired)

    assert (deployments(), list_pending(desired)) == (["SUCCESSFUL"] * 2, [])


@pytest.mark.parametrize(
    ("old", "new", "dearer"), [("app-runner", "ecs-express", "(+35.80)"), ("ecs-express", "app-runner", "(-35.80)")]
)
def test_another_runtime_is_there_before_the_old_one_goes(aws: Emulator, old: str, new: str, dearer: str) -> None:
    """One word changes: the new service is made, the old one goes when it answers, and the plan says what users see."""
    apply(wanted(runtime=old))
    first = plan(wanted(runtime=new))
    goes = next(change for change in first.plan.pending_changes if change.address.endswith("_service.shop-prod-api"))
    comes = API if new == "ecs-express" else BEFORE

    assert comes in goes.depends_on
    assert goes.effects[0].startswith("https://")
    assert goes.effects[0].endswith("stops responding.")
    cost = plan_output.cost_view(first)
    assert cost is not None
    assert dearer in cost.headline
    outcomes = apply(wanted(runtime=new), allow=first.plan.token)
    assert list_failed(outcomes) == []
    assert list_pending(wanted(runtime=new)) == []


def test_a_cdn_is_led_to_the_new_service_before_the_old_one_goes(aws: Emulator, tmp_path: Path) -> None:
    """Its users notice nothing: the origin moves in between."""
    cdn = manifest_stacks.make_document("Cdn", "web", "origin: containerservice.api\ndeepLinks: false")

    def in_front_of(runtime: str) -> DesiredState:
        spec = f"runtime: {runtime}\nhealth: {{path: /}}\nimage: {{prebuilt: public.ecr.aws/nginx/nginx:1.27}}"
        return manifest_stacks.load_desired(
            tmp_path, manifest_stacks.make_document("ContainerService", "api", spec), cdn
        )

    apply(in_front_of("app-runner"))
    planned = plan(in_front_of("ecs-express"))
    goes = find_change(planned, "apprunner_service.shop-prod-api")
    moves = find_change(planned, "cloudfront_distribution.web")

    assert "cloudfront_distribution.web" in goes.depends_on
    assert API in moves.depends_on
    assert list_failed(apply(in_front_of("ecs-express"), allow=planned.plan.token)) == []
    assert list_pending(in_front_of("ecs-express")) == []


def test_the_old_service_stays_where_the_new_one_fails(aws: Emulator) -> None:
    """Nobody is left without an address that answers."""
    apply(wanted(runtime="app-runner"))
    aws.faults = Faults(failing_images=(OTHER,))
    outcomes = apply(wanted(OTHER), allow=plan(wanted(OTHER)).plan.token)

    assert list_failed(outcomes) == [API]
    assert outcomes["apprunner_service.shop-prod-api"].actuation is Actuation.SKIPPED


def test_all_of_it_goes(aws: Emulator) -> None:
    """Destroyed, nothing of it is left."""
    image = {"prebuilt": IMAGE, "repository": "shop", "deletionPolicy": "delete"}
    made = expand_resources(make_service(image=image, runtime="ecs-express", health={"path": "/health"}))
    apply(DesiredState(SCOPE, (NETWORK, *made.values())))
    gone = DesiredState(SCOPE, ())
    token = plan(gone, destroying=True).plan.token

    assert list_failed(apply(gone, destroying=True, allow=token)) == []
    assert call("list_services")["serviceArns"] == []
    groups = clients().call("ec2", "describe_security_groups", {})["SecurityGroups"]
    assert [group["GroupName"] for group in groups] == ["default"]
