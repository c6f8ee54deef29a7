"""A ContainerService against an emulated App Runner: failures, rollbacks, pauses, and what they leave behind."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.emulator import Emulator, Faults
from orchestrator.planning.events import ignore_event
from orchestrator.vocabulary import Action, Actuation, DesiredState, Health, Resource
from tests import performed_calls
from tests.components.container_services import IMAGE, POSITION, SCOPE, expand_resources, make_service
from tests.components.deployment import (
    DATABASE_GROUP,
    NETWORK,
    apply,
    clients,
    find_change,
    list_failed,
    list_pending,
    plan,
)

OTHER = IMAGE.replace("a" * 64, "b" * 64)
API = "apprunner_service.api"

pytestmark = pytest.mark.xdist_group("apprunner")


def wanted(image: str = IMAGE, **spec: Any) -> DesiredState:
    made = expand_resources(
        make_service(image={"prebuilt": image, "repository": "shop"}, access=["database.main"], **spec)
    )
    return DesiredState(SCOPE, (NETWORK, DATABASE_GROUP, *made.values()))


def call(operation: str, **parameters: Any) -> Any:
    return clients().call("apprunner", operation, parameters)


def only_service() -> Any:
    [summary] = call("list_services")["ServiceSummaryList"]
    return call("describe_service", ServiceArn=summary["ServiceArn"])["Service"]


def revisions() -> list[int]:
    listed = call("list_auto_scaling_configurations", AutoScalingConfigurationName="shop-prod-api", LatestOnly=False)
    return [one["AutoScalingConfigurationRevision"] for one in listed["AutoScalingConfigurationSummaryList"]]


def connectors() -> list[str]:
    return [one["VpcConnectorName"] for one in call("list_vpc_connectors")["VpcConnectors"]]


def test_it_is_made_and_then_left_alone(aws: Emulator) -> None:
    """Two runs: the second has nothing to do."""
    assert list_failed(apply(wanted())) == []
    assert list_pending(wanted()) == []


def test_other_sizes_leave_no_old_revision(aws: Emulator) -> None:
    """The service moves to the new revision and deletes the one it leaves."""
    apply(wanted())
    apply(wanted(instances={"max": 5}))

    assert (revisions(), list_pending(wanted(instances={"max": 5}))) == ([2], [])


def test_a_new_role_is_waited_for(aws: Emulator) -> None:
    """IAM takes its time until App Runner may assume what was just made."""
    aws.faults = Faults(role_assumable_after_seconds=0.3)

    assert list_failed(apply(wanted())) == []


def test_an_account_that_aws_refuses_is_told_of_the_other_runtime(aws: Emulator) -> None:
    """AWS closed App Runner to new customers: the error names the word that works everywhere."""
    aws.faults = Faults(account_limits=("app-runner-closed",))
    outcomes = apply(wanted())

    refused = list_failed(outcomes)
    assert refused
    assert [address for address in refused if "`runtime: ecs-express`" not in outcomes[address].reason] == []


def test_a_rolled_back_deployment_is_a_failure(aws: Emulator) -> None:
    """App Runner says RUNNING, but the old image answers: that is told, and is a difference on the next run."""
    apply(wanted())
    aws.faults = Faults(failing_images=(OTHER,))
    outcomes = apply(wanted(OTHER))

    assert list_failed(outcomes) == [API]
    assert "rolled back to the previous version" in outcomes[API].reason
    assert list_pending(wanted(OTHER)) == [f"update {API}"]


def test_a_failed_change_that_is_taken_back_leaves_nothing(aws: Emulator) -> None:
    """The revision that the rolled-back deployment should have used goes with the next run."""
    apply(wanted())
    aws.faults = Faults(failing_images=(OTHER,))
    apply(wanted(OTHER, instances={"max": 5}))
    apply(wanted())

    assert (revisions(), list_pending(wanted())) == ([3], [])


def test_a_service_that_never_ran_is_made_anew(aws: Emulator) -> None:
    """A failed creation is told; the next run deletes it and creates it, and asks for no token."""
    aws.faults = Faults(failing_images=(IMAGE,))
    assert list_failed(apply(wanted())) == [API]
    aws.faults = Faults()
    change = find_change(plan(wanted()), API)

    assert (change.action, change.health, change.status) == (Action.UPDATE, Health.FAILED, "CREATE_FAILED")
    assert change.effects == ("The service never ran: it is deleted and recreated with a new URL.",)
    assert list_failed(apply(wanted())) == []
    assert list_pending(wanted()) == []


def test_a_paused_service_says_so_and_is_left_alone(aws: Emulator) -> None:
    """A pause is no drift."""
    apply(wanted())
    call("pause_service", ServiceArn=only_service()["ServiceArn"])
    change = find_change(plan(wanted()), API)

    assert (change.action, change.health) == (Action.NONE, Health.FAILED)


def test_a_paused_service_that_must_change_is_resumed(aws: Emulator) -> None:
    """App Runner deploys to no paused service."""
    apply(wanted())
    call("pause_service", ServiceArn=only_service()["ServiceArn"])

    assert list_failed(apply(wanted(OTHER))) == []
    assert only_service()["Status"] == "RUNNING"


def test_an_operation_under_way_is_waited_for(aws: Emulator) -> None:
    """A crash or AWS's own maintenance left the service busy: the update comes after it."""
    apply(wanted())
    aws.faults = Faults(settle_seconds={"apprunner": 5})
    call("start_deployment", ServiceArn=only_service()["ServiceArn"])
    aws.faults = Faults()
    planned = plan(wanted(OTHER))
    health = find_change(planned, API).health
    outcomes = performed_calls.apply(planned, ignore_event, clients=clients())

    assert (health, {outcome.actuation for outcome in outcomes}) == (
        Health.PROGRESSING,
        {Actuation.SUCCEEDED, Actuation.UNCHANGED},
    )


def test_a_variable_set_by_hand_is_taken_out_again(aws: Emulator) -> None:
    """What the manifest does not name is not in the environment."""
    apply(wanted(environment={"MODE": "fast"}))
    found = only_service()
    source = found["SourceConfiguration"]
    source["ImageRepository"]["ImageConfiguration"]["RuntimeEnvironmentVariables"]["DEBUG"] = "1"
    call("update_service", ServiceArn=found["ServiceArn"], SourceConfiguration=source)
    apply(wanted(environment={"MODE": "fast"}))

    image = only_service()["SourceConfiguration"]["ImageRepository"]["ImageConfiguration"]
    assert image["RuntimeEnvironmentVariables"] == {"MODE": "fast"}


def test_another_network_is_another_connector(aws: Emulator) -> None:
    """Under the next number; the one that the service leaves is deleted."""
    apply(wanted())
    [mine] = call("list_vpc_connectors")["VpcConnectors"]
    moved = [*wanted().resources]
    place = next(index for index, one in enumerate(moved) if one.type == "apprunner_connector")
    other = {**moved[place].spec, "subnets": mine["Subnets"][:1]}
    moved[place] = Resource(
        "apprunner_connector", "api", moved[place].physical, other, "containerservice.api", POSITION
    )
    desired = DesiredState(SCOPE, tuple(moved))

    assert list_failed(apply(desired)) == []
    assert (connectors(), list_pending(desired)) == (["shop-prod-api_2"], [])


@pytest.mark.parametrize("write", range(1, 7))
def test_killed_at_any_write_the_next_run_leaves_no_revision_behind(aws: Emulator, write: int) -> None:
    """A change of sizes and image is cut short; two more runs later there is one revision and nothing to do."""
    apply(wanted())
    desired = wanted(OTHER, instances={"max": 5})
    aws.crash_at(write, "after")
    apply(desired)
    aws.revive()
    apply(desired)
    apply(desired)

    assert (len(revisions()), list_pending(desired)) == (1, [])


def test_all_of_it_goes(aws: Emulator) -> None:
    """Destroyed, nothing of App Runner's is left; the repository is kept by its own veto until the manifest says so."""
    image = {"prebuilt": IMAGE, "repository": "shop", "deletionPolicy": "delete"}
    made = expand_resources(make_service(image=image, access=["database.main"], tracing=True))
    apply(DesiredState(SCOPE, (NETWORK, DATABASE_GROUP, *made.values())))
    gone = DesiredState(SCOPE, ())
    token = plan(gone, destroying=True).plan.token

    assert list_failed(apply(gone, destroying=True, allow=token)) == []
    assert (call("list_services")["ServiceSummaryList"], revisions(), connectors()) == ([], [], [])
    assert call("list_observability_configurations")["ObservabilityConfigurationSummaryList"] == []
