"""What somebody with a workflow's credentials must not be able to do, written apart from the tables of the product."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from tests.bootstrap.iam_requests import Context, Environment
from tests.bootstrap.policy_evaluator import Request

SHOP = Environment("shop", "prod")
ROLE = "arn:aws:iam::123456789012:role"
OURS = {f"aws:ResourceTag/{key}": value for key, value in SHOP.tags.items()}
OUR_MARKS = {f"aws:RequestTag/{key}": value for key, value in SHOP.tags.items()}
OTHER_PROJECT = {**OURS, "aws:ResourceTag/orchestrator:project": "other"}
OTHER_ENVIRONMENT = {**OURS, "aws:ResourceTag/orchestrator:environment": "staging"}
HALF_OURS = {"aws:ResourceTag/orchestrator:project": "shop"}
OTHER_HALF_OURS = {"aws:ResourceTag/orchestrator:environment": "prod"}
FOREIGN: tuple[Mapping[str, str], ...] = ({}, OTHER_PROJECT, OTHER_ENVIRONMENT, HALF_OURS, OTHER_HALF_OURS)
"""Tags of what is not ours: none, another project's, another environment's, half of ours."""
BOUNDED = {"iam:PermissionsBoundary": SHOP.boundary}
PLAIN_ROLE = f"{ROLE}{SHOP.role_path}shop-prod-api-task"
ADMIN_POLICY = "arn:aws:iam::aws:policy/AdministratorAccess"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"
BUCKET_KEY = "arn:aws:kms:eu-west-1:123456789012:key/66666666-2222-3333-4444-555555555555"
ANY_KEY = "arn:aws:kms:eu-west-1:123456789012:key/0a1b"
TAGGED_ARNS = {
    SHOP.arn("ec2", "security-group/sg-9"): (
        "AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress DeleteSecurityGroup RevokeSecurityGroupEgress"
        " RevokeSecurityGroupIngress"
    ),
    SHOP.arn("ec2", "vpc-endpoint/vpce-9"): "DeleteVpcEndpoints ModifyVpcEndpoint",
    SHOP.arn("cloudfront", "distribution/E1ABCDEFGHIJKL", regional=False): (
        "CreateInvalidation DeleteDistribution GetDistribution GetDistributionConfig UpdateDistribution"
    ),
}
"""Resources whose ARNs tell nothing, so that only tags say whose they are."""


def all_attacks() -> list[Request]:
    """Every request that both roles must be denied."""
    parts = (_on_tagged_resources(), _marks(), _unmarked_creations(), _roles(), _passed_roles(), _others_data())
    return [*chain.from_iterable(parts), *_on_tasks()]


def _on_tasks() -> Iterator[Request]:
    """Tasks of others in the same cluster, and a task that is marked as somebody else's."""
    task = SHOP.arn("ecs", "task/default/0a1b")
    for tags in FOREIGN:
        yield Request("ecs:StopTask", task, tags)
        marks = {key.replace("ResourceTag", "RequestTag"): value for key, value in tags.items()}
        yield Request("ecs:TagResource", task, marks)


def _each(service: str, actions: str, arn: str, context: Mapping[str, str] | None = None) -> Iterator[Request]:
    yield from (Request(f"{service}:{action}", arn, context or {}) for action in actions.split())


def _on_tagged_resources() -> Iterator[Request]:
    for arn, actions in TAGGED_ARNS.items():
        service = arn.split(":")[2]
        for action in actions.split():
            yield from (Request(f"{service}:{action}", arn, tags) for tags in FOREIGN)


def _marks() -> Iterator[Request]:
    """Our marks on foreign things, which would make them ours; and our things given away."""
    group, endpoint, distribution = TAGGED_ARNS
    keys = (*SHOP.tags, "team")
    for arn in (group, endpoint):
        for tags in FOREIGN:
            yield Request("ec2:CreateTags", arn, {**tags, **OUR_MARKS, "aws:TagKeys": keys})
            yield Request(
                "ec2:CreateTags", arn, {**tags, "aws:RequestTag/AmazonECSManaged": "true", "aws:TagKeys": ("x",)}
            )
            yield Request("ec2:DeleteTags", arn, {**tags, "aws:TagKeys": keys})
        yield Request("ec2:CreateTags", arn, {**OUR_MARKS, "aws:TagKeys": keys, "ec2:CreateAction": "RunInstances"})
        for mark in OUR_MARKS:
            marks: Context = {**OUR_MARKS, mark: "other", "aws:TagKeys": keys}
            yield Request("ec2:CreateTags", arn, {**OURS, **marks})
            yield Request("ec2:CreateTags", arn, {**marks, "ec2:CreateAction": "CreateSecurityGroup"})
    yield Request("ec2:CreateTags", group, {"aws:TagKeys": (SHOP.usage_tag,)})
    yield Request("ec2:CreateTags", group, {**OTHER_PROJECT, "aws:TagKeys": (SHOP.usage_tag,)})
    yield Request("ec2:CreateTags", endpoint, {"aws:TagKeys": (SHOP.usage_tag,)})
    yield Request("ec2:CreateTags", endpoint, {**OTHER_PROJECT, "aws:TagKeys": (SHOP.usage_tag, *keys)})
    shared, used = {"aws:ResourceTag/orchestrator:shared": "true"}, {f"aws:ResourceTag/{SHOP.usage_tag}": "cdn.web"}
    yield Request("ec2:CreateTags", endpoint, {**shared, **OUR_MARKS, "aws:TagKeys": keys})
    yield from _each("ec2", "DeleteVpcEndpoints ModifyVpcEndpoint", endpoint, {**OTHER_PROJECT, **used})
    yield Request("ec2:CreateTags", SHOP.arn("ec2", "instance/i-1"), {**OUR_MARKS, "ec2:CreateAction": "CreateTags"})
    yield from (Request("cloudfront:TagResource", distribution, {**tags, **OUR_MARKS}) for tags in FOREIGN)
    for mark in OUR_MARKS:
        yield Request("cloudfront:TagResource", distribution, {**OURS, **OUR_MARKS, mark: "other"})
    yield Request("ecs:TagResource", SHOP.arn("ecs", "service/default/other"), OUR_MARKS)
    yield Request("rds:AddTagsToResource", SHOP.arn("rds", "snapshot:other-final"), OUR_MARKS)


def _unmarked_creations() -> Iterator[Request]:
    """Things that would be nobody's, or another environment's."""
    creations = {
        "ec2:CreateSecurityGroup": SHOP.arn("ec2", "security-group/sg-9"),
        "ec2:CreateVpcEndpoint": SHOP.arn("ec2", "vpc-endpoint/vpce-9"),
        "cloudfront:CreateDistribution": SHOP.arn("cloudfront", "distribution/*", regional=False),
        "cloudfront:TagResource": SHOP.arn("cloudfront", "distribution/*", regional=False),
    }
    for action, arn in creations.items():
        yield Request(action, arn)
        yield from (Request(action, arn, {**OUR_MARKS, mark: "other"}) for mark in OUR_MARKS)


def _roles() -> Iterator[Request]:
    """Users, other roles, the workflows' own roles, roles without the boundary, and the boundary itself."""
    others = ("/admin", "/orchestrator/other/prod/x", "/orchestrator/shop/prod.github/shop-prod-deploy")
    for role in others:
        yield Request("sts:AssumeRole", f"{ROLE}{role}")
        for action in ("PutRolePolicy", "UpdateAssumeRolePolicy", "DeleteRole", "CreateRole", "TagRole"):
            yield Request(f"iam:{action}", f"{ROLE}{role}", BOUNDED)
        yield Request("iam:AttachRolePolicy", f"{ROLE}{role}", {**BOUNDED, "iam:PolicyARN": ADMIN_POLICY})
    for context in ({}, {"iam:PermissionsBoundary": ADMIN_POLICY}):
        for action in (
            "CreateRole",
            "PutRolePolicy",
            "DeleteRolePolicy",
            "DetachRolePolicy",
            "PutRolePermissionsBoundary",
        ):
            yield Request(f"iam:{action}", PLAIN_ROLE, context)
        for policy in (ADMIN_POLICY, *ATTACHED_POLICIES):
            yield Request("iam:AttachRolePolicy", PLAIN_ROLE, {**context, "iam:PolicyARN": policy})
    yield Request("iam:AttachRolePolicy", PLAIN_ROLE, {**BOUNDED, "iam:PolicyARN": ADMIN_POLICY})
    yield Request("iam:DeleteRolePermissionsBoundary", PLAIN_ROLE, BOUNDED)
    yield from _each("iam", "UpdateRole", f"{ROLE}{others[-1]}", BOUNDED)
    yield from _each("iam", "UpdateRole", PLAIN_ROLE, BOUNDED)
    yield from _each("iam", "CreatePolicyVersion DeletePolicy", SHOP.boundary)
    yield from (
        Request(f"iam:{action}", "arn:aws:iam::123456789012:user/eve") for action in ("CreateUser", "CreateAccessKey")
    )
    yield Request("iam:UpdateOpenIDConnectProviderThumbprint", "arn:aws:iam::123456789012:oidc-provider/x")
    linked = f"{ROLE}/aws-service-role/organizations.amazonaws.com/x"
    yield Request("iam:CreateServiceLinkedRole", linked, {"iam:AWSServiceName": "organizations.amazonaws.com"})
    yield Request("organizations:LeaveOrganization", "*")


ATTACHED_POLICIES = (
    "arn:aws:iam::aws:policy/service-role/AWSAppRunnerServicePolicyForECRAccess",
    "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy",
    "arn:aws:iam::aws:policy/service-role/AmazonECSInfrastructureRoleforExpressGatewayServices",
    "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess",
)


def _passed_roles() -> Iterator[Request]:
    """Roles passed on to code that somebody else runs."""
    for service in ("ec2", "lambda", "monitoring.rds"):
        yield Request("iam:PassRole", PLAIN_ROLE, {"iam:PassedToService": f"{service}.amazonaws.com"})
    for service in ("tasks.apprunner", "ecs-tasks", "monitoring.rds"):
        yield Request("iam:PassRole", f"{ROLE}/admin", {"iam:PassedToService": f"{service}.amazonaws.com"})
    monitoring = f"{ROLE}/rds-monitoring"
    yield Request("iam:PassRole", monitoring, {"iam:PassedToService": "ec2.amazonaws.com"})
    yield Request("iam:PassRole", monitoring)


def _others_data() -> Iterator[Request]:
    """Data, secrets, keys and services of others."""
    yield from (
        Request(f"s3:{action}", "arn:aws:s3:::payroll") for action in ("ListBucket", "PutBucketPolicy", "DeleteBucket")
    )
    yield from (
        Request(f"s3:{action}", "arn:aws:s3:::payroll/1.csv") for action in ("GetObject", "PutObject", "DeleteObject")
    )
    yield Request("s3:GetObject", "arn:aws:s3:::shop-files/photos/1.jpg")
    for action in ("GetSecretValue", "PutSecretValue", "DeleteSecret", "UpdateSecret"):
        yield Request(f"secretsmanager:{action}", SHOP.arn("secretsmanager", "secret:other-a1B2c3"))
    yield Request("secretsmanager:GetSecretValue", SHOP.arn("secretsmanager", "secret:rds!db-0f3c-a1B2c3"))
    yield from _each("kms", "Decrypt GenerateDataKey", BUCKET_KEY)
    yield from _each("kms", "Decrypt GenerateDataKey", ANY_KEY, {"kms:ResourceAliases": "alias/shop-files"})
    yield Request("kms:CreateGrant", KEY)
    yield Request("kms:CreateGrant", KEY, {"kms:GrantIsForAWSResource": "false"})
    yield from _each("kms", "Decrypt CreateGrant", KEY.replace("1111", "9999"))
    yield Request("kms:Decrypt", KEY.replace("1111", "9999"), {"kms:ViaService": "s3.eu-west-1.amazonaws.com"})
    for alias in ("alias/other", ""):
        context = {"kms:ViaService": "s3.eu-west-1.amazonaws.com", **({"kms:ResourceAliases": alias} if alias else {})}
        yield from _each("kms", "Decrypt GenerateDataKey", ANY_KEY, context)
    yield Request("apprunner:DescribeService", SHOP.arn("apprunner", "service/other/0a"))
    yield Request("apprunner:DeleteService", SHOP.arn("apprunner", "service/other/0a"))
    yield Request("ecs:DeleteExpressGatewayService", SHOP.arn("ecs", "service/default/other"))
    yield from (
        Request(f"ecs:{action}", SHOP.arn("ecs", "task-definition/x:1")) for action in ("RunTask", "UpdateService")
    )
    yield from _each("rds", "ModifyDBInstance DeleteDBInstance", SHOP.arn("rds", "db:other"))
    yield Request("ecr:PutImage", SHOP.arn("ecr", "repository/other"))
    yield Request("ecr:DeleteRepository", SHOP.arn("ecr", "repository/other"))
    yield Request("ec2:RunInstances", SHOP.arn("ec2", "instance/*"))
    yield Request("ec2:DeleteVpc", SHOP.arn("ec2", "vpc/vpc-1"), OURS)
    balancer = SHOP.arn("elasticloadbalancing", "loadbalancer/app/theirs/1")
    yield Request(
        "elasticloadbalancing:DeleteLoadBalancer", balancer, {**OURS, "aws:ResourceTag/AmazonECSManaged": "true"}
    )


def plan_attacks() -> list[Request]:
    """What a pull request must be denied in addition."""
    return [
        Request("kms:Decrypt", KEY),
        Request("kms:Decrypt", KEY, {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}),
        Request("kms:Decrypt", KEY, {"kms:ResourceAliases": "alias/shop-files"}),
        Request("secretsmanager:GetSecretValue", SHOP.arn("secretsmanager", "secret:shop-app-a1B2c3")),
        Request("s3:PutObject", "arn:aws:s3:::shop-releases/ledger.json"),
    ]
