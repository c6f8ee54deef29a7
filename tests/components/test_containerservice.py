"""A ContainerService becomes what App Runner needs: no role too wide, no connector without a database."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator import resources
from orchestrator.components import containerservice
from orchestrator.manifest import schema
from orchestrator.values import Ref, TemplateString
from orchestrator.vocabulary import Scope
from tests.components.container_services import (
    BUCKET_STATEMENTS,
    IMAGE,
    SCOPE,
    SECRET,
    expand_resources,
    list_problems,
    make_service,
    make_stack,
)

API = "apprunner_service.api"
SECRET_ARN = Ref("secretsmanager_secret.app", "arn")


def statements(**spec: Any) -> list[Any]:
    policy = expand_resources(make_service(**spec))["iam_role.api-instance"].spec["policy"]
    return list(policy["Statement"]) if policy else []


def test_a_service_by_itself_needs_no_network() -> None:
    """Repository, two roles, scaling and the service; no connector, no alarm, no tracing."""
    assert list(expand_resources(make_service())) == [
        "ecr_repository.api",
        "iam_role.api-instance",
        "iam_role.api-registry",
        "apprunner_autoscaling.api",
        API,
    ]


def test_a_database_brings_it_into_the_vpc() -> None:
    """A security group of its own and a connector; the service comes after the database."""
    made = expand_resources(make_service(access=["database.main"]))

    assert made["apprunner_connector.api"].spec["security_groups"] == [Ref("ec2_security_group.api", "id")]
    assert made[API].spec["connector"] == Ref("apprunner_connector.api", "arn")
    assert "rds_instance.main" in made[API].depends_on
    assert made["ec2_security_group.api"].spec["ingress"] == []


def test_a_public_image_needs_nothing_to_be_pulled() -> None:
    """Neither a repository nor a role that reads one."""
    made = expand_resources(make_service(image={"prebuilt": "public.ecr.aws/nginx/nginx:1.27"}))

    assert not {"ecr_repository.api", "iam_role.api-registry"} & made.keys()
    assert made[API].spec["image_repository_type"] == "ECR_PUBLIC"
    assert made[API].spec["access_role"] is None


def test_the_role_may_do_what_access_says_and_no_more() -> None:
    """The statements are the components' own; without access there is no policy at all."""
    assert statements() == []
    assert statements(access=["bucket.files", "database.main"]) == list(BUCKET_STATEMENTS)


def test_an_injected_secret_may_be_read_by_the_role() -> None:
    """App Runner fetches it as the service's own role."""
    reading = {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": [SECRET_ARN]}

    assert statements(secrets=["secret.app"]) == [reading]
    assert statements(secrets={"KEY": "secret.app[Jwt:Key]"}, access=["secret.app"]) == [reading]


def test_every_key_of_a_secret_is_injected_under_a_name_without_colons() -> None:
    """App Runner takes a colon for a separator, so the key's twin with `__` is asked for."""
    assert expand_resources(make_service(secrets=["secret.app"]))[API].spec["secrets"] == {
        "Jwt__Key": TemplateString((SECRET_ARN, ":Jwt__Key::")),
        "Mode": TemplateString((SECRET_ARN, ":Mode::")),
    }


def test_chosen_keys_are_injected_under_chosen_names() -> None:
    """A mapping names the variable and the key."""
    spec = expand_resources(make_service(secrets={"KEY": "secret.app[Jwt:Key]"}))[API].spec

    assert spec["secrets"] == {"KEY": TemplateString((SECRET_ARN, ":Jwt__Key::"))}


def test_a_changed_secret_is_a_new_deployment() -> None:
    """Its fingerprint is a plain variable, so that it differs when the secret does."""
    spec = expand_resources(make_service(secrets=["secret.app"], environment={"MODE": "fast"}))[API].spec

    assert spec["environment"] == {
        "MODE": "fast",
        "ORCHESTRATOR_APP_FINGERPRINT": Ref("secretsmanager_value.app", "fingerprint"),
    }


def test_it_asks_databases_and_secrets_for_what_it_needs() -> None:
    """The database lets its security group in; the secret learns that it is injected."""
    asked = containerservice.grants(make_service(access=["database.main"], secrets=["secret.app"]), SCOPE)

    assert [(grant.target, grant.kind, dict(grant.data)) for grant in asked] == [
        ("database.main", "connect", {"security_group": Ref("ec2_security_group.api", "id")}),
        ("secret.app", "inject", {}),
    ]


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ({"access": ["database.main", "secret.app"]}, 1),
        ({"access": ["database.main", "secret.app"], "secrets": ["secret.app"]}, 1),
        ({"access": ["database.main"], "secrets": ["secret.app"]}, 0),
        ({"access": ["secret.app"]}, 0),
    ],
)
def test_fetching_a_secret_through_the_vpc_is_noted_with_its_price(spec: dict[str, Any], count: int) -> None:
    """Behind a VPC connector it cannot reach Secrets Manager (App Runner developer guide, "Enabling VPC access").

    A secret that is injected and accessed is noted as well: its application may call at its start, as the seed's does.
    """
    component = make_service(**spec)
    notes = list(containerservice.notes(component, make_stack(component)))

    assert len(notes) == count
    assert all("8 USD per month" in note and "secret.app" in note for note in notes)
    assert ["Its values are injected already" in note for note in notes] == (["secrets" in spec] if count else [])


def test_tracing_brings_its_configuration_and_the_right_to_write() -> None:
    """X-Ray needs both."""
    made = expand_resources(make_service(tracing=True))

    assert made[API].spec["observability"] == Ref("apprunner_observability.api", "arn")
    assert made["iam_role.api-instance"].spec["attached"] == ["arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"]


@pytest.mark.parametrize(("emails", "actions"), [((), []), (("ops@x.example",), [Ref("sns_topic.alerts", "arn")])])
def test_an_alarm_tells_whoever_the_project_names(emails: tuple[str, ...], actions: list[Ref]) -> None:
    """The metric of this very service, by name and id."""
    alarm = expand_resources(make_service(alarms={"http5xx": 5}), emails=emails)["cloudwatch_alarm.api-5xx"]

    assert alarm.spec["dimensions"] == {"ServiceName": "shop-prod-api", "ServiceID": Ref(API, "id")}
    assert alarm.spec["actions"] == actions


def test_the_repository_keeps_the_newest_images_and_drops_untagged_ones() -> None:
    """Two lifecycle rules; the manifest says how many are kept, and whether the repository may ever go."""
    made = expand_resources(
        make_service(image={"prebuilt": IMAGE, "repository": "shop", "keep": 7, "deletionPolicy": "delete"})
    )
    repository = made["ecr_repository.api"]
    counts = [rule["selection"]["countNumber"] for rule in repository.spec["lifecycle"]["rules"]]

    assert (repository.physical, counts) == ("shop", [7, 7])
    assert repository.spec["tags"]["orchestrator:deletion-policy"] == "delete"


def test_long_names_are_cut_to_what_aws_allows_and_stay_apart() -> None:
    """The service, its scaling and its connector share one name of at most 32 characters."""
    scope = Scope("a-project-with-a-long-name", "production", "123456789012", "eu-west-1")
    one, other = (expand_resources(make_service(name), scope=scope) for name in ("service-one", "service-two"))
    names = {
        made[f"apprunner_service.{name}"].physical for made, name in ((one, "service-one"), (other, "service-two"))
    }

    assert len(names) == 2
    assert {len(name) for name in names} == {32}
    assert len(one["iam_role.service-one-instance"].physical) <= 64


def test_what_it_exports_is_known_or_referred_to() -> None:
    """Its name is final; its address is App Runner's to choose."""
    assert containerservice.exports(make_service(), SCOPE) == {
        "url": Ref(API, "url"),
        "host": Ref(API, "host"),
        "name": "shop-prod-api",
    }


def test_every_resource_is_of_a_known_type_and_bears_our_mark() -> None:
    """Nothing is made that could not be found again."""
    made = expand_resources(make_service(access=["database.main"], tracing=True, alarms={"http5xx": 1}))

    assert {resource.type for resource in made.values()} <= set(resources.list_types())
    assert {resource.spec["tags"]["orchestrator:component"] for resource in made.values()} == {"containerservice.api"}


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"cpu": 0.25, "memory": 2}, ("spec.memory", "0.5 or 1 GB")),
        ({"cpu": 2, "memory": 2}, ("spec.memory", "4 or 6 GB")),
        ({"instances": {"min": 3, "max": 2}}, ("spec.instances.min", "greater than")),
        ({"secrets": {"A": "secret.app[Nope]"}}, ("spec.secrets.A", "no key `Nope`")),
        ({"secrets": {"A": "secret.gone[Nope]"}}, ("spec.secrets.A", "unknown component secret.gone")),
        (
            {"secrets": {"A": "secret.app[Mode]"}, "environment": {"A": "x"}},
            ("spec.secrets.A", "also set in spec.environment"),
        ),
        (
            {"secrets": ["secret.app"], "environment": {"Mode": "x"}},
            ("spec.secrets.0", "spec.environment already sets"),
        ),
    ],
)
def test_what_does_not_go_together_is_said(spec: dict[str, Any], problem: tuple[str, str]) -> None:
    """One problem, at its place, in words."""
    [(path, sentence)] = list_problems(make_service(**spec))

    assert (path, problem[1] in sentence) == (problem[0], True), sentence


@pytest.mark.parametrize("pair", [(0.25, 0.5), (0.25, 1), (0.5, 1), (1, 2), (1, 4), (2, 6), (4, 12)])
def test_sizes_that_app_runner_offers_are_accepted(pair: tuple[float, float]) -> None:
    """The valid pairs of vCPU and GB."""
    assert list_problems(make_service(cpu=pair[0], memory=pair[1])) == []


def test_two_services_do_not_share_a_repository() -> None:
    """Said once, by the first of them."""
    image = {"prebuilt": IMAGE, "repository": "shared"}

    assert (
        list_problems(make_service("a", image=image), make_service("b", image=image))[0][0] == "spec.image.repository"
    )
    assert list_problems(make_service("b", image=image), make_service("a", image=image)) == []


@pytest.mark.parametrize(
    ("prebuilt", "accepted"),
    [
        (IMAGE, True),
        ("${project.registry}/shop@sha256:" + "a" * 64, True),
        ("public.ecr.aws/nginx/nginx:1.27", True),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop:latest", False),
        ("docker.io/library/nginx:1.27", False),
        ("nginx", False),
    ],
)
def test_an_image_is_named_by_digest(prebuilt: str, accepted: bool) -> None:
    """A tag is refused, but for the public registry; other registries App Runner cannot pull from."""
    document = {
        "apiVersion": "orchestrator/v1",
        "kind": "ContainerService",
        "metadata": {"name": "api"},
        "spec": {"image": {"prebuilt": prebuilt}},
    }

    assert schema.get_validator("containerservice").is_valid(document) is accepted


def test_no_instance_at_all_is_refused_with_the_ways_out() -> None:
    """No runtime scales to zero and wakes again, and the schema says why and what to do instead."""
    rule = schema.load("containerservice")["properties"]["spec"]["properties"]["instances"]["properties"]["min"]

    assert rule["minimum"] == 1
    assert all(word in rule["x-reason"] for word in ("App Runner", "ECS Express", "`min: 1`"))


def test_a_secret_needs_no_reading_beforehand() -> None:
    """The keys come from the Secret's manifest; its values are nobody's business here."""
    assert "very-private" not in str(expand_resources(make_service(secrets=[SECRET.handle]))[API].spec["secrets"])
