"""Photos come from a bucket: all, once, with a report of what is wrong; whatever stops a run, the next goes on."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from ml.data import dataset, preprocessing
from ml.download_photos import main
from ml.training_run import Preprocessing
from orchestrator.emulator import start
from orchestrator.model_registry.staleness import PHOTOS_PREFIX
from orchestrator.storage.local import LocalFileStorage
from tests.emulator.account import make_client
from tests.ml import sample_photos


@pytest.fixture
def storage(tmp_path: Path) -> LocalFileStorage:
    return LocalFileStorage(tmp_path / "bucket")


class Download:
    """The command, told where things are; what it printed."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = folder / "data"
        self.bucket = folder / "bucket"
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 0) -> str:
        ended = main(["--data", str(self.data), "--local", str(self.bucket), *words])
        told = self._capsys.readouterr()
        assert ended == code, told
        assert "Traceback" not in told.err
        return told.out + told.err

    def dataset(self) -> dataset.Dataset:
        return dataset.load(self.data)


@pytest.fixture
def download(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Download:
    return Download(tmp_path, capsys)


def test_every_photo_comes_with_its_checksum(storage: LocalFileStorage, download: Download) -> None:
    """Below its product's name; the file says what is there, and the next command is told."""
    put = sample_photos.fill_storage(storage)
    said = download()

    made = download.dataset()
    assert {one.key for one in made.photos} == put.keys()
    assert made.products == {"p0": 4, "p1": 4, "p2": 4}
    for one in made.photos:
        assert (download.data / one.path).read_bytes() == put[one.key]
        assert (one.width, one.height, one.bytes) == (120, 96, len(put[one.key]))
        assert len(one.phash) == 16
    assert "12 photos of 3 products" in said
    assert "12 downloaded" in said
    assert "Next: python -m ml.train_model" in said
    assert made.catalogue["p1"].keys() == {f"{PHOTOS_PREFIX}p1/{shot}.jpg" for shot in range(4)}


def test_again_it_fetches_what_changed(storage: LocalFileStorage, download: Download) -> None:
    """A new one, a replaced one, one damaged here; what left the bucket leaves the folder, others' files stay."""
    sample_photos.fill_storage(storage)
    download()
    first = download.dataset()
    assert "0 downloaded (0.0 MB), 12 unchanged, 0 removed" in download()
    assert download.dataset() == first

    storage.put(f"{PHOTOS_PREFIX}p0/9.jpg", sample_photos.draw_photo(0, 9))
    storage.put(f"{PHOTOS_PREFIX}p0/0.jpg", sample_photos.draw_photo(0, 10))
    storage.delete(f"{PHOTOS_PREFIX}p1/3.jpg")
    (download.data / "photos/p2/1.jpg").write_bytes(b"damaged")
    (download.data / "photos/p1/mine.txt").write_text("notes")
    assert "3 downloaded" in (said := download())
    assert "1 removed" in said
    assert (download.data / "photos/p2/1.jpg").read_bytes() == sample_photos.draw_photo(2, 1)
    assert not (download.data / "photos/p1/3.jpg").exists()
    assert (download.data / "photos/p1/mine.txt").exists()
    assert download.dataset().hash != first.hash
    assert download.dataset().products == {"p0": 5, "p1": 3, "p2": 4}


def _encode(image: Image.Image, form: str) -> bytes:
    register_heif_opener()
    stream = io.BytesIO()
    image.save(stream, form)
    return stream.getvalue()


def _deep() -> Image.Image:
    """Grey of sixteen bits, half of it darker than eight bits could tell from black."""
    return Image.fromarray(np.linspace(0, 65535, 120 * 90).reshape(90, 120).astype(np.uint16))


def test_what_is_wrong_is_reported(storage: LocalFileStorage, download: Download) -> None:
    """And fatal to nothing: each file with its reason, in the file and on the screen."""
    sample_photos.fill_storage(storage, products=2, shots=4)
    whole = sample_photos.draw_photo(0, 20)
    softer = io.BytesIO()
    Image.open(io.BytesIO(whole)).save(softer, "JPEG", quality=60)
    odd = {
        "p0/cut.jpg": whole[: len(whole) // 2],
        "p0/empty.jpg": b"",
        "p0/text.jpg": b"no picture at all",
        "p0/tiny.jpg": _tiny(),
        "p0/again.jpg": sample_photos.draw_photo(0, 3),
        "p0/whole.jpg": whole,
        "p0/softer.jpg": softer.getvalue(),
        "p0/png.jpg": sample_photos.draw_photo(0, 22, form="PNG"),
        "loose.jpg": whole,
        "p0/film.mp4": b"film",
        "p0/.DS_Store": b"x",
        "p0/both.jpg": sample_photos.draw_photo(5, 1),
        "p1/both.jpg": sample_photos.draw_photo(5, 1),
        "p9/cut.jpg": whole[:100],
        "p0/white.png": _encode(Image.new("RGB", (90, 90), "white"), "PNG"),
        "p0/phone.heic": _encode(Image.open(io.BytesIO(sample_photos.draw_photo(0, 23))), "HEIF"),
        "p0/deep.png": _encode(_deep(), "PNG"),
    }
    for name, data in odd.items():
        storage.put(PHOTOS_PREFIX + name, data)
    said = download("--fewest", "5")

    made = download.dataset()
    reasons = {one.path.removeprefix("photos/"): one.reason for one in made.rejected}
    assert reasons.pop("p0/cut.jpg").startswith("is corrupt")
    assert reasons.pop("p9/cut.jpg").startswith("is corrupt")
    assert reasons == {
        "p0/empty.jpg": "is empty", "p0/text.jpg": "is not an image",
        "p0/tiny.jpg": "is too small: 30 x 20 pixels, minimum 64", "p0/again.jpg": "is identical to photos/p0/3.jpg",
        "p0/film.mp4": "is not a photo: file extension .mp4", "product-photos/loose.jpg": "is not in a product folder",
        "p0/both.jpg": "appears under several products: p0 and p1",
        "p1/both.jpg": "appears under several products: p0 and p1",
        "p0/white.png": "is blank: it has only one colour",
    }  # fmt: skip
    notes = {one.path: one.reason for one in made.noted}
    assert notes["photos/p0/png.jpg"] == "is a PNG despite its file extension"
    assert notes["photos/p0/whole.jpg"] == "looks like photos/p0/softer.jpg"
    assert notes["photos/p0/deep.png"] == "has 16 bits per channel, which are reduced to 8 as in browsers"
    assert "photos/p0/phone.heic" in {one.path for one in made.photos}
    contract = Preprocessing(("p0",), 64)
    deep = preprocessing.read(download.data / "photos/p0/deep.png", contract)
    assert 60 < deep.mean() < 200, "sixteen bits are neither clipped to white nor to black"
    assert preprocessing.read(download.data / "photos/p0/phone.heic", contract).std() > 10
    assert made.sparse == ("p1", "p9")
    assert "Rejected:" in said
    assert "p1 (4), p9 (0)" in said
    assert "0 downloaded" in download("--fewest", "5"), "rejected files are not downloaded every time"


def _tiny() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), "gold").save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("photo,product\nold/1.jpg,anillo\nproduct-photos/old/2.jpg,añil\nnew,cadena\n", "utf-8"),
        ("\ufeffproduct;other;photo\nanillo;x;old/1.jpg\nañil;;old/2.jpg\ncadena;y;new/\n", "utf-8"),
        ("photo\tproduct\nold/1.jpg\tanillo\nold/2.jpg\tañil\nnew\tcadena\n", "cp1252"),
    ],
)
def test_a_file_says_which_photo_is_whose(
    text: str, encoding: str, storage: LocalFileStorage, download: Download, tmp_path: Path
) -> None:
    """Photos and folders, as spreadsheets write them; a photo that moves to another product is not fetched again."""
    for shot, name in enumerate(("old/1.jpg", "old/2.jpg", "old/3.jpg", "new/a/1.jpg", "new/2.jpg")):
        storage.put(PHOTOS_PREFIX + name, sample_photos.draw_photo(1, shot))
    (tmp_path / "map.csv").write_bytes(text.encode(encoding))
    download()
    said = download("--mapping", str(tmp_path / "map.csv"))

    made = download.dataset()
    assert made.products == {"anillo": 1, "añil": 1, "cadena": 2}
    assert "0 downloaded" in said
    assert "product-photos/old/3.jpg is not listed in" in said
    assert all((download.data / one.path).is_file() for one in made.photos)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing column photo and column product"),
        ("photo,sku\na,b\n", r"map\.csv:1:1: missing column product(.|\n)*the columns are photo, sku"),
        ("photo,product\n", "contains no rows"),
        (
            "photo,product\na/1.jpg,ring\na/1.jpg,chain\n,x\n",
            r"map\.csv:3:1: a/1\.jpg is mapped to both ring and chain(.|\n)*:4:1",
        ),
    ],
)
def test_a_wrong_mapping_is_refused(
    text: str, said: str, storage: LocalFileStorage, download: Download, tmp_path: Path
) -> None:
    """With file and line, before anything is fetched."""
    sample_photos.fill_storage(storage, 1, 1)
    (tmp_path / "map.csv").write_text(text)
    told = download("--mapping", str(tmp_path / "map.csv"), code=1)

    assert re.search(said, told)
    assert not (download.data / "photos").exists()


class Api:
    """An API on loopback: pages of photos for whoever has the token."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.seen: list[str | None] = []
        self.url = ""


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.seen.append(self.headers["Authorization"])
            status = 200 if self.headers["Authorization"] == "Bearer open" else 401
            body = json.dumps(made.pages.get(self.path, "?")).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


def test_the_api_says_which_photo_is_whose(
    api: Api, storage: LocalFileStorage, download: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, under the names that its fields have; photos by address too.  The token goes to it alone."""
    sample_photos.fill_storage(storage, 2, 2)
    address = f"https://files.example/{PHOTOS_PREFIX}p1/0.jpg?signature=secret"
    api.pages = {
        "/photos": {"items": [{"file": "p0", "sku": 12}], "next": "/photos?page=2"},
        "/photos?page=2": {"items": [{"file": address, "sku": "perla"}], "next": None},
        "/astray": {"items": [], "next": "http://elsewhere.example/photos"},
        "/broken": {"error": "no"},
    }
    words = ("--photo-field", "file", "--product-field", "sku", "--mapping")
    told = download(*words, f"{api.url}/photos?key=hidden", code=1)
    assert "returned HTTP 401" in told
    assert "PHOTOS_API_TOKEN" in told
    assert "hidden" not in told

    monkeypatch.setenv("PHOTOS_API_TOKEN", "open")
    download(*words, f"{api.url}/photos")
    assert download.dataset().products == {"12": 2, "perla": 1}
    assert "points to another host, elsewhere.example" in download(*words, f"{api.url}/astray", code=1)
    assert "did not return a list of photos" in download(*words, f"{api.url}/broken", code=1)
    assert "only sent over HTTPS" in download(*words, "http://shop.example/photos", code=1)


def test_nothing_to_fetch_is_said(storage: LocalFileStorage, download: Download) -> None:
    """An empty bucket, files that are no photos, no place named."""
    assert "no photos in" in download(code=1)
    storage.put(f"{PHOTOS_PREFIX}p0/a.jpg", b"nothing")
    assert "no usable photos were found" in download(code=1)
    assert main(["--data", str(download.data)]) == 1
    assert main(["--local", "x", "--bucket", "y"]) == 1


def test_names_cannot_leave_the_folder(storage: LocalFileStorage, download: Download, tmp_path: Path) -> None:
    """A mapping's product is a name, however it reads; names that a file system takes for one stay two."""
    sample_photos.fill_storage(storage, 3, 1)
    storage.put(f"{PHOTOS_PREFIX}p0/A b.jpg", sample_photos.draw_photo(7, 1))
    storage.put(f"{PHOTOS_PREFIX}p0/a b.jpg", sample_photos.draw_photo(7, 2))
    (tmp_path / "map.csv").write_text("photo,product\np0,../../out\np1,C:\\x\np2,..\n")
    download("--mapping", str(tmp_path / "map.csv"))

    made = download.dataset()
    assert set(made.products) == {"../../out", "C:\\x", ".."}
    assert len({one.path.casefold() for one in made.photos}) == 5
    for one in made.photos:
        assert (download.data / one.path).resolve().is_relative_to((download.data / "photos").resolve())
        assert len(Path(one.path).parts) == 3


def test_a_run_that_is_killed_goes_on(storage: LocalFileStorage, download: Download) -> None:
    """Ctrl-C ends with a sentence, kill -9 with nothing; the next run fetches what is missing and that is all."""
    sample_photos.fill_storage(storage, 20, 20)
    command = [sys.executable, "-m", "ml.download_photos", "--data", str(download.data), "--local",
               str(download.bucket), "--at-once", "1"]  # fmt: skip
    for ended in (signal.SIGINT, signal.SIGKILL):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        before = _lines(download.data)
        while process.poll() is None and _lines(download.data) < before + 5:
            time.sleep(0.002)
        process.send_signal(ended)
        _, told = process.communicate(timeout=60)
        assert "Traceback" not in told
        if ended == signal.SIGINT:
            assert process.returncode == 130
            assert "Downloaded photos are kept" in told
            assert "python -m ml.download_photos --data" in told
    here = _lines(download.data)
    assert 10 <= here < 400
    assert not (download.data / dataset.FILE_NAME).exists()
    with (download.data / ".fetched.jsonl").open("ab") as journal:
        journal.write(b'{"key": "product-photos/p0/to')

    said = download()
    fetched = int(said.splitlines()[1].split()[0])
    assert fetched <= 400 - here + 2
    assert len(download.dataset().photos) == 400
    assert not list(download.data.rglob("*.part"))


def _lines(folder: Path) -> int:
    try:
        return len((folder / ".fetched.jsonl").read_bytes().splitlines())
    except FileNotFoundError:
        return 0


def test_a_disk_that_fills_is_said(storage: LocalFileStorage, download: Download) -> None:
    """What was fetched stays; nothing half is left; with room the same command ends well."""
    sample_photos.fill_storage(storage, 2, 3)
    big = io.BytesIO()
    Image.effect_noise((400, 400), 90).convert("RGB").save(big, "PNG")
    storage.put(f"{PHOTOS_PREFIX}p1/large.png", big.getvalue())
    code = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, resource.RLIM_INFINITY))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from ml.download_photos import main
sys.exit(main(["--data", {str(download.data)!r}, "--local", {str(download.bucket)!r}]))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "large.png" in ran.stderr
    assert "hint: " in ran.stderr
    assert not list(download.data.rglob("*.part"))
    assert "7 photos of 2 products" in download()


def test_photos_come_from_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The emulated S3, by its name and by the application's own settings."""
    with start() as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        client = make_client(emulator, "s3")
        client.create_bucket(Bucket="files", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for shot in range(3):
            client.put_object(
                Bucket="files", Key=f"{PHOTOS_PREFIX}ring/{shot}.jpg", Body=sample_photos.draw_photo(1, shot)
            )
        assert main(["--data", str(tmp_path / "data"), "--bucket", "files"]) == 0
        monkeypatch.setenv("FileStorage__Type", "S3")
        monkeypatch.setenv("FileStorage__BucketName", "files")
        assert main(["--data", str(tmp_path / "data")]) == 0
        assert "0 downloaded (0.0 MB), 3 unchanged" in capsys.readouterr().out
        assert main(["--data", str(tmp_path / "data"), "--bucket", "missing"]) == 1
        assert "cannot list s3://missing" in capsys.readouterr().err
    assert dataset.load(tmp_path / "data").products == {"ring": 3}
