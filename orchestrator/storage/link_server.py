"""Serve the links of a local storage on localhost, as S3 does for a bucket; for laptops and tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from orchestrator.problems import Problems
from orchestrator.storage import MissingFileError
from orchestrator.storage.content_types import type_from_name
from orchestrator.storage.local import LocalFileStorage


class _LinkHandler(BaseHTTPRequestHandler):
    """Handles GET requests of signed links."""

    storage: LocalFileStorage

    def do_GET(self) -> None:
        try:
            key = self.storage.verify_link(self.path)
            data = self.storage.download(key)
        except MissingFileError:
            self.send_error(404)
        except Problems:
            self.send_error(403)
        else:
            self.send_response(200)
            self.send_header("Content-Type", type_from_name(key))
            self.send_header("Content-Length", str(len(data)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name for it
        """Log nothing: links grant access."""


@contextmanager
def serve(storage: LocalFileStorage, port: int = 0) -> Iterator[str]:
    """Serve the links of ``storage`` on 127.0.0.1, set its ``base_url`` to the server's URL and yield the URL."""
    handler = type("LinkHandler", (_LinkHandler,), {"storage": storage})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        storage.base_url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield storage.base_url
        finally:
            server.shutdown()
            thread.join()
