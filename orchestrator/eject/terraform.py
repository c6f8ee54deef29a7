"""Write the Terraform configuration that imports an environment.

Source of the ids: the "Import" section of each resource's page in the AWS provider's documentation.  Terraform
generates the configuration of what it imports (``plan -generate-config-out``), except of three types whose generated
configuration its own provider refuses: those are written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from orchestrator.eject.owned_resources import Inventory, OwnedResource, list_log_groups
from orchestrator.eject.terraform_language import Block, Expression, render
from orchestrator.values import to_json

PROVIDER_VERSION = ">= 5.100"
EXPRESS_PROVIDER_VERSION = ">= 6.23"
"""The first version of the provider that has ``aws_ecs_express_gateway_service``."""
BUCKET_PARTS = {
    "versioning": "aws_s3_bucket_versioning",
    "encryption": "aws_s3_bucket_server_side_encryption_configuration",
    "public_access": "aws_s3_bucket_public_access_block",
    "ownership": "aws_s3_bucket_ownership_controls",
    "lifecycle": "aws_s3_bucket_lifecycle_configuration",
}
"""Fields of a bucket's spec that are resources of their own in Terraform."""


class TerraformImport(Struct, frozen=True):
    """One ``import`` block: the type and id in Terraform; ``suffix`` tells several of one resource apart."""

    type: str
    id: str
    suffix: str = ""


def list_imports(resource: OwnedResource) -> tuple[TerraformImport, ...]:
    """Return the imports of one resource.  Raises KeyError if its type is not known."""
    return tuple(_IMPORTS[resource.type](resource))


def render_files(inventory: Inventory) -> dict[str, str]:
    """Return the configuration by file name."""
    imports = [
        Block("import", (), {"to": Expression(f"{item.type}.{_label(resource, item)}"), "id": item.id})
        for resource in inventory.resources
        for item in list_imports(resource)
    ]
    written = [
        Block(
            "resource",
            (item.type, _label(resource, item)),
            _CONFIGURATIONS[resource.type](resource),
            _GUARDS.get(resource.type, ()),
        )
        for resource in inventory.resources
        if resource.type in _CONFIGURATIONS
        for item in list_imports(resource)[:1]
    ]
    has_express = any(resource.type == "ecs_express_service" for resource in inventory.resources)
    version = EXPRESS_PROVIDER_VERSION if has_express else PROVIDER_VERSION
    provider = Block("required_providers", (), {"aws": {"source": "hashicorp/aws", "version": version}})
    settings = [Block("terraform", blocks=(provider,)), Block("provider", ("aws",), {"region": inventory.scope.region})]
    return {"versions.tf": render(settings), "imports.tf": render(imports), "main.tf": render(written)}


def _label(resource: OwnedResource, item: TerraformImport) -> str:
    label = f"{resource.label}_{item.suffix}" if item.suffix else resource.label
    return label if label[0].isalpha() else f"_{label}"


def _by_name(kind: str) -> Callable[[OwnedResource], Iterator[TerraformImport]]:
    def imports(resource: OwnedResource) -> Iterator[TerraformImport]:
        yield TerraformImport(kind, resource.physical)

    return imports


def _by_output(kind: str, output: str) -> Callable[[OwnedResource], Iterator[TerraformImport]]:
    def imports(resource: OwnedResource) -> Iterator[TerraformImport]:
        yield TerraformImport(kind, resource.output(output))

    return imports


def _import_bucket(resource: OwnedResource) -> Iterator[TerraformImport]:
    yield TerraformImport("aws_s3_bucket", resource.physical)
    for field, kind in BUCKET_PARTS.items():
        if resource.spec.get(field):
            yield TerraformImport(kind, resource.physical)


def _import_repository(resource: OwnedResource) -> Iterator[TerraformImport]:
    yield TerraformImport("aws_ecr_repository", resource.physical)
    if resource.spec.get("lifecycle"):
        yield TerraformImport("aws_ecr_lifecycle_policy", resource.physical)


def _import_role(resource: OwnedResource) -> Iterator[TerraformImport]:
    yield TerraformImport("aws_iam_role", resource.physical)
    if resource.spec.get("policy"):
        yield TerraformImport("aws_iam_role_policy", f"{resource.physical}:orchestrator")
    for arn in resource.spec.get("attached") or ():
        suffix = arn.rpartition("/")[2].lower().replace("-", "_").replace(".", "_")
        yield TerraformImport("aws_iam_role_policy_attachment", f"{resource.physical}/{arn}", suffix)


def _import_topic(resource: OwnedResource) -> Iterator[TerraformImport]:
    """Yield the topic and its confirmed subscriptions; one that waits for its owner has no ARN yet."""
    yield TerraformImport("aws_sns_topic", resource.output("arn"))
    subscriptions: Mapping[str, str] = resource.live.private.get("subscriptions", {})
    for position, arn in enumerate(sorted(arn for arn in subscriptions.values() if arn.startswith("arn:"))):
        yield TerraformImport("aws_sns_topic_subscription", arn, str(position))


def _import_app_runner(resource: OwnedResource) -> Iterator[TerraformImport]:
    yield TerraformImport("aws_apprunner_service", resource.output("arn"))
    yield from _import_log_groups(resource)


def _import_express(resource: OwnedResource) -> Iterator[TerraformImport]:
    yield TerraformImport("aws_ecs_express_gateway_service", resource.output("arn"))
    yield from _import_log_groups(resource)


def _import_log_groups(resource: OwnedResource) -> Iterator[TerraformImport]:
    for name, _ in list_log_groups(resource):
        yield TerraformImport("aws_cloudwatch_log_group", name, name.rpartition("/")[2].replace("-", "_"))


def _import_budget(resource: OwnedResource) -> Iterator[TerraformImport]:
    yield TerraformImport("aws_budgets_budget", f"{resource.scope.account}:{resource.physical}")


_IMPORTS: Mapping[str, Callable[[OwnedResource], Iterator[TerraformImport]]] = {
    "apprunner_autoscaling": _by_output("aws_apprunner_auto_scaling_configuration_version", "arn"),
    "apprunner_connector": _by_output("aws_apprunner_vpc_connector", "arn"),
    "apprunner_observability": _by_output("aws_apprunner_observability_configuration", "arn"),
    "apprunner_service": _import_app_runner,
    "budgets_budget": _import_budget,
    "cloudfront_distribution": _by_output("aws_cloudfront_distribution", "id"),
    "cloudfront_function": _by_name("aws_cloudfront_function"),
    "cloudfront_headers": _by_output("aws_cloudfront_response_headers_policy", "id"),
    "cloudfront_oac": _by_output("aws_cloudfront_origin_access_control", "id"),
    "cloudwatch_alarm": _by_name("aws_cloudwatch_metric_alarm"),
    "ec2_security_group": _by_output("aws_security_group", "id"),
    "ec2_vpc_endpoint": _by_output("aws_vpc_endpoint", "id"),
    "ecr_repository": _import_repository,
    "ecs_express_service": _import_express,
    "iam_role": _import_role,
    "rds_instance": _by_name("aws_db_instance"),
    "rds_parameter_group": _by_name("aws_db_parameter_group"),
    "rds_subnet_group": _by_name("aws_db_subnet_group"),
    "s3_bucket": _import_bucket,
    "s3_bucket_cors": _by_name("aws_s3_bucket_cors_configuration"),
    "s3_bucket_policy": _by_name("aws_s3_bucket_policy"),
    "secretsmanager_secret": _by_output("aws_secretsmanager_secret", "arn"),
    "sns_topic": _import_topic,
}


def _configure_alarm(resource: OwnedResource) -> dict[str, object]:
    spec = resource.spec
    return {
        "alarm_name": resource.physical,
        "alarm_description": spec["description"],
        "namespace": spec["namespace"],
        "metric_name": spec["metric"],
        "dimensions": spec["dimensions"],
        "statistic": spec["statistic"],
        "period": spec["period"],
        "evaluation_periods": spec["evaluation_periods"],
        "comparison_operator": spec["comparison"],
        "threshold": spec["threshold"],
        "treat_missing_data": spec["missing"],
        "actions_enabled": spec["actions_enabled"],
        "alarm_actions": spec["actions"],
        "ok_actions": spec["ok_actions"],
        "tags": resource.tags,
    }


def _configure_topic(resource: OwnedResource) -> dict[str, object]:
    spec = resource.spec
    policy = to_json(spec["policy"]) if spec.get("policy") else None
    return {
        "name": resource.physical,
        "display_name": spec.get("display_name") or None,
        "kms_master_key_id": spec.get("kms_key"),
        "policy": policy,
        "tags": resource.tags,
    }


_INSTANCE_ARGUMENTS = {
    "engine": "engine",
    "instance_class": "instance_class",
    "allocated_storage": "storage_gb",
    "max_allocated_storage": "storage_max_gb",
    "storage_type": "storage_type",
    "iops": "iops",
    "storage_throughput": "throughput",
    "storage_encrypted": "encrypted",
    "kms_key_id": "kms_key",
    "db_name": "database",
    "username": "username",
    "port": "port",
    "db_subnet_group_name": "subnet_group",
    "vpc_security_group_ids": "security_groups",
    "parameter_group_name": "parameter_group",
    "multi_az": "multi_az",
    "publicly_accessible": "public",
    "ca_cert_identifier": "ca_certificate",
    "backup_retention_period": "backup_retention_days",
    "backup_window": "backup_window",
    "maintenance_window": "maintenance_window",
    "copy_tags_to_snapshot": "copy_tags_to_snapshots",
    "auto_minor_version_upgrade": "minor_upgrades",
    "engine_lifecycle_support": "lifecycle_support",
    "deletion_protection": "deletion_protection",
    "iam_database_authentication_enabled": "iam_authentication",
    "enabled_cloudwatch_logs_exports": "logs",
    "performance_insights_enabled": "insights",
    "performance_insights_retention_period": "insights_retention_days",
    "monitoring_interval": "monitoring_seconds",
    "monitoring_role_arn": "monitoring_role",
}
"""Argument of ``aws_db_instance`` and field of our spec.  The password is not among them: it stays as it is."""


def _configure_instance(resource: OwnedResource) -> dict[str, object]:
    arguments = {argument: resource.spec.get(field) for argument, field in _INSTANCE_ARGUMENTS.items()}
    final_snapshot = {"skip_final_snapshot": False, "final_snapshot_identifier": f"{resource.physical}-final"}
    version = resource.live.private["version"]
    return {
        "identifier": resource.physical,
        "engine_version": version,
        **arguments,
        "tags": resource.tags,
        **final_snapshot,
    }


_CONFIGURATIONS: Mapping[str, Callable[[OwnedResource], dict[str, object]]] = {
    "cloudwatch_alarm": _configure_alarm,
    "rds_instance": _configure_instance,
    "sns_topic": _configure_topic,
}
"""Types whose generated configuration the provider refuses: it writes 0 for a number that AWS left out, and () for a
list that needs two items."""
_GUARDS = {
    "rds_instance": (Block("lifecycle", (), {"prevent_destroy": True, "ignore_changes": [Expression("password")]}),)
}
EXPORTED_TYPES = frozenset(_IMPORTS)
"""Resource types that are exported."""
