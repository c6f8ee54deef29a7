"""What every storage promises, asked of a bucket (emulated S3) and of a folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.emulator import start
from orchestrator.problems import Problems
from orchestrator.storage import (
    MUST_NOT_EXIST,
    ConflictError,
    FileStorage,
    MissingFileError,
    from_settings,
    link_reader,
)
from orchestrator.storage.content_types import PHOTO_TYPES, UploadLimits, validate
from orchestrator.storage.link_server import serve
from orchestrator.storage.local import InvalidLinkError, LocalFileStorage
from orchestrator.storage.s3 import S3FileStorage
from tests.emulator.account import make_client

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\0" * 200
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 200
KEYS = st.lists(st.text("abc-_. 0é", min_size=1, max_size=8), min_size=1, max_size=3).map("/".join)


@pytest.fixture(scope="module")
def bucket() -> Iterator[FileStorage]:
    with start() as emulator, pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.environment.items():
            patch.setenv(name, value)
        make_client(emulator, "s3").create_bucket(
            Bucket="files", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        made = from_settings(
            {"FileStorage__Type": "S3", "FileStorage__BucketName": "files", "FileStorage__Region": "eu-west-1"}
        )
        made.put("first", b"")
        made.create_link(
            "first"
        )  # clients are made when they are first used, and where AWS is does not outlast this fixture
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileStorage]:
    storage = from_settings(
        {"FileStorage:Type": "Local", "FileStorage:Path": str(tmp_path_factory.mktemp("files") / "new")}
    )
    assert isinstance(storage, LocalFileStorage)
    with serve(storage):
        yield storage


@pytest.fixture(params=["bucket", "folder"])
def storage(request: pytest.FixtureRequest) -> FileStorage:
    made: FileStorage = request.getfixturevalue(request.param)
    for stored in list(made.list()):
        made.delete(stored.key)
    return made


def test_what_is_uploaded_comes_back(storage: FileStorage, tmp_path: Path) -> None:
    """Under a name of its own every time, in the folder, with the extension of what it is; as bytes and as a file."""
    picture = tmp_path / "Ring front.JPG"
    picture.write_bytes(JPEG)
    first, second = (storage.upload(given, picture.name, folder="product-photos/12") for given in (JPEG, picture))

    assert first != second
    assert {Path(key).parent.as_posix() for key in (first, second)} == {"product-photos/12"}
    assert {Path(key).suffix for key in (first, second)} == {".jpg"}
    assert storage.download(first) == storage.download(second) == JPEG
    assert storage.download_file(first, tmp_path / "a" / "b.jpg") == len(JPEG)
    assert (tmp_path / "a" / "b.jpg").read_bytes() == JPEG
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.jpg"]


def test_a_listing_tells_what_is_there(storage: FileStorage) -> None:
    """By key, below a prefix that need not be a folder; the etag is that of the content."""
    for key, data in (("b/2.jpg", JPEG), ("a/1.jpg", JPEG), ("b/10.png", PNG), ("ba.json", b"{}")):
        storage.put(key, data)

    assert [stored.key for stored in storage.list()] == ["a/1.jpg", "b/10.png", "b/2.jpg", "ba.json"]
    assert [stored.key for stored in storage.list("b/")] == ["b/10.png", "b/2.jpg"]
    assert [stored.key for stored in storage.list("b/1")] == ["b/10.png"]
    assert list(storage.list("none/")) == []
    a, b = (storage.find(key) for key in ("a/1.jpg", "b/2.jpg"))
    assert a is not None
    assert b is not None
    assert (a.size, a.etag) == (b.size, b.etag)
    assert abs(a.modified - datetime.now(UTC)) < timedelta(minutes=1)
    assert storage.put("a/1.jpg", PNG).etag != a.etag


def test_what_is_not_there(storage: FileStorage, tmp_path: Path) -> None:
    """Is said to be missing by whoever needs it, and is deleted without a word; nothing half is left."""
    storage.delete("none.jpg")

    assert storage.find("none.jpg") is None
    for ask in (storage.download, storage.create_link, lambda key: storage.download_file(key, tmp_path / "none.jpg")):
        with pytest.raises(MissingFileError, match=r"none\.jpg does not exist"):
            ask("none.jpg")
    assert list(tmp_path.iterdir()) == []


def test_conditions_hold(storage: FileStorage) -> None:
    """A new file is new, and a change is made to what was read."""
    first = storage.put("current.json", b"1", expected_etag=MUST_NOT_EXIST)
    with pytest.raises(ConflictError, match="another writer"):
        storage.put("current.json", b"2", expected_etag=MUST_NOT_EXIST)
    second = storage.put("current.json", b"2", expected_etag=first.etag)
    with pytest.raises(ConflictError, match="nothing was written"):
        storage.put("current.json", b"3", expected_etag=first.etag)

    assert storage.read("current.json") == (b"2", second.etag)
    storage.delete("current.json")
    with pytest.raises(ConflictError):
        storage.put("current.json", b"3", expected_etag=second.etag)


def test_of_many_writers_one_wins(storage: FileStorage) -> None:
    """Eight at once, each over what it read: one is written, seven are told."""
    etag = storage.put("current.json", b"0", expected_etag=MUST_NOT_EXIST).etag
    gate = threading.Barrier(8)
    told: list[int | None] = []

    def write(number: int) -> None:
        gate.wait()
        try:
            storage.put("current.json", str(number).encode(), expected_etag=etag)
            told.append(number)
        except ConflictError:
            told.append(None)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [storage.download("current.json")] == [str(number).encode() for number in told if number]
    assert told.count(None) == 7


def test_a_link_is_for_an_hour(storage: FileStorage) -> None:
    """Unless it is told otherwise; anybody who has it reads the file, and its own text does not give it away."""
    storage.put("a b/é.jpg", JPEG)
    usual, short = storage.create_link("a b/é.jpg"), storage.create_link("a b/é.jpg", ttl_minutes=5)

    assert abs(usual.expires - datetime.now(UTC) - timedelta(minutes=60)) < timedelta(seconds=10)
    assert abs(short.expires - datetime.now(UTC) - timedelta(minutes=5)) < timedelta(seconds=10)
    assert httpx.get(usual.url).content == JPEG
    assert urlsplit(usual.url).query not in repr(usual)


def test_an_expired_link_is_renewed(storage: FileStorage) -> None:
    """By the clock of this machine, or when it is refused; once, and the fresh one is handed back."""
    storage.put("a.jpg", JPEG)
    stale = replace(storage.create_link("a.jpg"), expires=datetime.now(UTC) - timedelta(seconds=1))
    data, fresh = link_reader.read_link(storage, stale)
    assert data == JPEG
    assert fresh.expires > datetime.now(UTC)
    assert link_reader.read_link(storage, fresh) == (JPEG, fresh)

    asked: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(403 if len(asked) == 1 else 200, content=JPEG)

    with httpx.Client(transport=httpx.MockTransport(refuse)) as client:
        assert link_reader.read_link(storage, fresh, client)[0] == JPEG
    assert len(asked) == 2

    with (
        httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(403))) as client,
        pytest.raises(Problems, match=r"cannot read a\.jpg through its link: HTTP 403"),
    ):
        link_reader.read_link(storage, fresh, client)


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a\\b", "a\nb", ".", "a/", "é" * 600])
def test_a_key_stays_inside(storage: FileStorage, key: str) -> None:
    """What could lead out of the storage, or differ between the two, is no key."""
    for ask in (storage.download, storage.find, storage.delete, lambda wrong: storage.put(wrong, b"x")):
        with pytest.raises(Problems, match="invalid file key"):
            ask(key)


@given(key=KEYS, data=st.binary(max_size=300))
def test_a_folder_and_a_bucket_agree(bucket: FileStorage, folder: FileStorage, key: str, data: bytes) -> None:
    """Whatever is written under whatever key, both answer the same."""
    answers: list[object] = []
    for storage in (bucket, folder):
        for stored in list(storage.list()):
            storage.delete(stored.key)
        try:
            written = storage.put(key, data)
            found = storage.find(key)
            assert found is not None
            assert found.etag == written.etag
            answers.append(
                (written.key, written.size, written.etag, storage.read(key), [s.key for s in storage.list()])
            )
        except Problems as problems:
            answers.append(str(problems))

    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("data", "name", "content_type", "complaint"),
    [
        (PNG, "a.jpg", "", "a.jpg is image/png, not image/jpeg"),
        (JPEG, "a.jpg", "image/png", "a.jpg is image/jpeg, not image/png"),
        (b"<html>", "a.jpg", "", "a.jpg is not image/jpeg"),
        (JPEG, "a.html", "", "a.html is image/jpeg, not text/html"),
        (b"GIF89a" + b"\0" * 50, "a.gif", "", "a.gif has the type image/gif, which is not accepted"),
        (b"", "a.jpg", "", "a.jpg is empty"),
        (JPEG + b"\0" * 5000, "a.jpg", "", "a.jpg is too large: 5,210 bytes"),
        (JPEG, "a.jpg", "", None),
        (JPEG, "a.jpeg", "image/jpeg", None),
        (JPEG, "a", "", None),
        (b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 50, "a.webp", "", None),
    ],
)
def test_a_photo_is_judged_by_its_bytes(data: bytes, name: str, content_type: str, complaint: str | None) -> None:
    """Names and types are claims; what is wrong is said with a way out."""
    limits = UploadLimits(PHOTO_TYPES, max_bytes=5000)
    if complaint is None:
        assert validate(data, name, content_type, limits) in PHOTO_TYPES
        return
    with pytest.raises(Problems) as caught:
        validate(data, name, content_type, limits)
    assert complaint in str(caught.value)
    assert all(problem.hint for problem in caught.value.problems)


def test_a_refused_upload_leaves_nothing(storage: FileStorage) -> None:
    """It is judged before it is written."""
    with pytest.raises(Problems, match="not image/jpeg"):
        storage.upload(PNG, "a.jpg")

    assert list(storage.list()) == []


def test_a_bucket_keeps_files_encrypted_and_typed(bucket: FileStorage) -> None:
    """AES256, the content type, and how long caches may keep it."""
    assert isinstance(bucket, S3FileStorage)
    bucket.put("m/model.json", b"{}", cache_control="no-cache")
    key = bucket.upload(JPEG, "x.jpeg")

    head = [
        bucket._caller.call("s3", "head_object", {"Bucket": "files", "Key": name}) for name in ("m/model.json", key)
    ]
    assert [one["ServerSideEncryption"] for one in head] == ["AES256", "AES256"]
    assert [one["ContentType"] for one in head] == ["application/json", "image/jpeg"]
    assert head[0]["CacheControl"] == "no-cache"
    link = bucket.create_link(key)
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in link.url
    assert "X-Amz-Expires=3600" in link.url


def test_links_of_a_folder_cannot_be_forged(folder: FileStorage) -> None:
    """Another file, a longer time, or no signature: refused; one that is over as well."""
    assert isinstance(folder, LocalFileStorage)
    folder.put("a.jpg", JPEG)
    folder.put("b.jpg", PNG)
    link = folder.create_link("a.jpg")
    over = folder.create_link("a.jpg", ttl_minutes=-1)

    forged = (link.url.replace("a.jpg", "b.jpg"), link.url.replace("expires=1", "expires=9"), link.url.split("&")[0])
    for url in (*forged, over.url, f"{folder.base_url}/.storage/secret"):
        assert httpx.get(url).status_code == 403
    with pytest.raises(InvalidLinkError, match="has expired"):
        folder.verify_link(over.url)
    with pytest.raises(Problems, match="invalid file key"):
        folder.download(".storage/secret")
    assert oct((folder.root / ".storage" / "secret").stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "FileStorage:Path is not set"),
        ({"FileStorage:Type": "Azure"}, "FileStorage:Type is 'azure'"),
        ({"FileStorage:Type": "S3"}, "FileStorage:BucketName is not set"),
        ({"FileStorage__Type": "local"}, "FileStorage:Path is not set"),
        (
            {"FileStorage:Type": "Local", "FileStorage:Path": "x", "FileStorage:UrlMinutes": "soon"},
            "FileStorage:UrlMinutes is 'soon'",
        ),
    ],
)
def test_settings_are_checked(settings: dict[str, str], complaint: str) -> None:
    """What is missing or makes no sense is named as the application's settings name it."""
    with pytest.raises(Problems) as caught:
        from_settings(settings)
    assert complaint in str(caught.value)


def test_settings_count(tmp_path: Path) -> None:
    """How long links are good for and how much is taken are settings."""
    said = {"FileStorage:Type": "Local", "FileStorage:Path": str(tmp_path), "FileStorage:UrlMinutes": "5"}
    storage = from_settings({**said, "FileStorage:MaxBytes": "100"})

    with pytest.raises(Problems, match="at most 100 bytes"):
        storage.upload(JPEG, "a.jpg")
    storage.put("a.jpg", JPEG)
    assert storage.create_link("a.jpg").expires - datetime.now(UTC) < timedelta(minutes=5, seconds=1)


def test_the_applications_names_count(tmp_path: Path) -> None:
    """As its appsettings.json has them: no type is Local, the bucket and the minutes of links are below Aws:S3."""
    names = {"Aws:S3:BucketName": "shop-files", "Aws:S3:PresignedUrlExpirationMinutes": "5", "Aws:Region": "eu-west-1"}
    local = from_settings({**names, "FileStorage:Path": str(tmp_path)})
    local.put("a.jpg", JPEG)
    bucket = from_settings({**names, "FileStorage__Type": "S3"})
    ours = from_settings({**names, "FileStorage:Type": "S3", "FileStorage:BucketName": "other"})

    assert isinstance(local, LocalFileStorage)
    assert local.create_link("a.jpg").expires - datetime.now(UTC) < timedelta(minutes=5, seconds=1)
    assert (str(bucket), str(ours)) == ("s3://shop-files", "s3://other")


def test_an_account_that_is_away_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials nothing is asked of AWS, and the way out is named."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    storage = from_settings({"FileStorage:Type": "S3", "FileStorage:BucketName": "files"})
    with pytest.raises(Problems, match="cannot read s3://files/a") as caught:
        storage.download("a")

    assert caught.value.problems[0].hint == "log in with `aws sso login`, or set AWS_PROFILE"
