"""Run an exported model in a real, headless browser, for the parity check and for timings.

Starts the local Chromium, Chrome or Edge, serves it the export and the photos on loopback, and reads what the page
``ml/web/parity.html`` reports.  Nothing leaves the machine.
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

from ml.export import exported_model
from ml.export.exported_model import Array
from orchestrator import shell
from orchestrator.problems import Problems

WEB_FOLDER = Path(__file__).parents[1] / "web"
BROWSER_COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
HEADLESS_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".json": "application/json",
    ".css": "text/css; charset=utf-8", ".bin": "application/octet-stream", ".jpg": "image/jpeg", ".png": "image/png",
}  # fmt: skip
PARITY_PAGE = "parity.html"


@dataclass(frozen=True, slots=True)
class BrowserResult:
    """A browser's results: answers (photos, products + 1), embeddings, network inputs, and times in milliseconds."""

    answers: Array
    embeddings: Array
    inputs: Array
    load_ms: float
    prepare_ms: tuple[float, ...]
    predict_ms: tuple[float, ...]
    user_agent: str = field(compare=False, default="")


def find_browser() -> str | None:
    """Return the path of an installed browser, or None."""
    return next((executable for name in BROWSER_COMMANDS if (executable := shell.which(name))), None)


def predict_in_browser(
    export_folder: Path, photos: Sequence[Path], *, web_folder: Path = WEB_FOLDER, timeout_seconds: float = 120
) -> BrowserResult:
    """Predict ``photos`` with the model in ``export_folder`` in a browser that runs ``predict.js`` of ``web_folder``.

    Raises Problems if there is no browser, it fails, or it does not answer within ``timeout_seconds``.
    """
    executable = find_browser()
    if executable is None:
        raise Problems.from_message(
            "no Chromium, Chrome or Edge found on this machine",
            hint="install one (apt install chromium), or pass --no-browser to skip the browser's parity check",
        )
    files = {f"/photos/{index}": path for index, path in enumerate(photos)}
    request = {"photos": len(photos)}
    with (
        serve([web_folder, export_folder], files, {"/request.json": request}, max_wait_seconds=timeout_seconds) as site,
        tempfile.TemporaryDirectory() as profile,
    ):
        command = [
            executable,
            *HEADLESS_FLAGS,
            f"--user-data-dir={profile}",
            "--dump-dom",
            f"{site.address}/{PARITY_PAGE}",
        ]
        completed = shell.run(command, timeout=timeout_seconds + 30)
    if site.report is None:
        raise Problems.from_message(
            f"no response from {executable}: {_last_line(completed.output)}",
            hint="run the command again, or pass --no-browser",
        )
    if "error" in site.report:
        raise Problems.from_message(
            f"the model failed in {executable}: {site.report['error']}",
            hint="export it again: python -m ml.export runs/VERSION",
        )
    return _parse_result(site.report, exported_model.load(export_folder).products)


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or [""])[-1][:200]


def _parse_result(report: Mapping[str, Any], products: Sequence[str]) -> BrowserResult:
    answers = report["answers"]
    return BrowserResult(
        np.stack([_parse_answer(answer, products) for answer in answers]),
        np.asarray([answer["embedding"] for answer in answers], dtype=np.float32),
        np.stack([_decode_input(answer["input"]) for answer in answers]),
        float(report["load"]),
        tuple(float(answer["prepare"]) for answer in answers),
        tuple(float(answer["predict"]) for answer in answers),
        str(report["agent"]),
    )


def _parse_answer(answer: Mapping[str, Any], products: Sequence[str]) -> Array:
    """Return the percentages that people see, in the order of ``products``, and of "none"; NaN for one not named."""
    shown = {str(item["product"]): float(item["probability"]) for item in answer["products"]}
    ranked = [float(item["probability"]) for item in answer["products"]]
    row = [shown.get(name, math.nan) for name in products] if ranked == sorted(ranked, reverse=True) else [math.nan]
    return np.asarray([*row, *[math.nan] * (len(products) - len(row)), float(answer["none"])], dtype=np.float32)


def _decode_input(encoded: str) -> Array:
    """Decode a base64 float32 array into a (side, side, 3) image."""
    values = np.frombuffer(base64.b64decode(encoded), dtype="<f4").astype(np.float32)
    side = math.isqrt(len(values) // 3)
    return values.reshape(side, side, 3)


class Site:
    """The content to serve, and the report posted to ``/report``."""

    def __init__(self, folders: Sequence[Path], files: Mapping[str, Path], documents: Mapping[str, Any]) -> None:
        self.folders = folders
        self.files = files
        self.documents = documents
        self.address = ""
        self.report: dict[str, Any] | None = None
        self.reported = threading.Event()

    def read_file(self, path: str) -> tuple[str, bytes] | None:
        """Return content type and bytes of a path, or None; only files directly in a folder are served."""
        path = path.partition("?")[0]
        if path in self.documents:
            return CONTENT_TYPES[".json"], json.dumps(self.documents[path]).encode()
        if path in self.files:
            return CONTENT_TYPES.get(self.files[path].suffix.lower(), CONTENT_TYPES[".bin"]), self.files[
                path
            ].read_bytes()
        for folder in self.folders:
            files_by_name = {entry.name: entry for entry in folder.iterdir() if entry.is_file()}
            if file := files_by_name.get(path.removeprefix("/")):
                return CONTENT_TYPES.get(file.suffix, CONTENT_TYPES[".bin"]), file.read_bytes()
        return None


@contextmanager
def serve(
    folders: Sequence[Path],
    files: Mapping[str, Path],
    documents: Mapping[str, Any],
    *,
    max_wait_seconds: float = 60,
    port: int = 0,
) -> Iterator[Site]:
    """Serve a site on 127.0.0.1 while the context lasts.

    A headless browser dumps a page and exits once the page is loaded, including its image ``/report.png``.  The
    response for that image is delayed until the page has posted its report, or for ``max_wait_seconds``.
    """
    site = Site(folders, files, documents)
    with ThreadingHTTPServer(("127.0.0.1", port), _make_handler(site, max_wait_seconds)) as server:
        site.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


def _make_handler(site: Site, max_wait_seconds: float) -> type[BaseHTTPRequestHandler]:
    """Return a request handler class for a site."""

    class RequestHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/report.png":
                site.reported.wait(max_wait_seconds)
            content = site.read_file(self.path)
            self._send(200 if content else 404, *(content or ("text/plain", b"")))

        def do_POST(self) -> None:
            site.report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(200, "text/plain", b"")
            site.reported.set()

        def _send(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
            """Do not log requests."""

    return RequestHandler
