"""App Runner as AWS has it: operations in time, silent rollback, revisions, refusals."""

from __future__ import annotations

import re

import pytest
from botocore.exceptions import ClientError

from orchestrator.emulator import Emulator, Faults
from tests.emulator.account import IMAGE, Account, Clients, error_code, image_source, wait_until

BROKEN = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/api:broken"
HEX = "[0-9a-f]{32}"


@pytest.fixture
def slow(emulator: Emulator) -> None:
    """Operations that last longer than the test."""
    emulator.faults = Faults(settle_seconds={"apprunner": 60})


def operation(aws: Clients, arn: str) -> tuple[str, str]:
    newest = aws("apprunner").list_operations(ServiceArn=arn)["OperationSummaryList"][0]
    return newest["Type"], newest["Status"]


class TestService:
    def test_it_is_created_in_time(self, account: Account, aws: Clients) -> None:
        """Creation is an operation; when it is over the service runs."""
        arn = account.create_service()

        service = aws("apprunner").describe_service(ServiceArn=arn)["Service"]

        assert re.fullmatch(f"arn:aws:apprunner:eu-west-1:123456789012:service/api-prod/{HEX}", arn)
        assert re.fullmatch(r"[a-z0-9]{10}\.eu-west-1\.awsapprunner\.com", service["ServiceUrl"])
        assert (service["Status"], operation(aws, arn)) == ("RUNNING", ("CREATE_SERVICE", "SUCCEEDED"))

    def test_what_was_not_given_has_its_default(self, account: Account, aws: Clients) -> None:
        """AWS's defaults read back."""
        service = aws("apprunner").describe_service(ServiceArn=account.create_service())["Service"]

        assert service["InstanceConfiguration"]["Cpu"] == "1024"
        assert service["InstanceConfiguration"]["Memory"] == "2048"
        assert service["HealthCheckConfiguration"] == {
            "Protocol": "TCP",
            "Path": "/",
            "Interval": 5,
            "Timeout": 2,
            "HealthyThreshold": 1,
            "UnhealthyThreshold": 5,
        }
        assert service["NetworkConfiguration"] == {
            "EgressConfiguration": {"EgressType": "DEFAULT"},
            "IngressConfiguration": {"IsPubliclyAccessible": True},
            "IpAddressType": "IPV4",
        }
        assert service["AutoScalingConfigurationSummary"]["AutoScalingConfigurationName"] == "DefaultConfiguration"

    def test_its_log_groups_are_made(self, account: Account, aws: Clients) -> None:
        """One for the application and one for the service, by name and id."""
        unique = account.create_service().rpartition("/")[2]

        groups = aws("logs").describe_log_groups(logGroupNamePrefix="/aws/apprunner/")["logGroups"]

        assert sorted(group["logGroupName"] for group in groups) == [
            f"/aws/apprunner/api-prod/{unique}/application",
            f"/aws/apprunner/api-prod/{unique}/service",
        ]

    def test_its_name_is_taken(self, account: Account) -> None:
        """A second service of the name is refused."""
        account.create_service()

        with pytest.raises(ClientError, match=r"InvalidRequestException.*already exists"):
            account.aws("apprunner").create_service(
                ServiceName="api-prod", SourceConfiguration=image_source(IMAGE, account.create_role("other", "build"))
            )

    @pytest.mark.usefixtures("slow")
    def test_one_operation_at_a_time(self, account: Account, aws: Clients) -> None:
        """While it is busy every other operation is InvalidStateException."""
        client = aws("apprunner")
        config = image_source(IMAGE, account.create_role("access", "build"))
        arn = client.create_service(ServiceName="busy", SourceConfiguration=config)["Service"]["ServiceArn"]
        refused = [client.pause_service, client.update_service, client.delete_service, client.start_deployment]

        assert {error_code(call, ServiceArn=arn) for call in refused} == {"InvalidStateException"}

    def test_a_failed_update_rolls_back_in_silence(self, emulator: Emulator, account: Account, aws: Clients) -> None:
        """The service says RUNNING with the old image; only the operation tells."""
        arn, access = account.create_service(), account.create_role("new-access", "build")
        emulator.faults = Faults(failing_images=("*:broken",))

        aws("apprunner").update_service(ServiceArn=arn, SourceConfiguration=image_source(BROKEN, access))
        after = account.wait_for_service(arn)

        assert after["Status"] == "RUNNING"
        assert after["SourceConfiguration"]["ImageRepository"]["ImageIdentifier"] == IMAGE
        assert operation(aws, arn) == ("UPDATE_SERVICE", "ROLLBACK_SUCCEEDED")

    def test_a_failed_creation_stays(self, emulator: Emulator, account: Account, aws: Clients) -> None:
        """CREATE_FAILED, until an update with a good image rebuilds it."""
        emulator.faults = Faults(failing_images=("*:broken",))
        client, access = aws("apprunner"), account.create_role("access", "build")
        made = client.create_service(ServiceName="api-prod", SourceConfiguration=image_source(BROKEN, access))
        arn = made["Service"]["ServiceArn"]

        assert account.wait_for_service(arn)["Status"] == "CREATE_FAILED"
        assert operation(aws, arn) == ("CREATE_SERVICE", "FAILED")
        client.update_service(ServiceArn=arn, SourceConfiguration=image_source(IMAGE, access))
        assert account.wait_for_service(arn)["Status"] == "RUNNING"

    def test_an_image_never_pushed_fails(self, emulator: Emulator, account: Account, aws: Clients) -> None:
        """When asked to be strict, the emulator looks in the registry."""
        emulator.faults = Faults(require_images=True)
        config = image_source(IMAGE, account.create_role("access", "build"))
        arn = aws("apprunner").create_service(ServiceName="api-prod", SourceConfiguration=config)["Service"][
            "ServiceArn"
        ]

        assert account.wait_for_service(arn)["Status"] == "CREATE_FAILED"

    def test_pause_and_resume(self, account: Account, aws: Clients) -> None:
        """A paused service cannot be deployed to before it is resumed."""
        client, arn = aws("apprunner"), account.create_service()

        client.pause_service(ServiceArn=arn)
        assert account.wait_for_service(arn)["Status"] == "PAUSED"
        assert error_code(client.start_deployment, ServiceArn=arn) == "InvalidStateException"
        client.resume_service(ServiceArn=arn)
        assert account.wait_for_service(arn)["Status"] == "RUNNING"

    def test_deleted_it_still_answers(self, account: Account, aws: Clients) -> None:
        """DELETED by ARN, not in the list, and its name is free."""
        client, arn = aws("apprunner"), account.create_service()

        client.delete_service(ServiceArn=arn)

        assert account.wait_for_service(arn)["Status"] == "DELETED"
        assert client.list_services()["ServiceSummaryList"] == []
        assert error_code(client.delete_service, ServiceArn=arn) == "ResourceNotFoundException"

    def test_a_role_must_trust_app_runner(self, account: Account, aws: Clients) -> None:
        """An instance role that trusts another principal cannot be assumed."""
        with pytest.raises(ClientError, match="Error in assuming instance role"):
            aws("apprunner").create_service(
                ServiceName="api-prod",
                SourceConfiguration=image_source(IMAGE, account.create_role("access", "build")),
                InstanceConfiguration={"InstanceRoleArn": account.create_role("wrong", "build")},
            )

    def test_a_new_role_takes_time(self, emulator: Emulator, account: Account, aws: Clients) -> None:
        """IAM is eventually consistent: a while after its creation the role works."""
        emulator.faults = Faults(role_assumable_after_seconds=1.0)
        client, config = aws("apprunner"), image_source(IMAGE, account.create_role("access", "build"))

        assert (
            error_code(client.create_service, ServiceName="api-prod", SourceConfiguration=config)
            == "InvalidRequestException"
        )
        assert wait_until(lambda: attempt(client, config), bool)

    @pytest.mark.parametrize(
        ("changed", "code"),
        [
            ({"InstanceConfiguration": {"Cpu": "256", "Memory": "4096"}}, "InvalidRequestException"),
            ({"InstanceConfiguration": {"Cpu": "3 vCPU"}}, "ValidationException"),
            ({"ServiceName": "no spaces"}, "ValidationException"),
            ({"AutoScalingConfigurationArn": "arn:aws:apprunner:eu-west-1:123456789012:autoscalingconfiguration/none"},
             "ResourceNotFoundException"),
            ({"SourceConfiguration": {"ImageRepository": {"ImageIdentifier": IMAGE, "ImageRepositoryType": "ECR"}}},
             "InvalidRequestException"),
        ],
        ids=["cpu and memory", "cpu", "name", "scaling", "access role"],
    )  # fmt: skip
    def test_it_refuses(self, account: Account, aws: Clients, changed: dict[str, object], code: str) -> None:
        """What AWS does not take."""
        config = image_source(IMAGE, account.create_role("access", "build"))

        wanted = {"ServiceName": "api-prod", "SourceConfiguration": config, **changed}
        assert error_code(aws("apprunner").create_service, **wanted) == code


def attempt(client: object, config: dict[str, object]) -> bool:
    try:
        client.create_service(ServiceName="api-prod", SourceConfiguration=config)  # type: ignore[attr-defined]
    except ClientError:
        return False
    return True


class TestScaling:
    def test_revisions(self, aws: Clients) -> None:
        """The same name again is a new revision, and the latest."""
        client = aws("apprunner")
        made = [
            client.create_auto_scaling_configuration(AutoScalingConfigurationName="api-prod", MaxSize=size)
            for size in (1, 2)
        ]
        latest = client.list_auto_scaling_configurations(AutoScalingConfigurationName="api-prod", LatestOnly=True)

        assert [each["AutoScalingConfiguration"]["AutoScalingConfigurationRevision"] for each in made] == [1, 2]
        found = latest["AutoScalingConfigurationSummaryList"]
        assert [each["AutoScalingConfigurationRevision"] for each in found] == [2]

    def test_a_used_one_stays(self, account: Account, aws: Clients) -> None:
        """Deleting is refused while a service uses it; afterwards it is INACTIVE."""
        client = aws("apprunner")
        made = client.create_auto_scaling_configuration(AutoScalingConfigurationName="api-prod")
        arn = made["AutoScalingConfiguration"]["AutoScalingConfigurationArn"]
        service = account.create_service(AutoScalingConfigurationArn=arn)
        delete = client.delete_auto_scaling_configuration

        assert error_code(delete, AutoScalingConfigurationArn=arn) == "InvalidRequestException"
        client.delete_service(ServiceArn=service)
        account.wait_for_service(service)
        delete(AutoScalingConfigurationArn=arn)
        described = client.describe_auto_scaling_configuration(AutoScalingConfigurationArn=arn)
        assert described["AutoScalingConfiguration"]["Status"].upper() == "INACTIVE"

    def test_five_revisions_are_the_most(self, aws: Clients) -> None:
        """AWS's quota on revisions of one name."""
        create = aws("apprunner").create_auto_scaling_configuration
        for _ in range(5):
            create(AutoScalingConfigurationName="api-prod")

        assert error_code(create, AutoScalingConfigurationName="api-prod") == "ServiceQuotaExceededException"


class TestConnector:
    def test_it_takes_the_default_group(self, account: Account, aws: Clients) -> None:
        """Without security groups it has the VPC's default one."""
        made = aws("apprunner").create_vpc_connector(VpcConnectorName="api-prod", Subnets=account.list_subnets())
        groups = aws("ec2").describe_security_groups(GroupIds=made["VpcConnector"]["SecurityGroups"])

        assert [each["GroupName"] for each in groups["SecurityGroups"]] == ["default"]

    def test_a_used_one_stays(self, account: Account, aws: Clients) -> None:
        """Deleting is refused while a service uses it."""
        client = aws("apprunner")
        made = client.create_vpc_connector(VpcConnectorName="api-prod", Subnets=account.list_subnets())
        arn = made["VpcConnector"]["VpcConnectorArn"]
        egress = {"EgressConfiguration": {"EgressType": "VPC", "VpcConnectorArn": arn}}
        service = account.create_service(NetworkConfiguration=egress)

        assert error_code(client.delete_vpc_connector, VpcConnectorArn=arn) == "InvalidRequestException"
        client.delete_service(ServiceArn=service)
        account.wait_for_service(service)
        assert client.delete_vpc_connector(VpcConnectorArn=arn)["VpcConnector"]["Status"] == "INACTIVE"

    def test_a_subnet_must_be_there(self, aws: Clients) -> None:
        """Unknown subnets are refused."""
        create = aws("apprunner").create_vpc_connector

        assert (
            error_code(create, VpcConnectorName="none", Subnets=["subnet-0123456789abcdef0"])
            == "InvalidRequestException"
        )


def test_tags(account: Account, aws: Clients) -> None:
    """A service's tags are set, changed and taken away by ARN."""
    client, arn = aws("apprunner"), account.create_service(Tags=[{"Key": "a", "Value": "1"}])

    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    client.untag_resource(ResourceArn=arn, TagKeys=["a"])

    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
