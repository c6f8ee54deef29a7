"""ECS Express Mode as AWS has it: deployments in time, rollback, revisions, refusals, and a service among others."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orchestrator.emulator import Emulator, Faults
from tests.emulator.account import IMAGE, Account, Clients, error_code, wait_until

BROKEN = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api:broken"
SLOW = Faults(settle_seconds={"ecs": 60})
CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/default"


@pytest.fixture
def slow(emulator: Emulator) -> None:
    """Deployments that last longer than the test."""
    emulator.faults = SLOW


def deployments(aws: Clients, arn: str) -> list[dict[str, Any]]:
    """Newest first."""
    return list(aws("ecs").list_service_deployments(service=arn)["serviceDeployments"])


def statuses(aws: Clients, arn: str) -> list[str]:
    return [each["status"] for each in deployments(aws, arn)]


def image(service: dict[str, Any]) -> str:
    (found,) = service["activeConfigurations"]
    return str(found["primaryContainer"]["image"])


class TestService:
    def test_it_is_active_at_once_and_deployed_in_time(self, account: Account, aws: Clients) -> None:
        """The answer has an ARN by name and a deployment; when that is over, it is SUCCESSFUL and no longer current."""
        made = aws("ecs").create_express_gateway_service(**account.express_request())["service"]
        arn, name = made["serviceArn"], r"service-deployment/default/api-prod/[\w-]{21}"

        assert arn == "arn:aws:ecs:eu-west-1:123456789012:service/default/api-prod"
        assert (made["status"]["statusCode"], made["cluster"]) == ("ACTIVE", CLUSTER)
        assert re.fullmatch(f"arn:aws:ecs:eu-west-1:123456789012:{name}", made["currentDeployment"])
        assert "currentDeployment" not in account.wait_for_express_service(arn)
        assert statuses(aws, arn) == ["SUCCESSFUL"]

    def test_what_was_not_given_has_its_default(self, account: Account, aws: Clients) -> None:
        """AWS's defaults read back, as do its own security group and log group."""
        (found,) = account.wait_for_express_service(account.create_express_service())["activeConfigurations"]
        network, logs = found["networkConfiguration"], found["primaryContainer"].pop("awsLogsConfiguration")
        (group,) = aws("ec2").describe_security_groups(GroupIds=network["securityGroups"])["SecurityGroups"]

        assert (found["cpu"], found["memory"], found["cpuArchitecture"]) == ("256", "512", "X86_64")
        assert found["healthCheckPath"] == "/ping"
        assert found["scalingTarget"] == {
            "minTaskCount": 1,
            "maxTaskCount": 20,
            "autoScalingMetric": "AVERAGE_CPU",
            "autoScalingTargetValue": 60,
        }
        assert found["primaryContainer"] == {
            "image": IMAGE,
            "containerPort": 80,
            "command": [],
            "environment": [],
            "secrets": [],
        }
        assert sorted(network["subnets"]) == sorted(account.list_subnets())
        assert group["Tags"] == [{"Key": "AmazonECSManaged", "Value": "true"}]
        assert re.fullmatch(r"/aws/ecs/default/api-prod-[0-9a-f]{4}", logs["logGroup"])
        assert aws("logs").describe_log_groups(logGroupNamePrefix=logs["logGroup"])["logGroups"]

    def test_its_address_is_whole_once_it_is_deployed(self, account: Account, aws: Clients) -> None:
        """While a service is new, AWS leaves the scheme out."""
        made = aws("ecs").create_express_gateway_service(**account.express_request())["service"]
        (early,) = made["activeConfigurations"][0]["ingressPaths"]
        (late,) = account.wait_for_express_service(made["serviceArn"])["activeConfigurations"][0]["ingressPaths"]

        assert re.fullmatch(r"ap-[0-9a-f]{32}\.ecs\.eu-west-1\.on\.aws", early["endpoint"])
        assert late == {"accessType": "PUBLIC", "endpoint": f"https://{early['endpoint']}"}

    def test_services_of_a_vpc_share_a_load_balancer(self, account: Account, aws: Clients) -> None:
        """A real one, told of with the revision; it lets itself in to each service, and goes with the last."""
        ecs, arns = aws("ecs"), [account.create_express_service(name) for name in ("one", "two")]
        paths = []
        for arn in arns:
            revision = account.wait_for_express_service(arn)["activeConfigurations"][0]["serviceRevisionArn"]
            (told,) = ecs.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"]
            paths += told["ecsManagedResources"]["ingressPaths"]
        (balancer,) = aws("elbv2").describe_load_balancers()["LoadBalancers"]
        managed = [{"Name": "tag:AmazonECSManaged", "Values": ["true"]}]
        groups = aws("ec2").describe_security_groups(Filters=managed)["SecurityGroups"]

        assert [each["loadBalancer"]["arn"] for each in paths] == [balancer["LoadBalancerArn"]] * 2
        assert len(groups) == 3
        for arn in arns:
            assert aws("elbv2").describe_load_balancers()["LoadBalancers"]
            ecs.delete_express_gateway_service(serviceArn=arn)
            account.wait_for_express_service(arn, "INACTIVE")
        assert aws("elbv2").describe_load_balancers()["LoadBalancers"] == []
        assert aws("ec2").describe_security_groups(Filters=managed)["SecurityGroups"] == []

    def test_an_update_keeps_what_it_does_not_name(self, account: Account, aws: Clients) -> None:
        """Members are replaced whole, and a new revision is deployed whatever they are."""
        arn = account.create_express_service(cpu="512", memory="1024", healthCheckPath="/health")
        before = account.wait_for_express_service(arn)["activeConfigurations"][0]

        told = aws("ecs").update_express_gateway_service(serviceArn=arn, primaryContainer={"image": f"{IMAGE[:-1]}b"})
        after = account.wait_for_express_service(arn)["activeConfigurations"][0]

        assert told["service"]["targetConfiguration"]["serviceRevisionArn"] == after["serviceRevisionArn"]
        assert (after["cpu"], after["memory"], after["healthCheckPath"]) == ("512", "1024", "/health")
        assert after["networkConfiguration"] == before["networkConfiguration"]
        assert after["primaryContainer"]["image"] == f"{IMAGE[:-1]}b"
        assert statuses(aws, arn) == ["SUCCESSFUL", "SUCCESSFUL"]

    def test_a_deleted_one_is_told_of_and_its_name_is_free(self, account: Account, aws: Clients) -> None:
        """DRAINING, then INACTIVE and not listed; the security group that was ECS's own is gone, a new one may come."""
        ecs, wanted = aws("ecs"), account.express_request()
        arn = ecs.create_express_gateway_service(**wanted)["service"]["serviceArn"]
        group = account.wait_for_express_service(arn)["activeConfigurations"][0]["networkConfiguration"][
            "securityGroups"
        ][0]
        assert error_code(aws("ec2").delete_security_group, GroupId=group) == "DependencyViolation"

        assert ecs.delete_express_gateway_service(serviceArn=arn)["service"]["status"]["statusCode"] == "DRAINING"
        gone = account.wait_for_express_service(arn, "INACTIVE")
        assert gone["activeConfigurations"] == []
        assert ecs.list_services()["serviceArns"] == []
        assert ecs.describe_services(services=[arn])["services"][0]["status"] == "INACTIVE"
        assert error_code(aws("ec2").describe_security_groups, GroupIds=[group]) == "InvalidGroup.NotFound"
        for change in (ecs.update_express_gateway_service, ecs.delete_express_gateway_service):
            assert error_code(change, serviceArn=arn) == "ServiceNotActiveException"
        assert ecs.create_express_gateway_service(**wanted)["service"]["serviceArn"] == arn
        assert len(account.wait_for_express_service(arn)["activeConfigurations"]) == 1

    @pytest.mark.usefixtures("slow")
    def test_a_name_is_taken_until_its_service_is_gone(self, account: Account, aws: Clients) -> None:
        """In its cluster, by whatever is ACTIVE or DRAINING there."""
        ecs, wanted = aws("ecs"), account.express_request()
        arn = ecs.create_express_gateway_service(**wanted)["service"]["serviceArn"]

        with pytest.raises(ClientError, match=r"InvalidParameterException.*not idempotent"):
            ecs.create_express_gateway_service(**wanted)
        ecs.delete_express_gateway_service(serviceArn=arn)
        with pytest.raises(ClientError, match=r"InvalidParameterException.*still Draining"):
            ecs.create_express_gateway_service(**wanted)
        assert error_code(ecs.delete_express_gateway_service, serviceArn=arn) == "ServiceNotActiveException"


class TestRefusals:
    @pytest.mark.parametrize(
        ("changed", "code"),
        [
            ({"cpu": "256", "memory": "4096"}, "ClientException"),
            ({"serviceName": "no spaces"}, "InvalidParameterException"),
            ({"healthCheckPath": "health"}, "InvalidParameterException"),
            ({"cluster": "none"}, "ClusterNotFoundException"),
            ({"networkConfiguration": {"subnets": ["subnet-0123456789abcdef0"]}}, "InvalidParameterException"),
            ({"networkConfiguration": {"securityGroups": ["sg-0123456789abcdef0"]}}, "InvalidParameterException"),
            ({"scalingTarget": {"minTaskCount": 3, "maxTaskCount": 2}}, "InvalidParameterException"),
            ({"scalingTarget": {"autoScalingMetric": "LUCK"}}, "ValidationException"),
            ({"infrastructureRoleArn": "arn:aws:iam::123456789012:role/none"}, "AccessDeniedException"),
            ({"executionRoleArn": "arn:aws:iam::123456789012:role/none"}, "ClientException"),
            ({"primaryContainer": {"image": IMAGE, "environment": [{"name": "A", "value": "1"}] * 2}},
             "ClientException"),
        ],
        ids=["size", "name", "path", "cluster", "subnet", "group", "tasks", "metric", "builder", "reader", "twice"],
    )  # fmt: skip
    def test_it_refuses(self, account: Account, aws: Clients, changed: dict[str, Any], code: str) -> None:
        """What AWS does not take; and nothing is left of it."""
        assert error_code(aws("ecs").create_express_gateway_service, **account.express_request(**changed)) == code
        groups = aws("ec2").describe_security_groups()["SecurityGroups"]
        assert [each["GroupName"] for each in groups] == ["default"]

    def test_a_role_must_trust_ecs(self, emulator: Emulator, account: Account, aws: Clients) -> None:
        """The infrastructure role ECS, the others its tasks; a new one takes time."""
        create, wanted = aws("ecs").create_express_gateway_service, account.express_request()
        swapped = {"infrastructureRoleArn": wanted["executionRoleArn"], "taskRoleArn": wanted["infrastructureRoleArn"]}

        for name, code in (("infrastructureRoleArn", "AccessDeniedException"), ("taskRoleArn", "ClientException")):
            assert error_code(create, **{**wanted, name: swapped[name]}) == code
        emulator.faults = Faults(role_assumable_after_seconds=60)
        new = account.create_role("new", "ecs.amazonaws.com")
        assert error_code(create, **{**wanted, "infrastructureRoleArn": new}) == "AccessDeniedException"

    def test_what_is_not_there(self, aws: Clients) -> None:
        """Each operation has its own word for it."""
        ecs, arn = aws("ecs"), "arn:aws:ecs:eu-west-1:123456789012:service/default/none"
        assert error_code(ecs.describe_express_gateway_service, serviceArn=arn) == "ResourceNotFoundException"
        assert error_code(ecs.update_express_gateway_service, serviceArn=arn) == "ServiceNotFoundException"
        assert error_code(ecs.delete_express_gateway_service, serviceArn=arn) == "ServiceNotFoundException"
        stop = {"serviceDeploymentArn": arn.replace(":service/", ":service-deployment/") + "/x"}
        assert error_code(ecs.stop_service_deployment, **stop) == "ServiceDeploymentNotFoundException"
        assert error_code(ecs.list_services) == "ClusterNotFoundException"


class TestDeployments:
    def test_a_failed_update_falls_back(self, emulator: Emulator, account: Account, aws: Clients) -> None:
        """The service is ACTIVE with the old image; only the deployment and the events tell."""
        arn = account.create_express_service()
        emulator.faults = Faults(failing_images=("*:broken",), settle_seconds={"ecs": 5})

        aws("ecs").update_express_gateway_service(serviceArn=arn, primaryContainer={"image": BROKEN})
        wait_until(lambda: statuses(aws, arn)[0], lambda status: status == "IN_PROGRESS")
        emulator.faults = Faults()
        assert image(account.wait_for_express_service(arn)) == IMAGE
        (told,) = aws("ecs").describe_service_deployments(
            serviceDeploymentArns=[deployments(aws, arn)[0]["serviceDeploymentArn"]]
        )["serviceDeployments"]
        events = aws("ecs").describe_services(services=[arn])["services"][0]["events"]

        assert (told["status"], "circuit breaker" in told["statusReason"]) == ("ROLLBACK_SUCCESSFUL", True)
        assert BROKEN in told["rollback"]["reason"]
        assert any(BROKEN in each["message"] for each in events)

    def test_a_failed_creation_stays(self, emulator: Emulator, account: Account, aws: Clients) -> None:
        """ACTIVE, with nothing to fall back to; an update with a good image mends it."""
        emulator.faults = Faults(failing_images=("*:broken",))
        arn = account.create_express_service(primaryContainer={"image": BROKEN})

        assert [(each["status"], each["statusReason"]) for each in deployments(aws, arn)] == [
            ("ROLLBACK_FAILED", "No rollback candidate was found to run the rollback.")
        ]
        assert image(account.wait_for_express_service(arn)) == BROKEN
        aws("ecs").update_express_gateway_service(serviceArn=arn, primaryContainer={"image": IMAGE})
        assert image(account.wait_for_express_service(arn)) == IMAGE
        assert statuses(aws, arn) == ["SUCCESSFUL", "ROLLBACK_FAILED"]

    @pytest.mark.parametrize("missing", ["image", "secret", "key", "log group"])
    def test_what_a_task_needs_has_to_be_there(
        self, emulator: Emulator, account: Account, aws: Clients, missing: str
    ) -> None:
        """Otherwise the call is taken and the deployment fails, as on AWS."""
        emulator.faults = Faults(require_images=missing == "image")
        made = aws("secretsmanager").create_secret(Name="till", SecretString='{"A__B": "x"}')["ARN"]
        lacking: dict[str, dict[str, Any]] = {
            "secret": {"secrets": [{"name": "KEY", "valueFrom": made.replace("till", "none")}]},
            "key": {"secrets": [{"name": "KEY", "valueFrom": f"{made}:Absent::"}]},
            "log group": {"awsLogsConfiguration": {"logGroup": "/none", "logStreamPrefix": "ecs"}},
        }
        container = lacking.get(missing, {"secrets": [{"name": "KEY", "valueFrom": f"{made}:A__B::"}]})

        assert statuses(aws, account.create_express_service(primaryContainer={"image": IMAGE, **container})) == [
            "ROLLBACK_FAILED"
        ]

    def test_two_revisions_are_active_while_it_lasts(self, emulator: Emulator, account: Account, aws: Clients) -> None:
        """The old and the new; the newest is the one being deployed."""
        arn = account.create_express_service()
        emulator.faults = SLOW
        aws("ecs").update_express_gateway_service(serviceArn=arn, healthCheckPath="/health")
        found = aws("ecs").describe_express_gateway_service(serviceArn=arn)["service"]["activeConfigurations"]

        newest = max(found, key=lambda each: each["serviceRevisionArn"])
        assert sorted(each["healthCheckPath"] for each in found) == ["/health", "/ping"]
        assert newest["healthCheckPath"] == "/health"
        assert statuses(aws, arn) == ["PENDING", "SUCCESSFUL"]

    def test_a_newer_update_stops_the_one_before(self, emulator: Emulator, account: Account, aws: Clients) -> None:
        """And takes its place."""
        arn = account.create_express_service()
        emulator.faults = SLOW
        for path in ("/one", "/two"):
            aws("ecs").update_express_gateway_service(serviceArn=arn, healthCheckPath=path)

        assert statuses(aws, arn) == ["PENDING", "STOP_REQUESTED", "SUCCESSFUL"]
        told = aws("ecs").describe_services(services=[arn])["services"][0]
        assert (told["desiredCount"], told["runningCount"], told["pendingCount"]) == (1, 1, 1)
        assert [each["status"] for each in told["deployments"]] == ["PRIMARY", "ACTIVE"]
        emulator.faults = Faults()
        assert account.wait_for_express_service(arn)["activeConfigurations"][0]["healthCheckPath"] == "/two"
        assert statuses(aws, arn) == ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]
        aws("ecs").get_waiter("services_stable").wait(cluster="default", services=[arn])

    def test_one_under_way_can_be_turned_back(self, emulator: Emulator, account: Account, aws: Clients) -> None:
        """StopServiceDeployment is the rollback that App Runner lacks."""
        arn, ecs = account.create_express_service(), aws("ecs")
        emulator.faults = SLOW
        ecs.update_express_gateway_service(serviceArn=arn, healthCheckPath="/health")
        stop = {"serviceDeploymentArn": deployments(aws, arn)[0]["serviceDeploymentArn"]}

        ecs.stop_service_deployment(**stop, stopType="ROLLBACK")
        assert statuses(aws, arn)[0] == "ROLLBACK_REQUESTED"
        ecs.stop_service_deployment(**stop)
        emulator.faults = Faults()
        assert account.wait_for_express_service(arn)["activeConfigurations"][0]["healthCheckPath"] == "/ping"
        assert statuses(aws, arn)[0] == "ROLLBACK_SUCCESSFUL"
        assert error_code(ecs.stop_service_deployment, **stop) == "ConflictException"


class TestAmongOthers:
    def test_it_is_listed_with_the_rest(self, account: Account, aws: Clients) -> None:
        """As a service of its cluster, whose other services are the backend's."""
        ecs, arn = aws("ecs"), account.create_express_service(tags=[{"key": "a", "value": "1"}])
        assert ecs.describe_clusters(clusters=["default"])["clusters"][0]["activeServicesCount"] == 1
        task = ecs.register_task_definition(
            family="classic", containerDefinitions=[{"name": "x", "image": "x", "memory": 64}]
        )["taskDefinition"]["taskDefinitionArn"]
        other = ecs.create_service(serviceName="classic", taskDefinition=task, desiredCount=0)["service"]["serviceArn"]

        assert sorted(ecs.list_services()["serviceArns"]) == sorted([arn, other])
        assert error_code(ecs.delete_cluster, cluster="default") == "ClusterContainsServicesException"
        assert ecs.list_services(resourceManagementType="ECS")["serviceArns"] == [arn]
        told = ecs.describe_services(services=["api-prod", "classic", "none"], include=["TAGS"])
        found = {each["serviceName"]: each for each in told["services"]}
        assert sorted(found) == ["api-prod", "classic"]
        assert [each["reason"] for each in told["failures"]] == ["MISSING"]
        assert (found["api-prod"]["tags"], found["api-prod"]["resourceManagementType"]) == (
            [{"key": "a", "value": "1"}],
            "ECS",
        )
        assert "taskDefinition" not in found["api-prod"]
        assert "default-api-prod" in found["api-prod"]["deployments"][0]["taskDefinition"]

    def test_tags(self, account: Account, aws: Clients) -> None:
        """Set, changed and taken away by ARN, and known to the tagging API."""
        ecs, arn = aws("ecs"), account.create_express_service(tags=[{"key": "a", "value": "1"}])
        ecs.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "2"}])
        ecs.untag_resource(resourceArn=arn, tagKeys=["a"])

        assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
        assert account.wait_for_express_service(arn)["tags"] == [{"key": "b", "value": "2"}]
        listed = aws("resourcegroupstaggingapi").get_resources(ResourceTypeFilters=["ecs:service"])
        assert listed["ResourceTagMappingList"] == [{"ResourceARN": arn, "Tags": [{"Key": "b", "Value": "2"}]}]

    def test_a_new_one_is_not_seen_at_once(self, emulator: Emulator, account: Account, aws: Clients) -> None:
        """When the faults ask for it."""
        emulator.faults = Faults(unseen_reads={"service": 2})
        arn = aws("ecs").create_express_gateway_service(**account.express_request())["service"]["serviceArn"]
        read = aws("ecs").describe_express_gateway_service

        assert [error_code(read, serviceArn=arn) for _ in range(2)] == ["ResourceNotFoundException"] * 2
        assert wait_until(lambda: read(serviceArn=arn)["service"]["serviceArn"], bool) == arn
