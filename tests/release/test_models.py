"""Models come by ``ml.upload_model`` and go back by ``orchestrator rollback --only model``: the two together."""

from __future__ import annotations

import re
import shlex
from contextlib import nullcontext
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.aws.errors import AwsError
from orchestrator.cli.main import main
from orchestrator.model_registry import publish_checks, registry
from orchestrator.model_registry.registry import Verdict
from orchestrator.release import live_versions
from orchestrator.storage.s3 import S3FileStorage
from tests.aws.fake_clients import ScriptedCaller
from tests.release.shop_project import ShopProject
from tests.storage.test_model_registry import version


def upload(shop: ShopProject, folder: Path, name: str) -> None:
    """As ``ml.upload_model`` does it, with what it calls."""
    storage = S3FileStorage(shop.clients, "shop-files")
    before = registry.read_pointer(storage)
    known = replace(version(folder / name, name), verdict=Verdict("same", before.version if before else ""))
    registry.publish(
        storage, folder / name, publish_checks.check_publishable(known, before, "", validate_command=""), before
    )


def in_use(shop: ShopProject) -> str:
    pointer = registry.read_pointer(S3FileStorage(shop.clients, "shop-files"))
    return pointer.version if pointer else ""


@pytest.fixture
def back(shop: ShopProject, capsys: pytest.CaptureFixture[str]) -> object:
    """The command; its exit code and what it said."""

    def run(words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["rollback", *shlex.split(words), "-f", str(shop.folder), "-e", "prod", "--auto-approve"])
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


@pytest.mark.parametrize(
    ("code", "is_absent"),
    [
        ("NoSuchKey", True),
        ("NoSuchBucket", True),
        ("AccessDenied", False),
        ("SlowDown", False),
        ("ExpiredToken", False),
    ],
)
def test_a_pointer_that_s3_refuses_to_show_is_not_a_missing_one(code: str, is_absent: bool) -> None:
    """A release that recorded "no model" by mistake would take the model out of use when it is rolled back to."""
    caller = ScriptedCaller(
        lambda service, operation, _: {} if operation == "list_objects_v2" else AwsError(service, operation, code, "no")
    )
    with nullcontext() if is_absent else pytest.raises(AwsError, match=code):
        assert live_versions.read_model_pointer("shop-files", caller) is None


def test_an_uploaded_model_goes_back(shop: ShopProject, tmp_path_factory: pytest.TempPathFactory, back: object) -> None:
    """Right after the upload, before any deploy has seen it; and from there to the one before that, and forth again."""
    assert callable(back)
    folder = tmp_path_factory.mktemp("models")
    shop.deploy(issuer="one")
    upload(shop, folder, "m1")
    assert back("--only model")[0] == 1
    assert "no release used a model other than the one in use (m1)" in back("--only model")[1]
    shop.deploy(issuer="two")
    upload(shop, folder, "m2")
    shop.deploy(issuer="three")
    upload(shop, folder, "m3")

    shown = back("--only model --plan")
    assert (shown[0], in_use(shop)) == (0, "m3")
    assert re.search(r"~ s3_model\.files", shown[1]), shown[1]
    code, told = back("--only model --reason 'takes rings for chains'")
    assert (code, in_use(shop)) == (0, "m2"), told
    assert shop.read_issuer() == "three", "the rest stays"
    pointer = registry.read_pointer(S3FileStorage(shop.clients, "shop-files"))
    assert pointer is not None
    assert pointer.model == "ml-models/m2/model.json", "the pointer is the very one that the upload wrote"

    assert back("--only model")[0] == 0
    assert in_use(shop) == "m1"
    upload(shop, folder, "m4")
    assert in_use(shop) == "m4"
    assert shop.deploy().status == "released", "a deploy leaves an uploaded model alone, and records it"
    code, told = back("--to 2")
    assert (code, in_use(shop), shop.read_issuer()) == (0, "m1", "two"), told
