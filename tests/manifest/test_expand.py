"""Expanding: resources in order, names that AWS allows, and mistakes of ours called so."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest
from botocore.session import Session

from orchestrator.manifest import aws_names, check, expand, load
from orchestrator.problems import Position, Problems
from orchestrator.vocabulary import DesiredState, Resource

BASE = Path(__file__).parent / "base"
REAL = Path(__file__).parents[2] / "manifests"


def desired(folder: Path) -> DesiredState:
    return expand.expand(check.check(load.load(folder), None))


@pytest.mark.parametrize("folder", [BASE, REAL], ids=["base", "real"])
class TestGood:
    def test_it_has_no_problem(self, folder: Path) -> None:
        """The manifests that ship are good, and make something."""
        assert desired(folder).resources

    def test_dependencies_come_first(self, folder: Path) -> None:
        """A resource stands after all that it needs."""
        seen: set[str] = set()
        for resource in desired(folder).resources:
            assert expand.direct_dependencies(resource) <= seen
            seen.add(resource.address)
        assert seen

    def test_every_type_and_component_is_known(self, folder: Path) -> None:
        """Each resource has a module that can make it, and a component that asked for it."""
        found = desired(folder)

        for resource in found.resources:
            importlib.import_module(f"orchestrator.resources.{resource.type}")
        assert {resource.component for resource in found.resources} <= {each.handle for each in found.components}

    def test_it_is_the_same_every_time(self, folder: Path) -> None:
        """The same manifests come to the same resources in the same order."""
        assert desired(folder) == desired(folder)


def test_a_name_too_long_is_a_problem(tmp_path: Path) -> None:
    """A length that AWS refuses is told before anything is made, at the component's place."""
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "database.yaml"
    long = "resource: the name of"
    made = [Resource("rds_instance", "main", "shop-" + "x" * 60, {}, "database.main", Position(str(file), 1, 1))]
    found = [str(problem) for problem in aws_names.check_names(made)]

    assert long not in found[0]
    assert f"{file}:1:1: the name of rds_instance.main is too long: `shop-x" in found[0]
    assert "has 65 characters, AWS allows 63" in found[0]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("s3_bucket", "UPPER"),
        ("s3_bucket", "ab"),
        ("s3_bucket", "a..b"),
        ("s3_bucket", "xn--bucket"),
        ("s3_bucket", "bucket-s3alias"),
        ("rds_instance", "shop--prod"),
        ("rds_instance", "shop-"),
        ("ecr_repository", "Shop"),
        ("ecr_repository", "shop//api"),
    ],
)
def test_a_name_of_wrong_letters_is_a_problem(kind: str, name: str) -> None:
    """Letters that AWS refuses in a name."""
    made = [Resource(kind, "x", name, {}, "bucket.x", Position("a.yaml"))]

    assert len(list(aws_names.check_names(made))) == 1


@pytest.mark.parametrize(
    ("kind", "service", "shape"),
    [
        ("apprunner_autoscaling", "apprunner", "AutoScalingConfigurationName"),
        ("apprunner_connector", "apprunner", "VpcConnectorName"),
        ("apprunner_service", "apprunner", "ServiceName"),
        ("budgets_budget", "budgets", "BudgetName"),
        ("cloudfront_function", "cloudfront", "FunctionName"),
        ("cloudwatch_alarm", "cloudwatch", "AlarmName"),
        ("ecr_repository", "ecr", "RepositoryName"),
        ("iam_role", "iam", "roleNameType"),
        ("secretsmanager_secret", "secretsmanager", "NameType"),
    ],
)
def test_the_limits_are_those_of_aws(kind: str, service: str, shape: str) -> None:
    """Each limit is the one in AWS's own service model."""
    found = Session().get_service_model(service).shape_for(shape)

    assert aws_names.MAX_NAME_LENGTHS[kind] == found.metadata["max"]


def test_one_name_for_two_is_a_problem(tmp_path: Path) -> None:
    """Two components that would own the same thing in AWS are told apart before they fight over it."""
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "buckets.yaml").read_text().replace("shop-web-", "shop-files-")
    (tmp_path / "buckets.yaml").write_text(text)

    with pytest.raises(Problems, match=r"bucket.web and bucket.files have the same name in AWS: shop-files-prod"):
        desired(tmp_path)
