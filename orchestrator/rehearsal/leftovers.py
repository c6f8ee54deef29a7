"""Find what the deletion of a rehearsal left in AWS, with its price and the command that deletes it.  Only reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from orchestrator.aws import Clients
from orchestrator.rehearsal import Leftover

_CENTS = "less than 0.01 USD a month"
_LOG_GROUP_PREFIXES = ("/ecs/{prefix}-", "/aws/rds/instance/{prefix}-")


def list_log_groups(clients: Clients, name_prefix: str) -> Iterator[str]:
    """Yield the log groups of ECS services and databases.  Raises AwsError."""
    for template in _LOG_GROUP_PREFIXES:
        request = {"logGroupNamePrefix": template.format(prefix=name_prefix)}
        for page in clients.pages("logs", "describe_log_groups", request):
            yield from (group["logGroupName"] for group in page["logGroups"])


def list_snapshots(clients: Clients, name_prefix: str) -> Iterator[str]:
    """Yield the manual snapshots of databases.  Raises AwsError."""
    for page in clients.pages("rds", "describe_db_snapshots", {"SnapshotType": "manual"}):
        names = (snapshot["DBSnapshotIdentifier"] for snapshot in page["DBSnapshots"])
        yield from (name for name in names if name.startswith(f"{name_prefix}-"))


def find_leftovers(clients: Clients, name_prefix: str) -> Iterator[Leftover]:
    """Yield everything whose name says that it is of a rehearsal.  Raises AwsError."""
    for find in _FINDERS:
        yield from find(clients, name_prefix)


def _find_logs(clients: Clients, name_prefix: str) -> Iterator[Leftover]:
    for name in list_log_groups(clients, name_prefix):
        yield Leftover(f"log group {name}", _CENTS, f"aws logs delete-log-group --log-group-name {name}")


def _find_backups(clients: Clients, name_prefix: str) -> Iterator[Leftover]:
    for name in list_snapshots(clients, name_prefix):
        command = f"aws rds delete-db-snapshot --db-snapshot-identifier {name}"
        yield Leftover(f"snapshot {name}", "up to 2 USD a month for 20 GB", command)
    for page in clients.pages("rds", "describe_db_instance_automated_backups", {}):
        for backup in page["DBInstanceAutomatedBackups"]:
            if backup["DBInstanceIdentifier"].startswith(f"{name_prefix}-"):
                resource = backup["DbiResourceId"]
                command = f"aws rds delete-db-instance-automated-backup --dbi-resource-id {resource}"
                cost = "up to 2 USD a month for 20 GB, until it expires"
                yield Leftover(f"automated backup of {backup['DBInstanceIdentifier']}", cost, command)


def _find_secrets(clients: Clients, name_prefix: str) -> Iterator[Leftover]:
    for page in clients.pages("secretsmanager", "list_secrets", {"IncludePlannedDeletion": True}):
        for secret in page["SecretList"]:
            if secret["Name"].startswith(f"{name_prefix}-"):
                is_scheduled = "DeletedDate" in secret
                command = (
                    f"aws secretsmanager delete-secret --force-delete-without-recovery --secret-id {secret['Name']}"
                )
                note = ", which can be restored until its recovery window ends" if is_scheduled else ""
                name = f"secret {secret['Name']}{note}"
                yield Leftover(name, "nothing" if is_scheduled else "0.40 USD a month", command)


def _find_network(clients: Clients, name_prefix: str) -> Iterator[Leftover]:
    filters = [{"Name": "group-name", "Values": [f"{name_prefix}*"]}]
    for page in clients.pages("ec2", "describe_network_interfaces", {"Filters": filters}):
        for interface in page["NetworkInterfaces"]:
            name = interface["NetworkInterfaceId"]
            command = f"aws ec2 delete-network-interface --network-interface-id {name}"
            yield Leftover(f"network interface {name}, which AWS deletes within an hour", "nothing", command)
    for page in clients.pages("ec2", "describe_security_groups", {"Filters": filters}):
        for group in page["SecurityGroups"]:
            command = f"aws ec2 delete-security-group --group-id {group['GroupId']}"
            yield Leftover(f"security group {group['GroupName']}", "nothing", command)


def _find_buckets(clients: Clients, name_prefix: str) -> Iterator[Leftover]:
    for bucket in clients.call("s3", "list_buckets", {})["Buckets"]:
        if bucket["Name"].startswith(f"{name_prefix}-"):
            yield Leftover(f"bucket {bucket['Name']}", _CENTS, f"aws s3 rb --force s3://{bucket['Name']}")


def _find_load_balancers(clients: Clients, name_prefix: str) -> Iterator[Leftover]:
    for page in clients.pages("elbv2", "describe_load_balancers", {}):
        for balancer in page["LoadBalancers"]:
            if balancer["LoadBalancerName"].startswith("ecs-express"):
                command = f"aws elbv2 delete-load-balancer --load-balancer-arn {balancer['LoadBalancerArn']}"
                cost = "25 USD a month, unless other Express services use it"
                yield Leftover(f"load balancer {balancer['LoadBalancerName']}", cost, command)


_FINDERS: tuple[Callable[[Any, str], Iterator[Leftover]], ...] = (
    _find_logs,
    _find_backups,
    _find_secrets,
    _find_network,
    _find_buckets,
    _find_load_balancers,
)
