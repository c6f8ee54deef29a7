"""The fake GitHub's server, and its issuer of OIDC tokens."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.github.fake_github import FakeGitHub, Request


class _Handler(BaseHTTPRequestHandler):
    hub: FakeGitHub
    lock: threading.Lock
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size) or b"{}")
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if parts.path == "/oidc":
            self.hub.tokens.append(token)
            return self._send(200, {"value": self.hub.issue_token(query.get("audience", ""))})
        request = Request(self.command, parts.path.removeprefix("/repos/shop/shop"), query, body)
        with self.lock:
            return self._send(*self.hub.handle(request, token))

    def _send(self, status: int, response: Any) -> None:
        data = b"" if response is None else json.dumps(response).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - the library's names

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def serve(git_folder: Path) -> Iterator[FakeGitHub]:
    """A GitHub for the length of a ``with`` block."""
    hub = FakeGitHub(git_folder)
    handler = type("Handler", (_Handler,), {"hub": hub, "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
