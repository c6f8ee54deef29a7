"""The quick reading of service models against botocore's own."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import create_loader

from orchestrator.aws.service_models import ServiceModelLoader

KINDS = [("s3", "service-2"), ("ec2", "service-2"), ("rds", "endpoint-rule-set-1"), ("cloudfront", "paginators-1")]


@pytest.mark.parametrize(("service", "kind"), KINDS)
def test_a_model_is_what_botocore_reads(service: str, kind: str) -> None:
    """Packed or not: the same version, the same content, the same order."""
    quick, own = ServiceModelLoader(None), create_loader()

    assert quick.determine_latest_version(service, kind) == own.determine_latest_version(service, kind)
    assert repr(quick.load_service_model(service, kind)) == repr(plain(own.load_service_model(service, kind)))


def plain(value: object) -> object:
    """Ordered dicts as plain ones, in the same order."""
    match value:
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case _:
            return value


def test_models_of_the_users_own_are_found(tmp_path: Path) -> None:
    """AWS_DATA_PATH names folders that come first."""
    folder = tmp_path / "mine" / "2026-01-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text('{"metadata": {}, "operations": {}}')

    assert ServiceModelLoader(str(tmp_path)).load_service_model("mine", "service-2") == {
        "metadata": {},
        "operations": {},
    }


def test_an_unknown_service_is_said_to_be_unknown() -> None:
    """With the names there are, as botocore says it."""
    with pytest.raises(UnknownServiceError, match="apprunner"):
        ServiceModelLoader(None).load_service_model("app-walker", "service-2")


def test_a_missing_kind_of_model_is_said_to_be_missing() -> None:
    """The service is known, but has no such file."""
    with pytest.raises(DataNotFoundError):
        ServiceModelLoader(None).load_service_model("sts", "resources-1")


def test_a_long_model_is_a_dict_in_every_way() -> None:
    """However botocore takes it apart: copied, unpacked, merged, compared, asked for what is not there."""
    shapes = ServiceModelLoader(None).load_service_model("sts", "service-2")["shapes"]
    whole = {name: shapes[name] for name in shapes}

    fresh = ServiceModelLoader(None).load_service_model("sts", "service-2")["shapes"]
    assert dict(fresh) == {**fresh} == fresh == whole
    assert copy.copy(ServiceModelLoader(None).load_service_model("sts", "service-2")["shapes"]) == whole
    assert list(fresh.values()) == list(whole.values())
    assert (fresh.get("NoSuchShape"), fresh.get("NoSuchShape", 1)) == (None, 1)
    assert repr(fresh) == repr(whole)
