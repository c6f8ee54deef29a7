"""The page of models: what the bucket shows, and a button that takes a new version from an operator alone."""

from __future__ import annotations

import http.client
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.model_registry import bundle, registry
from orchestrator.model_registry.registry import METADATA_FILE, ModelMetadata, Parity, Verdict
from orchestrator.problems import Problems
from orchestrator.state.server import middleware, model_stores
from orchestrator.state.server.access import SESSION_COOKIE
from orchestrator.state.server.pages.rendering import mask_token
from orchestrator.state.server.store import Store
from orchestrator.storage.local import LocalFileStorage
from tests.state.api_service import SIGN_IN_SETTINGS, ApiService, run_api_service
from tests.state.pages.page_view import find_accessibility_violations, open_page
from tests.storage.test_model_registry import version

PHOTOS = "product-photos/"


@pytest.fixture
def bucket(tmp_path: Path) -> LocalFileStorage:
    made = LocalFileStorage(tmp_path / "bucket")
    made.put(f"{PHOTOS}ring/0.jpg", b"1")
    return made


@pytest.fixture
def house(tmp_path: Path, bucket: LocalFileStorage) -> Iterator[ApiService]:
    store = Store.open(f"sqlite:///{tmp_path / 'state.db'}")
    with run_api_service(store, models=f"shop/prod=file:{bucket.root}", **SIGN_IN_SETTINGS) as made:
        yield made


def model(folder: Path, name: str, change: Callable[[ModelMetadata], ModelMetadata] = lambda known: known) -> bytes:
    """A bundle of a version that was trained with what the bucket holds."""
    photos = {"ring": {f"{PHOTOS}ring/0.jpg": "c4ca4238a0b923820dcc509a6f75849b"}}
    known = change(version(folder / name, name, photos))
    known = replace(known, preprocessing_hash=canonical_json.digest(known.preprocessing))
    bundle.pack(folder / name, known, folder / f"{name}.zip")
    return (folder / f"{name}.zip").read_bytes()


def hand_in(house: ApiService, data: bytes, role: Any = "operator", **words: str) -> Any:
    client, word = house.sign_in(f"{role}-ana", role)
    form = {"csrf": mask_token(word), "environment": "shop/prod", **words}
    return client.post("/models/upload", data=form, files={"file": ("model.zip", data, "application/zip")})


def test_an_operator_hands_in_a_model(house: ApiService, bucket: LocalFileStorage, tmp_path: Path) -> None:
    """It is uploaded whole, in use, written down, and shown as the current one with its numbers."""
    assert hand_in(house, model(tmp_path, "v1")).status_code == 303
    pointer = registry.read_pointer(bucket)
    assert pointer is not None
    assert pointer.version == "v1"
    (kept,) = house.store.list_model_versions("shop/prod")
    assert (kept.version, kept.by, kept.current, kept.metrics["top1"]) == ("v1", "operator-ana", True, 0.9)
    client, _ = house.sign_in("viewer-bea", "viewer")
    page = client.get("/models").text
    assert "current: v1" in page
    assert "Training needed" not in page
    assert "Operators can upload a model here" in page
    assert '<form method="post" action="/models/upload"' not in page


def test_the_page_shows_what_the_bucket_shows(house: ApiService, bucket: LocalFileStorage, tmp_path: Path) -> None:
    """After a rollback too, and when the shop has moved on: the alert of `orchestrator model status`."""
    assert hand_in(house, model(tmp_path, "v1")).status_code == 303
    first = bucket.download(registry.POINTER_KEY)
    after = hand_in(house, model(tmp_path, "v2", lambda one: replace(one, verdict=Verdict("better", "v1"))))
    assert after.status_code == 303
    bucket.put(registry.POINTER_KEY, first)
    bucket.put(f"{PHOTOS}pearl/0.jpg", b"new")
    client, _ = house.sign_in("viewer-bea", "viewer")
    page = client.get("/models").text
    assert "current: v1" in page
    assert "Training needed.</b> 1 new: 50% of the products changed since the training (threshold 10%)." in page
    fresh = model_stores.parse_model_stores(f"shop/prod=file:{bucket.root}").status("shop/prod")
    assert (fresh.current, fresh.is_readable) == ("v1", True)
    assert fresh.training_reason == "1 new: 50% of the products changed since the training (threshold 10%)."


def _worse(known: ModelMetadata) -> ModelMetadata:
    return replace(known, verdict=Verdict("worse", "v1"))


def _apart(known: ModelMetadata) -> ModelMetadata:
    return replace(known, verdict=Verdict("better", "v1"), parity=Parity(1e-4, 3, 0.5, 0.5, "channel order: BGR"))


def _of_old(known: ModelMetadata) -> ModelMetadata:
    return replace(known, verdict=Verdict("better", "v0"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [(_worse, "is worse than v1"), (_apart, "channel order: BGR"), (_of_old, "was compared with v0")],
)
def test_what_is_not_fit_needs_a_reason(
    house: ApiService,
    bucket: LocalFileStorage,
    tmp_path: Path,
    change: Callable[[ModelMetadata], ModelMetadata],
    sentence: str,
) -> None:
    """As on the command line."""
    hand_in(house, model(tmp_path, "v1"))
    data = model(tmp_path, "v2", change)
    refused = hand_in(house, data)
    assert refused.status_code == 422
    assert sentence in refused.text
    assert registry.list_versions(bucket) == ["v1"]

    assert hand_in(house, data, reason="the shop asked").status_code == 303
    assert registry.read_metadata(bucket, "v2").verdict.forced == "the shop asked"
    assert house.store.list_model_versions("shop/prod")[0].note == "the shop asked"


def rezipped(data: bytes, change: Callable[[dict[str, bytes]], object]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as before:
        files = {name: before.read(name) for name in before.namelist()}
    change(files)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as after:
        for name, content in files.items():
            after.writestr(name, content)
    return stream.getvalue()


def known(files: dict[str, bytes], **values: Any) -> None:
    files[METADATA_FILE] = json.dumps({**json.loads(files[METADATA_FILE]), **values}).encode()


SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a picture": (lambda data: b"\xff\xd8\xff" + data[:100], "the file is not a model bundle"),
    "half of it": (lambda data: data[: len(data) // 2], "the file is not a model bundle"),
    "nothing": (lambda data: b"", "the file is not a model bundle"),
    "no metadata": (lambda data: rezipped(data, lambda files: files.pop(METADATA_FILE)), "metadata.json is missing"),
    "other weights": (
        lambda data: rezipped(data, lambda files: files.update({"weights-1.bin": b"x"})), "differs from the validated",
    ),
    "one more": (
        lambda data: rezipped(data, lambda files: files.update({"more.js": b"evil"})), "do not match its metadata",
    ),
    "a way out": (lambda data: rezipped(data, lambda files: files.update({"../x": b"evil"})), "invalid file names"),
    "a bomb": (lambda data: rezipped(data, lambda files: files.update({"a": bytes(65 << 20)})), "exceed 64 MB"),
    "no schema": (lambda data: rezipped(data, lambda files: known(files, version="../..")), "$.version"),
    "no format": (lambda data: rezipped(data, lambda files: known(files, format="x/9")), "$.format"),
    "another contract": (
        lambda data: rezipped(data, lambda files: known(files, preprocessing_hash="0" * 64)), "does not match its hash",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_no_model_is_refused(house: ApiService, bucket: LocalFileStorage, tmp_path: Path, name: str) -> None:
    """By its content; nothing of it is kept anywhere."""
    spoil, sentence = SPOILT[name]
    answer = hand_in(house, spoil(model(tmp_path, "v1")), reason="whatever")

    assert answer.status_code == 422
    assert sentence in answer.text
    assert [one.key for one in bucket.list()] == [f"{PHOTOS}ring/0.jpg"]
    assert house.store.list_model_versions() == ()


def test_who_may_and_how_much(house: ApiService, bucket: LocalFileStorage, tmp_path: Path) -> None:
    """No viewer, nobody without the page's word, no body without end, and no environment that has no bucket."""
    data = model(tmp_path, "v1")
    assert hand_in(house, data, "viewer").status_code == 403
    assert hand_in(house, data, csrf=mask_token("wrong")).status_code == 403
    assert house.open_client().post("/models/upload", files={"file": ("m.zip", data)}).status_code == 401
    client, word = house.sign_in("ana", "operator")
    assert client.post("/models/upload", data={"csrf": mask_token(word)}).status_code == 422
    line = http.client.HTTPConnection(urlsplit(house.address).netloc)
    line.request("POST", "/models/upload", headers={"Content-Length": str(66 << 20)})
    assert line.getresponse().status == 413
    line.close()
    assert middleware.MAX_BODY_BYTES_BY_PATH["/models/upload"] > bundle.MAX_BYTES
    other = hand_in(house, data, environment="shop/other")
    assert "no model bucket is configured for shop/other" in other.text
    assert registry.read_pointer(bucket) is None


@pytest.mark.parametrize("said", ["prod=s3://b", "shop/prod=", "shop/prod=http://b", "shop/prod=s3://"])
def test_a_place_that_is_none_is_told(said: str) -> None:
    with pytest.raises(Problems, match="invalid entry"):
        model_stores.parse_model_stores(said)
    assert "shop/prod" in model_stores.parse_model_stores("shop/prod=s3://files@eu-central-1 shop/dev=file:/x").storages


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("look", [(1280, "light"), (390, "dark")], ids=str)
def test_the_button_in_a_browser(house: ApiService, tmp_path: Path, browser: Any, look: tuple[int, str]) -> None:
    """A file is chosen and sent; a wrong one is refused on the page, which stays sound, however long a name is."""
    client, _ = house.sign_in("maximiliana-bartholomea-wolfeschlegelst", "operator")
    (tmp_path / "good.zip").write_bytes(model(tmp_path, "v1"))
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    with open_page(browser, *look) as seen:
        seen.page.context.add_cookies(
            [{"name": SESSION_COOKIE, "value": client.cookies[SESSION_COOKIE], "url": house.address}]
        )
        for file in ("bad.zip", "good.zip"):
            seen.open(f"{house.address}/models")
            seen.page.set_input_files("input[type=file]", tmp_path / file)
            seen.page.get_by_role("button", name="Upload model").click()
            seen.page.wait_for_load_state()
            assert seen.overflow == []
            assert find_accessibility_violations(seen.page) == []
            assert ("the file is not a model bundle" in seen.page.inner_text("main")) is (file == "bad.zip")
        assert "current: v1" in seen.page.inner_text("main")
        beside = [seen.page.locator(which).bounding_box()["y"] for which in (".top .who", ".top .button")]
        assert abs(beside[0] - beside[1]) < 20
