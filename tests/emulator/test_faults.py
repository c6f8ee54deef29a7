"""Faults: what an emulator is told to do wrong, it does, and nothing else."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, HTTPClientError

from orchestrator.emulator import Emulator, Faults, Rule
from tests.emulator.account import Account, Client, Clients, error_code, make_client

DROPPED = (ConnectionClosedError, EndpointConnectionError, HTTPClientError)


def create(client: Client, name: str = "files-prod") -> None:
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


def buckets(client: Client) -> list[str]:
    return [each["Name"] for each in client.list_buckets()["Buckets"]]


class TestRules:
    @pytest.mark.parametrize(
        ("service", "operation", "code"),
        [
            ("s3", "list_buckets", "SlowDown"),
            ("ec2", "describe_vpcs", "RequestLimitExceeded"),
            ("rds", "describe_db_instances", "Throttling"),
            ("secretsmanager", "list_secrets", "ThrottlingException"),
            ("apprunner", "list_services", "ThrottlingException"),
            ("ecs", "list_services", "ThrottlingException"),
            ("cloudwatch", "describe_alarms", "Throttling"),
        ],
    )
    def test_throttling_is_in_the_services_words(
        self, emulator: Emulator, aws: Clients, service: str, operation: str, code: str
    ) -> None:
        """Each service has its own code for too many requests."""
        emulator.faults = Faults(rules=(Rule("throttle"),))

        assert error_code(getattr(aws(service), operation)) == code

    def test_a_rule_ends(self, emulator: Emulator, aws: Clients) -> None:
        """After its limit, calls work again."""
        emulator.faults = Faults(rules=(Rule("error", limit=2, status=503),))
        client = aws("s3")

        assert [error_code(client.list_buckets) for _ in range(2)] == ["ServiceUnavailable"] * 2
        assert buckets(client) == []

    def test_a_rule_strikes_what_it_names(self, emulator: Emulator, aws: Clients) -> None:
        """By service, operation, and reads or writes."""
        emulator.faults = Faults(
            rules=(Rule("error", service="s3", access="write"), Rule("error", operation="DescribeVpc*"))
        )

        assert buckets(aws("s3")) == []
        with pytest.raises(ClientError):
            create(aws("s3"))
        assert error_code(aws("ec2").describe_vpcs) == "InternalFailure"
        assert aws("ec2").describe_subnets()["Subnets"]

    def test_the_same_seed_is_the_same_luck(self, emulator: Emulator, aws: Clients) -> None:
        """A probability is drawn from a seeded generator."""
        client = aws("sts")

        def luck(seed: int) -> list[bool]:
            emulator.faults = Faults(seed=seed, rules=(Rule("error", probability=0.5),))
            return [_works(client) for _ in range(20)]

        first = luck(7)
        assert first == luck(7)
        assert {True, False} == set(first)

    def test_a_reset_before_leaves_nothing(self, emulator: Emulator, aws: Clients) -> None:
        """The connection is dropped and the call was not made."""
        emulator.faults = Faults(rules=(Rule("reset", access="write"),))

        with pytest.raises(DROPPED):
            create(aws("s3"))
        assert buckets(aws("s3")) == []

    def test_a_reset_after_has_done_it(self, emulator: Emulator, aws: Clients) -> None:
        """The call was made, its answer is lost."""
        emulator.faults = Faults(rules=(Rule("reset_after", access="write"),))

        with pytest.raises(DROPPED):
            create(aws("s3"))
        assert buckets(aws("s3")) == ["files-prod"]
        assert [call.executed for call in emulator.calls if call.operation == "CreateBucket"] == [True]

    def test_latency(self, emulator: Emulator, aws: Clients) -> None:
        """Every call is held back so long, side by side."""
        emulator.faults = Faults(latency_ms=50)
        client = aws("sts")
        started = time.monotonic()

        client.get_caller_identity()

        assert time.monotonic() - started >= 0.05


def _works(client: Client) -> bool:
    try:
        client.get_caller_identity()
    except ClientError:
        return False
    return True


class TestDenied:
    @pytest.mark.parametrize(
        ("service", "operation", "params", "code", "action"),
        [
            ("rds", "describe_db_instances", {}, "AccessDenied", "rds:DescribeDBInstances"),
            ("secretsmanager", "get_secret_value", {"SecretId": "x"}, "AccessDeniedException",
             "secretsmanager:GetSecretValue"),
            ("ec2", "describe_vpcs", {}, "UnauthorizedOperation", "ec2:DescribeVpcs"),
            ("s3", "list_objects_v2", {"Bucket": "files-prod"}, "AccessDenied", "s3:ListBucket"),
            ("resourcegroupstaggingapi", "get_resources", {}, "AccessDeniedException", "tag:GetResources"),
        ],
    )  # fmt: skip
    def test_an_action_is_denied(
        self,
        emulator: Emulator,
        aws: Clients,
        service: str,
        operation: str,
        params: dict[str, Any],
        code: str,
        action: str,
    ) -> None:
        """With the service's code and the action that is missing."""
        emulator.faults = Faults(denied=(action,))

        with pytest.raises(ClientError, match=f"is not authorized to perform: {action}") as raised:
            getattr(aws(service), operation)(**params)
        assert raised.value.response["Error"]["Code"] == code

    def test_a_read_only_principal(self, emulator: Emulator, aws: Clients) -> None:
        """Writes and secret values are denied, all other reads work."""
        emulator.faults = Faults(deny_writes=True, denied=("secretsmanager:GetSecretValue",))

        assert buckets(aws("s3")) == []
        with pytest.raises(ClientError, match="s3:CreateBucket"):
            create(aws("s3"))
        assert error_code(aws("secretsmanager").get_secret_value, SecretId="x") == "AccessDeniedException"
        assert [call.executed for call in emulator.calls] == [True, False, False]


class TestConsistency:
    def test_a_new_role_is_not_seen(self, emulator: Emulator, account: Account, aws: Clients) -> None:
        """For so many reads."""
        emulator.faults = Faults(unseen_reads={"role": 2})
        account.create_role("api", "tasks")
        read = aws("iam").get_role

        assert [error_code(read, RoleName="api") for _ in range(2)] == ["NoSuchEntity"] * 2
        assert read(RoleName="api")["Role"]["RoleName"] == "api"

    def test_a_new_bucket_is_not_seen(self, emulator: Emulator, aws: Clients) -> None:
        """HEAD answers 404 at first, and writes go through."""
        emulator.faults = Faults(unseen_reads={"bucket": 1})
        client = aws("s3")
        create(client)
        client.put_bucket_versioning(Bucket="files-prod", VersioningConfiguration={"Status": "Enabled"})

        assert error_code(client.head_bucket, Bucket="files-prod") == "404"
        client.head_bucket(Bucket="files-prod")

    def test_a_new_secret_is_not_seen(self, emulator: Emulator, aws: Clients) -> None:
        """By name or by ARN."""
        emulator.faults = Faults(unseen_reads={"secret": 2})
        client = aws("secretsmanager")
        arn = client.create_secret(Name="app", SecretString="x")["ARN"]

        assert {error_code(client.describe_secret, SecretId=key) for key in ("app", arn)} == {
            "ResourceNotFoundException"
        }
        assert client.describe_secret(SecretId=arn)["Name"] == "app"

    def test_a_written_object_is_not_seen_after_versioning_was_switched_on(self, moto: Emulator) -> None:
        """S3 answers 404 for up to 15 minutes (API reference of PutBucketVersioning); a listing shows it."""
        moto.faults = Faults(unseen_reads={"object": 2})
        client = make_client(moto, "s3")
        create(client)
        client.put_object(Bucket="files-prod", Key="before", Body=b"x")
        client.put_bucket_versioning(Bucket="files-prod", VersioningConfiguration={"Status": "Enabled"})
        client.put_object(Bucket="files-prod", Key="after", Body=b"x")

        answers = [error_code(client.get_object, Bucket="files-prod", Key="after") for _ in range(2)]

        assert answers == ["NoSuchKey"] * 2
        assert [item["Key"] for item in client.list_objects_v2(Bucket="files-prod")["Contents"]] == ["after", "before"]
        for key in ("before", "after"):
            assert client.get_object(Bucket="files-prod", Key=key)["Body"].read() == b"x"

    def test_what_was_in_use_is_let_go_later(self, moto: Emulator) -> None:
        """AWS keeps network interfaces for minutes (terraform-provider-aws retries DependencyViolation)."""
        moto.faults = Faults(in_use_deletions=2)
        client = make_client(moto, "ec2")
        vpc = client.describe_vpcs()["Vpcs"][0]["VpcId"]
        group = client.create_security_group(GroupName="a", Description="a", VpcId=vpc)["GroupId"]

        answers = [error_code(client.delete_security_group, GroupId=group) for _ in range(2)]

        assert answers == ["DependencyViolation"] * 2
        client.delete_security_group(GroupId=group)


class TestCrash:
    def test_before_the_nth_write(self, emulator: Emulator, aws: Clients) -> None:
        """It is not done, and everything is dropped until the emulator is revived."""
        client = aws("s3")
        emulator.crash_at(2)
        create(client, "first-prod")
        buckets(client)

        with pytest.raises(DROPPED):
            create(client, "second-prod")
        with pytest.raises(DROPPED):
            buckets(client)
        assert emulator.is_crashed
        emulator.revive()
        assert buckets(client) == ["first-prod"]

    def test_after_the_nth_write(self, emulator: Emulator, aws: Clients) -> None:
        """It is done, and nobody hears of it."""
        client = aws("s3")
        emulator.crash_at(1, when="after")

        with pytest.raises(DROPPED):
            create(client)
        emulator.revive()
        assert buckets(client) == ["files-prod"]

    def test_a_retrying_client_is_no_better_off(self, moto: Emulator) -> None:
        """Its retries are dropped as well."""
        moto.crash_at(1)
        client = make_client(moto, "s3")

        with pytest.raises(DROPPED):
            create(client)
        with pytest.raises(DROPPED):
            create(client)
        assert [call.fault for call in moto.calls] == ["crash before", "crashed"]
        client.close()

    def test_nonsense_is_refused(self, moto: Emulator) -> None:
        """There is no zeroth write."""
        with pytest.raises(ValueError, match="invalid crash at write 0"):
            moto.crash_at(0)


class TestSettings:
    def test_from_a_file(self, tmp_path: Path) -> None:
        """YAML or JSON with the fields' names, and back."""
        wanted = Faults(
            seed=3,
            rules=(Rule("throttle", service="rds", probability=0.5, limit=1),),
            denied=("s3:Put*",),
            settle_seconds={"rds": 2.0},
        )
        path = tmp_path / "faults.json"
        path.write_text(json.dumps(wanted.to_dict()))

        assert Faults.load(path) == wanted

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("latency: 5", "unknown setting: latency"),
            ("rules: [{kind: explode}]", "explode"),
            ("rules: [{kind: error, probability: 2}]", "probability 2"),
            ("rules: [{kind: error, when: now}]", "when"),
            ("- 1", "must be a mapping"),
            ("a: [", "faults.yaml"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path: Path, text: str, says: str) -> None:
        """A setting that does not exist is not silently nothing."""
        path = tmp_path / "faults.yaml"
        path.write_text(text)

        with pytest.raises(ValueError, match=says):
            Faults.load(path)


class TestAccounts:
    def test_an_unknown_limit_is_refused(self) -> None:
        """A typing error must not look like an account without limits."""
        with pytest.raises(ValueError, match="unknown account limit: rds-unsued"):
            Faults.from_dict({"account_limits": ["rds-unsued"]})
        with pytest.raises(ValueError, match="invalid role_error"):
            Faults.from_dict({"role_error": "never"})

    def test_settings_survive_the_round_trip(self) -> None:
        """A file, Python and the control API take the same settings."""
        faults = Faults(account_limits=("free-plan",), role_error="credentials", session_expires_after_seconds=3)

        assert Faults.from_dict(faults.to_dict()) == faults

    def test_an_error_has_the_code_and_text_that_the_rule_names(self, emulator: Emulator, aws: Clients) -> None:
        """So that any wording of AWS can be played back."""
        emulator.faults = Faults(rules=(Rule("error", code="RequestTimeTooSkewed", message="too large", status=403),))

        with pytest.raises(ClientError, match=r"RequestTimeTooSkewed.*too large"):
            aws("sts").get_caller_identity()

    def test_a_session_expires_in_each_services_words(self, emulator: Emulator, aws: Clients) -> None:
        """S3 and EC2 have codes of their own (S3 error responses; EC2 API error codes)."""
        emulator.faults = Faults(session_expires_after_seconds=0)

        assert error_code(aws("s3").list_buckets) == "ExpiredToken"
        assert error_code(aws("ec2").describe_vpcs) == "RequestExpired"
        assert error_code(aws("ecs").list_services) == "ExpiredTokenException"

    def test_a_service_linked_role_exists_once(self, emulator: Emulator, aws: Clients) -> None:
        """An account that uses RDS has it; one that never did makes it once (IAM API, CreateServiceLinkedRole)."""
        client = aws("iam")

        def create_role() -> object:
            return client.create_service_linked_role(AWSServiceName="rds.amazonaws.com")

        assert error_code(create_role) == "InvalidInput"
        emulator.faults = Faults(account_limits=("rds-unused",))
        assert client.create_service_linked_role(AWSServiceName="rds.amazonaws.com")["Role"]["RoleName"]
        assert error_code(create_role) == "InvalidInput"
