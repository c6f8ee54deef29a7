"""Find what the deletion of a rehearsal left in AWS.  Only reads."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.aws import Clients
from orchestrator.rehearsal import Leftover


def log_group_prefix(name_prefix: str) -> str:
    """Return how the names of the log groups of ECS services begin."""
    return f"/ecs/{name_prefix}-"


def find_leftovers(clients: Clients, name_prefix: str) -> Iterator[Leftover]:
    """Yield log groups, security groups, buckets and load balancers whose names say that they are of a rehearsal.

    Raises AwsError.
    """
    for page in clients.pages("logs", "describe_log_groups", {"logGroupNamePrefix": log_group_prefix(name_prefix)}):
        for group in page["logGroups"]:
            name = group["logGroupName"]
            yield Leftover(
                f"log group {name}", "less than 0.01 USD", f"aws logs delete-log-group --log-group-name {name}"
            )
    filters = [{"Name": "group-name", "Values": [f"{name_prefix}*"]}]
    for page in clients.pages("ec2", "describe_security_groups", {"Filters": filters}):
        for group in page["SecurityGroups"]:
            command = f"aws ec2 delete-security-group --group-id {group['GroupId']}"
            yield Leftover(f"security group {group['GroupName']}", "nothing", command)
    for bucket in clients.call("s3", "list_buckets", {})["Buckets"]:
        if bucket["Name"].startswith(name_prefix):
            command = f"aws s3 rb --force s3://{bucket['Name']}"
            yield Leftover(f"bucket {bucket['Name']}", "less than 0.01 USD", command)
    for page in clients.pages("elbv2", "describe_load_balancers", {}):
        for balancer in page["LoadBalancers"]:
            if balancer["LoadBalancerName"].startswith("ecs-express"):
                command = f"aws elbv2 delete-load-balancer --load-balancer-arn {balancer['LoadBalancerArn']}"
                cost = "25 USD a month, unless other Express services use it"
                yield Leftover(f"load balancer {balancer['LoadBalancerName']}", cost, command)
