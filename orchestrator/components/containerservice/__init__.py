"""A container that answers HTTP: image repository, roles, scaling, network, the App Runner service, its alarm.  Pure.

The service gets a role with exactly what `access` says, secrets by injection (which does not travel through the VPC),
and a connector into the VPC only when it uses a database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.artefacts import Image
from orchestrator.components import Grant, Stack
from orchestrator.components.containerservice.alarms import server_errors
from orchestrator.components.containerservice.checks import RELEASE, check
from orchestrator.components.containerservice.injection import fingerprints, injected, secret_arn, variables
from orchestrator.components.containerservice.migration import migration
from orchestrator.model import Component, Resource, Scope
from orchestrator.problems import Problems
from orchestrator.tags import claim
from orchestrator.values import Ref, Value, WriteOnly

__all__ = ["check", "expand", "exports", "grants", "notes"]

PULL = "arn:aws:iam::aws:policy/service-role/AWSAppRunnerServicePolicyForECRAccess"
TRACE = "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"
PUBLIC_REGISTRY = "public.ecr.aws/"
FIRST = {"database": "rds_instance", "secret": "secretsmanager_value"}
"""What must be there before a service that uses it starts."""
SERVICE_NAME = 32
"""The service, its scaling and its connectors share one name; scaling has the shortest limit."""
ROLE_NAME = 64
UNTAGGED_DAYS = 7


def exports(component: Component, scope: Scope) -> Mapping[str, Value]:
    """Its address, and the name it has in App Runner."""
    service = f"apprunner_service.{component.name}"
    return {"url": Ref(service, "url"), "host": Ref(service, "host"), "name": _name(component, scope)}


def grants(component: Component, scope: Scope) -> Iterator[Grant]:
    """A way to each database, and the secrets it is given."""
    group = Ref(f"ec2_security_group.{component.name}", "id")
    for handle in _databases(component):
        yield Grant(handle, component.handle, "connect", {"security_group": group})
    for handle in injected(component):
        yield Grant(handle, component.handle, "inject")


def notes(component: Component, stack: Stack) -> Iterator[str]:
    """What the VPC costs a service that fetches a secret by itself."""
    fetched = [h for h in component.spec["access"] if h.startswith("secret.") and h not in injected(component)]
    if fetched and _databases(component):
        names = ", ".join(fetched)
        yield (
            f"{component.handle} reaches everything through the VPC, because it uses a database, and reads {names} by "
            "itself: that call needs an interface endpoint for Secrets Manager (about 8 USD a month and zone) or a NAT "
            "gateway (about 35 USD a month). A secret under `secrets` is injected instead, at no cost; S3 goes through "
            "the free gateway endpoint."
        )


def expand(component: Component, stack: Stack) -> list[Resource]:
    """Its resources, what others need first."""
    parts = [*_repository(component, stack), *_image(component, stack)]
    parts += [*_roles(component, stack), *_network(component, stack), *migration(component, stack)]
    return [*parts, *_scaling(component, stack), _service(component, stack), *_alarms(component, stack)]


def _make(  # noqa: PLR0913 - a resource is what it is
    component: Component,
    stack: Stack,
    kind: str,
    physical: str,
    spec: Mapping[str, Value],
    *,
    name: str | None = None,
    after: frozenset[str] = frozenset(),
    deletable: bool = False,
) -> Resource:
    marked = {**spec, "tags": claim(stack.scope, component.handle, deletable=deletable)}
    where, adopt = component.where, component.adopt
    return Resource(kind, name or component.name, physical, marked, component.handle, where, after, adopt)


def _repository(component: Component, stack: Stack) -> Iterator[Resource]:
    image = component.spec["image"]
    if "repository" not in image:
        return
    spec = {
        "tag_mutability": "IMMUTABLE",
        "scan_on_push": image["scanOnPush"],
        "encryption": {"type": "AES256", "key": None},
        "lifecycle": _lifecycle(component, stack),
    }
    deletable = image["deletionPolicy"] == "delete"
    yield _make(component, stack, "ecr_repository", image["repository"], spec, deletable=deletable)


def _image(component: Component, stack: Stack) -> Iterator[Resource]:
    """The image that is built here; its name is its repository's and the hash of what goes into it."""
    wanted = component.spec["image"]
    if "build" not in wanted:
        return
    image = _shipped(component, stack)
    repository = wanted["repository"]
    spec: dict[str, Value] = {"repository": repository, "tag": image.tag}
    if image.digest is not None:
        spec["digest"] = image.digest
    else:
        # Where nothing but a count of tags decides what ECR keeps, the tags of layers would push images out.
        build = {**image.build, "keep_layers": stack.release_bucket is not None}
        spec |= {"source": image.build["source"], "build": WriteOnly(build)}
    after = frozenset({f"ecr_repository.{component.name}"})
    physical, where = f"{repository}:{image.tag}", component.where
    yield Resource("ecr_image", component.name, physical, spec, component.handle, where, after)


def _shipped(component: Component, stack: Stack) -> Image:
    image = stack.artefacts.images.get(component.handle)
    if image is None:
        message = f"the image of {component.handle} is not known: the release that is asked for was made without one"
        raise Problems.one(message, where=component.where, hint="orchestrator releases shows which can come back")
    return image


def _lifecycle(component: Component, stack: Stack) -> Mapping[str, Value]:
    """With releases, no rule takes a tagged image away: retention removes what no release needs."""
    untagged = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": UNTAGGED_DAYS,
    }
    about = {f"untagged for {UNTAGGED_DAYS} days": untagged}
    image = component.spec["image"]
    if "build" not in image or stack.release_bucket is None:
        newest = {"tagStatus": "tagged", "tagPatternList": ["*"], "countType": "imageCountMoreThan"}
        about[f"all but the newest {image['keep']}"] = {**newest, "countNumber": image["keep"]}
    rules = [
        {"rulePriority": number, "description": text, "selection": selection, "action": {"type": "expire"}}
        for number, (text, selection) in enumerate(about.items(), start=1)
    ]
    return {"rules": rules}


def _roles(component: Component, stack: Stack) -> Iterator[Resource]:
    statements = _statements(component, stack)
    instance = {
        "path": stack.scope.path,
        "trust": _trust("tasks"),
        "policy": {"Version": "2012-10-17", "Statement": statements} if statements else None,
        "attached": [TRACE] if component.spec["tracing"] else [],
    }
    yield _role(component, stack, "instance", instance)
    if _is_private(component):
        pull = {"path": stack.scope.path, "trust": _trust("build"), "attached": [PULL]}
        yield _role(component, stack, "registry", pull)


def _role(component: Component, stack: Stack, part: str, spec: Mapping[str, Value]) -> Resource:
    physical = _fit(f"{stack.scope.prefix}-{component.name}-{part}", ROLE_NAME)
    if stack.project.spec.get("permissionsBoundary"):
        spec = {**spec, "boundary": stack.scope.boundary}
    return _make(component, stack, "iam_role", physical, spec, name=f"{component.name}-{part}")


def _trust(principal: str) -> Mapping[str, Value]:
    who = {"Service": f"{principal}.apprunner.amazonaws.com"}
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"}],
    }


def _statements(component: Component, stack: Stack) -> list[Mapping[str, Any]]:
    """What the components it may use allow; for an injected secret, reading it, which App Runner does as this role."""
    allowed: list[Mapping[str, Any]] = []
    for handle in dict.fromkeys([*component.spec["access"], *injected(component)]):
        reading = {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"]}
        secret = [{**reading, "Resource": [secret_arn(handle)]}] if handle.startswith("secret.") else []
        allowed.extend(stack.accesses.get(handle) or secret)
    return allowed


def _network(component: Component, stack: Stack) -> Iterator[Resource]:
    if not _databases(component):
        return
    name, scope = component.name, stack.scope
    group: Mapping[str, Value] = {
        "vpc": Ref("ec2_vpc.network", "id"),
        "description": f"{component.handle} of {scope.owner}",
        "ingress": [],
        "egress": [{"protocol": "-1", "port": "all", "source": "0.0.0.0/0"}],
    }
    yield _make(component, stack, "ec2_security_group", f"{scope.prefix}-{name}", group)
    connector = {
        "subnets": Ref("ec2_vpc.network", "subnets"),
        "security_groups": [Ref(f"ec2_security_group.{name}", "id")],
    }
    yield _make(component, stack, "apprunner_connector", _name(component, scope), connector)


def _scaling(component: Component, stack: Stack) -> Iterator[Resource]:
    instances = component.spec["instances"]
    spec = {
        "min_size": instances["min"],
        "max_size": instances["max"],
        "max_concurrency": instances["concurrency"],
    }
    yield _make(component, stack, "apprunner_autoscaling", _name(component, stack.scope), spec)
    if component.spec["tracing"]:
        yield _make(component, stack, "apprunner_observability", _name(component, stack.scope), {})


def _service(component: Component, stack: Stack) -> Resource:
    wanted, name = component.spec, component.name
    private = _is_private(component)
    spec = {
        "image": wanted["image"].get("prebuilt") or Ref(f"ecr_image.{name}", "reference"),
        "image_repository_type": "ECR" if private else "ECR_PUBLIC",
        "port": wanted["port"],
        "command": wanted.get("command"),
        "environment": {**wanted["environment"], **fingerprints(component), **_release(component, stack)},
        "secrets": variables(component, stack),
        "access_role": Ref(f"iam_role.{name}-registry", "arn") if private else None,
        "instance_role": Ref(f"iam_role.{name}-instance", "arn"),
        "cpu": f"{wanted['cpu']:g} vCPU",
        "memory": f"{wanted['memory']:g} GB",
        "health": _health(wanted["health"]),
        "autoscaling": Ref(f"apprunner_autoscaling.{name}", "arn"),
        "connector": Ref(f"apprunner_connector.{name}", "arn") if _databases(component) else None,
        "observability": Ref(f"apprunner_observability.{name}", "arn") if wanted["tracing"] else None,
        "public": wanted["public"],
        "ip_address_type": "DUAL_STACK" if wanted["ipv6"] else "IPV4",
        "auto_deployments": wanted["autoDeploy"],
        "encryption_key": wanted.get("encryptionKey"),
        "log_retention_days": wanted["logs"]["retentionDays"],
    }
    after = {f"{FIRST[kind]}.{other}" for kind, _, other in _parts(wanted["access"]) if kind in FIRST}
    if "repository" in wanted["image"]:
        after.add(f"ecr_repository.{name}")
    after.update(one.address for one in migration(component, stack))
    physical = _name(component, stack.scope)
    return _make(component, stack, "apprunner_service", physical, spec, after=frozenset(after))


def _release(component: Component, stack: Stack) -> Mapping[str, Value]:
    """What the service says of itself, so that a probe can tell which release answers."""
    return {RELEASE: _shipped(component, stack).tag} if "build" in component.spec["image"] else {}


def _health(wanted: Mapping[str, Any]) -> Mapping[str, Value]:
    return {
        "protocol": wanted["protocol"],
        "path": wanted["path"],
        "interval": wanted["intervalSeconds"],
        "timeout": wanted["timeoutSeconds"],
        "healthy_after": wanted["healthyAfter"],
        "unhealthy_after": wanted["unhealthyAfter"],
    }


def _alarms(component: Component, stack: Stack) -> Iterator[Resource]:
    spec = server_errors(component, stack, _name(component, stack.scope))
    if spec is not None:
        physical = f"{stack.scope.prefix}-{component.name}-5xx"
        yield _make(component, stack, "cloudwatch_alarm", physical, spec, name=f"{component.name}-5xx")


def _parts(handles: list[str]) -> list[tuple[str, str, str]]:
    return [handle.partition(".") for handle in handles]


def _databases(component: Component) -> list[str]:
    return [handle for handle in component.spec["access"] if handle.startswith("database.")]


def _is_private(component: Component) -> bool:
    return not str(component.spec["image"].get("prebuilt", "")).startswith(PUBLIC_REGISTRY)


def _name(component: Component, scope: Scope) -> str:
    return _fit(f"{scope.prefix}-{component.name}", SERVICE_NAME)


def _fit(name: str, limit: int) -> str:
    """``name``, or its beginning and a hash of it where AWS allows no more than ``limit`` characters."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
