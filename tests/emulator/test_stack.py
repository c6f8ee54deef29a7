"""Every operation that a stack like `manifests/` needs is there on both backends, and none is left to chance."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

from orchestrator.emulator import Emulator
from tests.emulator.account import IMAGE, Account, Clients, image_source, wait_until

TAGS = [{"Key": "orchestrator:project", "Value": "joiabagur"}]
DICT = {tag["Key"]: tag["Value"] for tag in TAGS}
ECR_POLICY = "arn:aws:iam::aws:policy/service-role/AWSAppRunnerServicePolicyForECRAccess"
LIFECYCLE = {
    "rulePriority": 1,
    "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 20},
    "action": {"type": "expire"},
}


def bucket(aws: Clients) -> None:
    s3, named = aws("s3"), {"Bucket": "joiabagur-files-prod"}
    s3.create_bucket(**named, CreateBucketConfiguration={"LocationConstraint": "eu-west-1", "Tags": TAGS})
    s3.put_bucket_versioning(**named, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_cors(
        **named, CORSConfiguration={"CORSRules": [{"AllowedOrigins": ["*"], "AllowedMethods": ["GET", "HEAD", "PUT"]}]}
    )
    rule = {
        "ID": "old",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
    }
    s3.put_bucket_lifecycle_configuration(**named, LifecycleConfiguration={"Rules": [rule]})
    s3.put_bucket_tagging(**named, Tagging={"TagSet": TAGS})
    for key in ("product-photos/", "sale-photos/", "ml-models/"):
        s3.put_object(**named, Key=key, Body=b"")
    aspects = "versioning encryption ownership_controls lifecycle_configuration cors tagging notification_configuration"
    for aspect in [*aspects.split(), "logging"]:
        getattr(s3, f"get_bucket_{aspect}")(**named, ExpectedBucketOwner="123456789012")
    assert s3.get_bucket_versioning(**named)["Status"] == "Enabled"


def roles(aws: Clients, account: Account) -> tuple[str, str]:
    iam = aws("iam", "us-east-1")
    access, instance = (
        account.create_role("joiabagur-access", "build"),
        account.create_role("joiabagur-instance", "tasks"),
    )
    iam.attach_role_policy(RoleName="joiabagur-access", PolicyArn=ECR_POLICY)
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="joiabagur-instance", PolicyName="access", PolicyDocument=document)
    iam.tag_role(RoleName="joiabagur-instance", Tags=TAGS)
    assert iam.list_role_policies(RoleName="joiabagur-instance")["PolicyNames"] == ["access"]
    assert iam.get_role_policy(RoleName="joiabagur-instance", PolicyName="access")["PolicyDocument"]["Statement"]
    attached = iam.list_attached_role_policies(RoleName="joiabagur-access")["AttachedPolicies"]
    assert [each["PolicyArn"] for each in attached] == [ECR_POLICY]
    assert iam.list_role_tags(RoleName="joiabagur-instance")["Tags"] == TAGS
    return access, instance


def network(aws: Clients) -> dict[str, str]:
    ec2 = aws("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    inside = [{"Name": "vpc-id", "Values": [vpc]}]
    made = {}
    for name in ("database", "service"):
        specification = [{"ResourceType": "security-group", "Tags": TAGS}]
        made[name] = ec2.create_security_group(
            GroupName=f"joiabagur-{name}", Description=name, VpcId=vpc, TagSpecifications=specification
        )["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": made["service"]}]}
    ec2.authorize_security_group_ingress(GroupId=made["database"], IpPermissions=[rule])
    tables = [each["RouteTableId"] for each in ec2.describe_route_tables(Filters=inside)["RouteTables"]]
    made["endpoint"] = ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName="com.amazonaws.eu-west-1.s3", RouteTableIds=tables
    )["VpcEndpoint"]["VpcEndpointId"]
    ec2.create_tags(Resources=[made["endpoint"]], Tags=TAGS)
    found = ec2.describe_security_groups(GroupIds=[made["database"]])["SecurityGroups"][0]
    assert found["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == made["service"]
    return made


def database(aws: Clients, account: Account, group: str) -> None:
    rds = aws("rds")
    rds.create_db_subnet_group(
        DBSubnetGroupName="joiabagur", DBSubnetGroupDescription="d", SubnetIds=account.list_subnets()[:2], Tags=TAGS
    )
    account.create_instance(
        "joiabagur-main",
        DBSubnetGroupName="joiabagur",
        VpcSecurityGroupIds=[group],
        StorageEncrypted=True,
        DeletionProtection=True,
        EngineLifecycleSupport="open-source-rds-extended-support-disabled",
        Tags=TAGS,
    )
    found = account.wait_for_instance("joiabagur-main")
    assert found["TagList"] == TAGS
    assert found["DBSubnetGroup"]["DBSubnetGroupName"] == "joiabagur"
    rds.add_tags_to_resource(ResourceName=found["DBInstanceArn"], Tags=[{"Key": "a", "Value": "1"}])
    rds.remove_tags_from_resource(ResourceName=found["DBInstanceArn"], TagKeys=["a"])
    assert rds.list_tags_for_resource(ResourceName=found["DBInstanceArn"])["TagList"] == TAGS
    assert rds.describe_db_instance_automated_backups(DBInstanceIdentifier="joiabagur-main")[
        "DBInstanceAutomatedBackups"
    ]
    assert rds.describe_pending_maintenance_actions()["PendingMaintenanceActions"] == []


def registry(aws: Clients) -> None:
    ecr, named = aws("ecr"), {"repositoryName": "joiabagur-api"}
    arn = ecr.create_repository(**named, imageTagMutability="IMMUTABLE", tags=TAGS)["repository"]["repositoryArn"]
    ecr.put_lifecycle_policy(**named, lifecyclePolicyText=json.dumps({"rules": [LIFECYCLE]}))
    ecr.put_image_scanning_configuration(**named, imageScanningConfiguration={"scanOnPush": True})
    assert json.loads(ecr.get_lifecycle_policy(**named)["lifecyclePolicyText"]) == {"rules": [LIFECYCLE]}
    assert ecr.list_tags_for_resource(resourceArn=arn)["tags"] == TAGS
    ecr.untag_resource(resourceArn=arn, tagKeys=["none"])
    ecr.tag_resource(resourceArn=arn, tags=TAGS)


def alerts(aws: Clients) -> None:
    sns, cloudwatch, logs = aws("sns"), aws("cloudwatch"), aws("logs")
    topic = sns.create_topic(Name="joiabagur", Tags=TAGS)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@joiabagur.example")
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="joiabagur")
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"] == "joiabagur"
    alarm: dict[str, Any] = {
        "AlarmName": "joiabagur-cpu-credits",
        "Namespace": "AWS/RDS",
        "MetricName": "CPUCreditBalance",
        "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "joiabagur-main"}],
        "Statistic": "Minimum",
        "Period": 300,
        "EvaluationPeriods": 3,
        "Threshold": 20.0,
        "ComparisonOperator": "LessThanThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": [topic],
    }
    cloudwatch.put_metric_alarm(**alarm, Tags=TAGS)
    found = cloudwatch.describe_alarms(AlarmNames=[alarm["AlarmName"]])["MetricAlarms"][0]
    assert {name: found[name] for name in alarm} == alarm
    assert cloudwatch.list_tags_for_resource(ResourceARN=found["AlarmArn"])["Tags"] == TAGS
    logs.create_log_group(logGroupName="/joiabagur", tags=DICT)
    logs.put_retention_policy(logGroupName="/joiabagur", retentionInDays=30)
    group = logs.describe_log_groups(logGroupNamePrefix="/joiabagur")["logGroups"][0]
    assert group["retentionInDays"] == 30
    assert logs.list_tags_for_resource(resourceArn=group["logGroupArn"])["tags"] == DICT


def secret(aws: Clients) -> str:
    client = aws("secretsmanager")
    arn = str(client.create_secret(Name="joiabagur-prod", SecretString="{}", Tags=TAGS)["ARN"])
    client.put_secret_value(SecretId=arn, SecretString='{"a":1}')
    client.tag_resource(SecretId=arn, Tags=[{"Key": "fingerprint", "Value": "x"}])
    client.untag_resource(SecretId=arn, TagKeys=["fingerprint"])
    client.update_secret(SecretId=arn, Description="the application's")
    described = client.describe_secret(SecretId=arn)
    assert (described["Tags"], described["Description"]) == (TAGS, "the application's")
    assert sorted(chain.from_iterable(described["VersionIdsToStages"].values())) == ["AWSCURRENT", "AWSPREVIOUS"]
    return arn


def destroy(aws: Clients, account: Account, service: str, network: dict[str, str]) -> None:
    """Take it all away, in the order AWS asks for."""
    apprunner, rds, ec2, iam = aws("apprunner"), aws("rds"), aws("ec2"), aws("iam")
    apprunner.delete_service(ServiceArn=service)
    account.wait_for_service(service)
    for each in apprunner.list_vpc_connectors()["VpcConnectors"]:
        apprunner.delete_vpc_connector(VpcConnectorArn=each["VpcConnectorArn"])
    rds.modify_db_instance(DBInstanceIdentifier="joiabagur-main", DeletionProtection=False)
    rds.delete_db_instance(DBInstanceIdentifier="joiabagur-main", SkipFinalSnapshot=True)
    wait_until(lambda: rds.describe_db_instances()["DBInstances"], lambda found: found == [])
    rds.delete_db_subnet_group(DBSubnetGroupName="joiabagur")
    ec2.delete_vpc_endpoints(VpcEndpointIds=[network["endpoint"]])
    ec2.delete_security_group(GroupId=network["database"])
    ec2.delete_security_group(GroupId=network["service"])
    iam.detach_role_policy(RoleName="joiabagur-access", PolicyArn=ECR_POLICY)
    iam.delete_role_policy(RoleName="joiabagur-instance", PolicyName="access")
    for name in ("joiabagur-access", "joiabagur-instance"):
        iam.delete_role(RoleName=name)


def test_a_whole_stack(emulator: Emulator, account: Account, aws: Clients) -> None:
    """Made, read and taken away again; not one call is unknown to either backend."""
    bucket(aws)
    access, instance = roles(aws, account)
    made = network(aws)
    database(aws, account, made["database"])
    registry(aws)
    alerts(aws)
    key = secret(aws)
    connector = aws("apprunner").create_vpc_connector(
        VpcConnectorName="joiabagur", Subnets=account.list_subnets()[:2], SecurityGroups=[made["service"]], Tags=TAGS
    )["VpcConnector"]["VpcConnectorArn"]
    run = image_source(IMAGE, access)
    run["ImageRepository"]["ImageConfiguration"] = {"RuntimeEnvironmentSecrets": {"APP": key}}
    service = aws("apprunner").create_service(
        ServiceName="joiabagur-api",
        SourceConfiguration=run,
        InstanceConfiguration={"Cpu": "0.25 vCPU", "Memory": "0.5 GB", "InstanceRoleArn": instance},
        NetworkConfiguration={"EgressConfiguration": {"EgressType": "VPC", "VpcConnectorArn": connector}},
        Tags=TAGS,
    )["Service"]["ServiceArn"]
    assert account.wait_for_service(service)["Status"] == "RUNNING"
    destroy(aws, account, service, made)

    assert {call.name: call.error for call in emulator.calls if call.error} == {}
