"""A real browser, asked what it makes of photos: the third witness of parity, and a stop watch.

Starts the Chromium, Chrome or Edge of this machine without a window, serves it the export and the photos on loopback,
and reads what the page ``ml/web/parity.html`` answers.  Nothing leaves the machine.
"""

from __future__ import annotations

import base64
import json
import math
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from ml.export.exported_model import Array
from orchestrator import shell
from orchestrator.problems import Problems

WEB = Path(__file__).parents[1] / "web"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
KINDS = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".json": "application/json",
    ".css": "text/css; charset=utf-8", ".bin": "application/octet-stream", ".jpg": "image/jpeg", ".png": "image/png",
}  # fmt: skip
PAGE = "parity.html"


@dataclass(frozen=True, slots=True)
class Told:
    """What a browser said: (photos, classes) probabilities, what it gave the network, and milliseconds."""

    probabilities: Array
    inputs: Array
    load_ms: float
    prepare_ms: tuple[float, ...]
    predict_ms: tuple[float, ...]
    agent: str = field(compare=False, default="")


def program() -> str | None:
    """The browser of this machine, or None."""
    return next((found for name in PROGRAMS if (found := shell.which(name))), None)


def ask(export: Path, photos: Sequence[Path], *, web: Path = WEB, timeout: float = 120) -> Told:
    """What the model in ``export`` says of ``photos`` in a browser that runs ``web/predict.js``.

    Raises Problems: no browser, it fails, or it does not answer within ``timeout`` seconds.
    """
    found = program()
    if found is None:
        raise Problems.one(
            "there is no Chromium, Chrome or Edge on this machine",
            hint="install one (apt install chromium), or pass --no-browser, which leaves its parity unchecked",
        )
    files = {f"/photos/{index}": path for index, path in enumerate(photos)}
    wanted = {"photos": len(photos)}
    with (
        serving([web, export], files, {"/wanted.json": wanted}, patience=timeout) as site,
        tempfile.TemporaryDirectory() as profile,
    ):
        command = [found, *QUIET, f"--user-data-dir={profile}", "--dump-dom", f"{site.address}/{PAGE}"]
        ran = shell.run(command, timeout=timeout + 30)
    if site.told is None:
        raise Problems.one(f"{found} did not answer: {_last(ran.output)}", hint="try again, or pass --no-browser")
    if "error" in site.told:
        raise Problems.one(f"the model does not run in {found}: {site.told['error']}", hint="export it again")
    return _read(site.told)


def _last(output: str) -> str:
    return (output.strip().splitlines() or [""])[-1][:200]


def _read(told: Mapping[str, Any]) -> Told:
    answers = told["answers"]
    return Told(
        np.asarray([one["probabilities"] for one in answers], dtype=np.float32),
        np.stack([_values(one["input"]) for one in answers]),
        float(told["load"]),
        tuple(float(one["prepare"]) for one in answers),
        tuple(float(one["predict"]) for one in answers),
        str(told["agent"]),
    )


def _values(text: str) -> Array:
    """A square of three channels."""
    values = np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float32)
    side = math.isqrt(len(values) // 3)
    return values.reshape(side, side, 3)


class Site:
    """What is served, and what was posted to ``/told``."""

    def __init__(self, folders: Sequence[Path], files: Mapping[str, Path], documents: Mapping[str, Any]) -> None:
        self.folders = folders
        self.files = files
        self.documents = documents
        self.address = ""
        self.told: dict[str, Any] | None = None
        self.ended = threading.Event()

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Content type and bytes of one path, or None; only files that lie directly in a folder are served."""
        path = path.partition("?")[0]
        if path in self.documents:
            return KINDS[".json"], json.dumps(self.documents[path]).encode()
        if path in self.files:
            return KINDS.get(self.files[path].suffix.lower(), KINDS[".bin"]), self.files[path].read_bytes()
        for folder in self.folders:
            there = {one.name: one for one in folder.iterdir() if one.is_file()}
            if found := there.get(path.removeprefix("/")):
                return KINDS.get(found.suffix, KINDS[".bin"]), found.read_bytes()
        return None


@contextmanager
def serving(
    folders: Sequence[Path],
    files: Mapping[str, Path],
    documents: Mapping[str, Any],
    *,
    patience: float = 60,
    port: int = 0,
) -> Iterator[Site]:
    """Serve a site on 127.0.0.1 for a while.

    A browser prints a page once it is loaded, and the page has loaded once its picture ``/told.png`` has: that is held
    back until the page has told what it found, or for ``patience`` seconds.
    """
    site = Site(folders, files, documents)
    with ThreadingHTTPServer(("127.0.0.1", port), _answers(site, patience)) as server:
        site.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


def _answers(site: Site, patience: float) -> type[BaseHTTPRequestHandler]:
    """The handler of one site's requests."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/told.png":
                site.ended.wait(patience)
            found = site.answer(self.path)
            self._send(200 if found else 404, *(found or ("text/plain", b"")))

        def do_POST(self) -> None:
            site.told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(200, "text/plain", b"")
            site.ended.set()

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name for it
            """Nothing."""

    return Answers
