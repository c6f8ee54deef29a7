"""Where a backend answers otherwise than AWS, both answer as AWS: S3, secrets, images, networks, roles, topics."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.emulator.account import Client, Clients, error_code

MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"})


def statement(**changed: Any) -> str:
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::files-prod/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**allowed, **changed}]})


class TestBucket:
    @pytest.fixture
    def s3(self, aws: Clients) -> Client:
        client = aws("s3")
        client.create_bucket(
            Bucket="files-prod",
            CreateBucketConfiguration={"LocationConstraint": "eu-west-1", "Tags": [{"Key": "a", "Value": "1"}]},
        )
        return client

    def test_a_new_bucket_is_closed_and_encrypted(self, s3: Client) -> None:
        """As AWS makes it since 2023, with the tags it was made with."""
        rule = s3.get_bucket_encryption(Bucket="files-prod")["ServerSideEncryptionConfiguration"]["Rules"][0]
        block = s3.get_public_access_block(Bucket="files-prod")["PublicAccessBlockConfiguration"]
        owner = s3.get_bucket_ownership_controls(Bucket="files-prod")["OwnershipControls"]["Rules"]

        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        assert rule["BucketKeyEnabled"] is False
        assert (len(block), set(block.values())) == (4, {True})
        assert owner == [{"ObjectOwnership": "BucketOwnerEnforced"}]
        assert s3.get_bucket_tagging(Bucket="files-prod")["TagSet"] == [{"Key": "a", "Value": "1"}]

    @pytest.mark.parametrize(
        ("operation", "code"),
        [
            ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
            ("get_bucket_cors", "NoSuchCORSConfiguration"),
            ("get_bucket_policy", "NoSuchBucketPolicy"),
            ("get_bucket_policy_status", "NoSuchBucketPolicy"),
            ("get_bucket_website", "NoSuchWebsiteConfiguration"),
        ],
    )
    def test_what_it_lacks(self, s3: Client, operation: str, code: str) -> None:
        """Each aspect has its own code for not being there."""
        assert error_code(getattr(s3, operation), Bucket="files-prod") == code

    def test_another_owner_than_is_expected(self, s3: Client) -> None:
        """403, and nothing is read or written (API reference, `x-amz-expected-bucket-owner`); none has no owner."""
        theirs, ours = ({"ExpectedBucketOwner": account} for account in ("999999999999", "123456789012"))
        source = {"CopySource": "files-prod/a", "ExpectedSourceBucketOwner": "999999999999"}
        s3.put_object(Bucket="files-prod", Key="a", Body=b"a", **ours)

        assert error_code(s3.put_object, Bucket="files-prod", Key="b", Body=b"b", **theirs) == "AccessDenied"
        assert error_code(s3.list_objects_v2, Bucket="files-prod", **theirs) == "AccessDenied"
        assert error_code(s3.head_object, Bucket="files-prod", Key="a", **theirs) == "403"
        assert error_code(s3.copy_object, Bucket="files-prod", Key="b", **source) == "AccessDenied"
        assert error_code(s3.get_object, Bucket="none-such", Key="a", **theirs) == "NoSuchBucket"
        assert [item["Key"] for item in s3.list_objects_v2(Bucket="files-prod", **ours)["Contents"]] == ["a"]

    def test_a_missing_bucket(self, s3: Client) -> None:
        """404 without a body for HEAD, NoSuchBucket for the rest."""
        assert error_code(s3.head_bucket, Bucket="none-such") == "404"
        assert error_code(s3.get_bucket_encryption, Bucket="none-such") == "NoSuchBucket"
        assert error_code(s3.get_bucket_versioning, Bucket="none-such") == "NoSuchBucket"

    def test_a_lifecycle_reads_back_whole(self, s3: Client) -> None:
        """With an ID where none was given and nothing dropped."""
        rule = {
            "Status": "Enabled",
            "Filter": {"And": {"Prefix": "sale-photos/", "ObjectSizeGreaterThan": 1024}},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
        }
        s3.put_bucket_lifecycle_configuration(Bucket="files-prod", LifecycleConfiguration={"Rules": [rule]})

        found = s3.get_bucket_lifecycle_configuration(Bucket="files-prod")["Rules"][0]

        assert found.pop("ID")
        assert found == rule

    def test_a_public_policy_is_blocked(self, s3: Client) -> None:
        """Unless it has a condition, or the block is lifted."""
        assert error_code(s3.put_bucket_policy, Bucket="files-prod", Policy=statement()) == "AccessDenied"
        s3.put_bucket_policy(
            Bucket="files-prod",
            Policy=statement(
                Principal={"Service": "cloudfront.amazonaws.com"},
                Condition={"StringEquals": {"AWS:SourceArn": "arn:aws:cloudfront::123456789012:distribution/E1"}},
            ),
        )
        assert s3.get_bucket_policy_status(Bucket="files-prod")["PolicyStatus"]["IsPublic"] is False
        s3.delete_public_access_block(Bucket="files-prod")
        s3.put_bucket_policy(Bucket="files-prod", Policy=statement())
        assert s3.get_bucket_policy_status(Bucket="files-prod")["PolicyStatus"]["IsPublic"] is True

    def test_a_tls_only_policy_lets_objects_through(self, s3: Client) -> None:
        """The loopback stands for TLS: uploads go on."""
        condition = {"Bool": {"aws:SecureTransport": "false"}}
        policy = statement(Effect="Deny", Action="s3:*", Condition=condition)

        s3.put_bucket_policy(Bucket="files-prod", Policy=policy)
        s3.put_object(Bucket="files-prod", Key="ml-models/a b.onnx", Body=b"model", Metadata={"sha256": "x"})

        found = s3.get_object(Bucket="files-prod", Key="ml-models/a b.onnx")
        assert (found["Body"].read(), found["Metadata"]) == (b"model", {"sha256": "x"})
        assert json.loads(s3.get_bucket_policy(Bucket="files-prod")["Policy"]) == json.loads(policy)

    def test_a_log_goes_to_a_bucket_that_is_there(self, s3: Client) -> None:
        """S3 refuses another target, and says what it was told."""
        wanted = {"LoggingEnabled": {"TargetBucket": "logs-prod", "TargetPrefix": "files/"}}
        assert s3.get_bucket_logging(Bucket="files-prod").get("LoggingEnabled") is None
        refused = error_code(s3.put_bucket_logging, Bucket="files-prod", BucketLoggingStatus=wanted)
        assert refused == "InvalidTargetBucketForLogging"

        s3.create_bucket(Bucket="logs-prod", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_bucket_logging(Bucket="files-prod", BucketLoggingStatus=wanted)
        assert s3.get_bucket_logging(Bucket="files-prod")["LoggingEnabled"] == wanted["LoggingEnabled"]

        s3.put_bucket_logging(Bucket="files-prod", BucketLoggingStatus={})
        assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket="files-prod")

    def test_event_bridge_is_told_until_it_is_not(self, s3: Client) -> None:
        """An empty element switches it on, its absence off."""
        wanted: dict[str, Any] = {"EventBridgeConfiguration": {}}
        s3.put_bucket_notification_configuration(Bucket="files-prod", NotificationConfiguration=wanted)
        assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket="files-prod")

        s3.put_bucket_notification_configuration(Bucket="files-prod", NotificationConfiguration={})
        assert "EventBridgeConfiguration" not in s3.get_bucket_notification_configuration(Bucket="files-prod")

    def test_a_full_bucket_stays(self, s3: Client) -> None:
        """BucketNotEmpty; emptied it goes, and a second of the name may be made."""
        s3.put_object(Bucket="files-prod", Key="a", Body=b"")

        assert error_code(s3.delete_bucket, Bucket="files-prod") == "BucketNotEmpty"
        s3.delete_object(Bucket="files-prod", Key="a")
        s3.delete_bucket(Bucket="files-prod")
        assert error_code(s3.head_bucket, Bucket="files-prod") == "404"


class TestSecret:
    @pytest.fixture
    def secrets(self, aws: Clients) -> Client:
        return aws("secretsmanager")

    def test_a_token_makes_it_once(self, secrets: Client) -> None:
        """The same again answers the same version; the token with another value is refused."""
        wanted = {"Name": "app", "SecretString": "one", "ClientRequestToken": "a" * 40}
        first, again = secrets.create_secret(**wanted), secrets.create_secret(**wanted)

        assert first["VersionId"] == again["VersionId"] == "a" * 40
        assert first["ARN"] == again["ARN"]
        assert error_code(secrets.create_secret, **{**wanted, "SecretString": "two"}) == "ResourceExistsException"

    def test_a_value_has_its_stages(self, secrets: Client) -> None:
        """The new one is current, the old one previous, and the same token is the same version."""
        secrets.create_secret(Name="app", SecretString="one", ClientRequestToken="a" * 40)
        put = {"SecretId": "app", "SecretString": "two", "ClientRequestToken": "b" * 40}
        secrets.put_secret_value(**put)
        secrets.put_secret_value(**put)

        assert secrets.describe_secret(SecretId="app")["VersionIdsToStages"] == {
            "a" * 40: ["AWSPREVIOUS"],
            "b" * 40: ["AWSCURRENT"],
        }
        assert error_code(secrets.put_secret_value, **{**put, "SecretString": "three"}) == "ResourceExistsException"

    def test_the_value_is_that_of_the_version_labelled_current(self, secrets: Client) -> None:
        """Also of what is written next, and moving a label to where it is changes nothing."""
        secrets.create_secret(Name="app", SecretString="one", ClientRequestToken="a" * 40)
        secrets.put_secret_value(SecretId="app", SecretString="two", ClientRequestToken="b" * 40)
        move = {"SecretId": "app", "VersionStage": "AWSCURRENT", "MoveToVersionId": "a" * 40}
        secrets.update_secret_version_stage(**move, RemoveFromVersionId="b" * 40)

        assert secrets.get_secret_value(SecretId="app")["SecretString"] == "one"
        secrets.update_secret_version_stage(SecretId="app", VersionStage="kept", MoveToVersionId="b" * 40)
        secrets.update_secret_version_stage(SecretId="app", VersionStage="kept", MoveToVersionId="b" * 40)
        secrets.put_secret_value(SecretId="app", SecretString="three", ClientRequestToken="c" * 40)
        stages = secrets.describe_secret(SecretId="app")["VersionIdsToStages"]
        assert stages == {"a" * 40: ["AWSPREVIOUS"], "b" * 40: ["kept"], "c" * 40: ["AWSCURRENT"]}

    def test_a_description_can_be_taken_away(self, secrets: Client) -> None:
        """By an empty one."""
        secrets.create_secret(Name="app", SecretString="one", Description="Settings")
        secrets.update_secret(SecretId="app", Description="")

        assert secrets.describe_secret(SecretId="app").get("Description", "") == ""
        assert secrets.list_secrets()["SecretList"][0].get("Description", "") == ""
        secrets.update_secret(SecretId="app", Description="Others")
        assert secrets.describe_secret(SecretId="app")["Description"] == "Others"

    def test_a_name_to_be_deleted_is_not_free(self, secrets: Client) -> None:
        """InvalidRequestException, until it is restored."""
        secrets.create_secret(Name="app", SecretString="one")
        secrets.delete_secret(SecretId="app", RecoveryWindowInDays=7)

        assert error_code(secrets.create_secret, Name="app", SecretString="two") == "InvalidRequestException"
        assert error_code(secrets.get_secret_value, SecretId="app") == "InvalidRequestException"
        secrets.restore_secret(SecretId="app")
        assert secrets.get_secret_value(SecretId="app")["SecretString"] == "one"


class TestRepository:
    @pytest.fixture
    def ecr(self, aws: Clients) -> Client:
        client = aws("ecr")
        client.create_repository(repositoryName="api", imageTagMutability="IMMUTABLE")
        return client

    def test_a_digest_is_the_manifests(self, ecr: Client) -> None:
        """And it is found by it."""
        made = ecr.put_image(repositoryName="api", imageManifest=MANIFEST, imageTag="v1")["image"]
        digest = f"sha256:{hashlib.sha256(MANIFEST.encode()).hexdigest()}"

        assert made["imageId"]["imageDigest"] == digest
        found = ecr.describe_images(repositoryName="api", imageIds=[{"imageDigest": digest}])["imageDetails"]
        assert found[0]["imageTags"] == ["v1"]

    def test_an_immutable_tag_stays(self, ecr: Client) -> None:
        """The same again and another are told apart."""
        put = {"repositoryName": "api", "imageTag": "v1"}
        ecr.put_image(**put, imageManifest=MANIFEST)

        assert error_code(ecr.put_image, **put, imageManifest=MANIFEST) == "ImageAlreadyExistsException"
        assert error_code(ecr.put_image, **put, imageManifest=MANIFEST + " ") == "ImageTagAlreadyExistsException"

    def test_an_exempt_tag_moves(self, ecr: Client) -> None:
        """Filters are kept and honoured."""
        filters = [{"filterType": "WILDCARD", "filter": "cache*"}]
        ecr.put_image_tag_mutability(
            repositoryName="api",
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=filters,
        )
        for manifest in (MANIFEST, MANIFEST + " "):
            ecr.put_image(repositoryName="api", imageManifest=manifest, imageTag="cache-main")

        found = ecr.describe_repositories(repositoryNames=["api"])["repositories"][0]
        assert found["imageTagMutabilityExclusionFilters"] == filters

    def test_an_image_that_is_not_there(self, ecr: Client) -> None:
        """By tag, by scan, by repository."""
        missing = {"imageTag": "none"}

        assert error_code(ecr.describe_images, repositoryName="api", imageIds=[missing]) == "ImageNotFoundException"
        assert error_code(ecr.describe_repositories, repositoryNames=["none"]) == "RepositoryNotFoundException"
        ecr.put_image(repositoryName="api", imageManifest=MANIFEST, imageTag="v1")
        scan = {"repositoryName": "api", "imageId": {"imageTag": "v1"}}
        assert error_code(ecr.describe_image_scan_findings, **scan) == "ScanNotFoundException"
        ecr.start_image_scan(**scan)
        assert ecr.describe_image_scan_findings(**scan)["imageScanStatus"]["status"] == "COMPLETE"


class TestNetwork:
    @pytest.fixture
    def ec2(self, aws: Clients) -> Client:
        return aws("ec2")

    def test_there_is_a_default_vpc(self, ec2: Client) -> None:
        """With subnets in three zones and a main route table."""
        vpcs = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        inside = [{"Name": "vpc-id", "Values": [vpcs[0]["VpcId"]]}]
        zones = {each["AvailabilityZone"] for each in ec2.describe_subnets(Filters=inside)["Subnets"]}
        main = [*inside, {"Name": "association.main", "Values": ["true"]}]

        assert zones == {"eu-west-1a", "eu-west-1b", "eu-west-1c"}
        (table,) = ec2.describe_route_tables(Filters=main)["RouteTables"]
        ways = [each for each in table["Routes"] if each["DestinationCidrBlock"] == "0.0.0.0/0"]
        assert [each["GatewayId"][:4] for each in ways] == ["igw-"]

    def test_a_rule_is_there_once(self, ec2: Client) -> None:
        """A second is InvalidPermission.Duplicate; a group another names stays."""
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        database, service = (
            ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc)["GroupId"] for name in ("db", "api")
        )
        rule = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": service}]}
        params = {"GroupId": database, "IpPermissions": [rule]}
        ec2.authorize_security_group_ingress(**params)

        assert error_code(ec2.authorize_security_group_ingress, **params) == "InvalidPermission.Duplicate"
        assert error_code(ec2.delete_security_group, GroupId=service) == "DependencyViolation"
        missing = ["sg-0123456789abcdef0"]
        assert error_code(ec2.describe_security_groups, GroupIds=missing) == "InvalidGroup.NotFound"

    def test_a_gateway_endpoint(self, ec2: Client) -> None:
        """Once on a route table, found by filters, gone when deleted."""
        table = ec2.describe_route_tables()["RouteTables"][0]
        wanted = {
            "VpcId": table["VpcId"],
            "ServiceName": "com.amazonaws.eu-west-1.s3",
            "RouteTableIds": [table["RouteTableId"]],
        }
        tags = [{"ResourceType": "vpc-endpoint", "Tags": [{"Key": "a", "Value": "1"}]}]
        made = ec2.create_vpc_endpoint(**wanted, TagSpecifications=tags)["VpcEndpoint"]["VpcEndpointId"]

        def found(name: str, value: str) -> list[str]:
            answer = ec2.describe_vpc_endpoints(Filters=[{"Name": name, "Values": [value]}])
            return [each["VpcEndpointId"] for each in answer["VpcEndpoints"]]

        assert error_code(ec2.create_vpc_endpoint, **wanted) == "RouteAlreadyExists"
        assert (found("tag:a", "1"), found("tag:a", "2"), found("service-name", "other")) == ([made], [], [])
        ec2.delete_vpc_endpoints(VpcEndpointIds=[made])
        assert error_code(ec2.describe_vpc_endpoints, VpcEndpointIds=[made]) == "InvalidVpcEndpointId.NotFound"


def test_a_role_is_checked(aws: Clients) -> None:
    """Policies must be policies, and AWS's own must be there."""
    iam = aws("iam", "us-east-1")
    trust = {"Effect": "Allow", "Principal": {"Service": "build.apprunner.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    known = "arn:aws:iam::aws:policy/service-role/AWSAppRunnerServicePolicyForECRAccess"

    assert error_code(iam.create_role, RoleName="r", AssumeRolePolicyDocument="{") == "MalformedPolicyDocument"
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=policy)
    iam.attach_role_policy(RoleName="r", PolicyArn=known)
    assert error_code(iam.attach_role_policy, RoleName="r", PolicyArn=known + "x") == "NoSuchEntity"
    assert (
        error_code(iam.put_role_policy, RoleName="r", PolicyName="p", PolicyDocument=policy)
        == "MalformedPolicyDocument"
    )
    assert error_code(iam.delete_role, RoleName="r") == "DeleteConflict"


def test_a_subscription_by_mail_is_pending(aws: Clients) -> None:
    """Nobody has confirmed it; and a topic is not made again with other tags."""
    sns = aws("sns")
    topic = sns.create_topic(Name="alerts", Tags=[{"Key": "a", "Value": "1"}])["TopicArn"]
    made = sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@joiabagur.example")

    assert made["SubscriptionArn"] == "pending confirmation"
    listed = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [(each["Endpoint"], each["SubscriptionArn"]) for each in listed] == [
        ("ops@joiabagur.example", "PendingConfirmation")
    ]
    assert error_code(sns.create_topic, Name="alerts", Tags=[{"Key": "a", "Value": "2"}]) == "InvalidParameter"


def test_a_new_alarm_has_no_data(aws: Clients) -> None:
    """And one that is not there cannot be deleted."""
    cloudwatch = aws("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="cpu",
        Namespace="AWS/RDS",
        MetricName="CPUCreditBalance",
        Statistic="Minimum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=20.0,
        ComparisonOperator="LessThanThreshold",
    )
    alarm = cloudwatch.describe_alarms(AlarmNames=["cpu"])["MetricAlarms"][0]

    assert (alarm["StateValue"], alarm["Threshold"]) == ("INSUFFICIENT_DATA", 20.0)
    assert error_code(cloudwatch.delete_alarms, AlarmNames=["cpu", "other"]) == "ResourceNotFound"
    cloudwatch.delete_alarms(AlarmNames=["cpu"])


def test_logs_are_kept_for_certain_days(aws: Clients) -> None:
    """Thirty is one of them, thirty-one is not."""
    logs = aws("logs")
    logs.create_log_group(logGroupName="/app")
    logs.put_retention_policy(logGroupName="/app", retentionInDays=30)

    assert error_code(logs.put_retention_policy, logGroupName="/app", retentionInDays=31) == "InvalidParameterException"
