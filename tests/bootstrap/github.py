"""A GitHub on loopback: one repository, its variables and its environments, in the shapes of GitHub's REST API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.github import shapes

TOKEN = "ghp_not-to-be-seen"


@dataclass
class Hub:
    """What the repository holds, and who asked for what."""

    root: str
    url: str = ""
    things: dict[str, Any] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """One exchange, and what of it GitHub would not know."""
        status, said = self._answer(method, path, body)
        if path.startswith(self.root):
            asked: tuple[str, str, dict[str, str], Any] = (method, path.removeprefix(self.root), {}, body)
            self.misshapen += shapes.complaints(asked, status, said)
        return status, said

    def _answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if not path.startswith(self.root):
            return 404, {"message": "Not Found"}
        place = path.removeprefix(self.root)
        if method == "GET":
            return self._read(place)
        self.writes.append(f"{method} {place}")
        if method == "DELETE":
            del self.things[place]
            return 204, None
        if method == "PUT":
            self.things[place] = body
            return 200, body
        if place in self.things.get("refuse", ()):
            return 403, {"message": "Resource not accessible"}
        self.things[f"{place}/{body['name']}"] = body
        return (200, body) if place.endswith("/deployment-branch-policies") else (201, {})

    def _read(self, place: str) -> tuple[int, Any]:
        if place == "":
            name = self.root.removeprefix("/repos/")
            return 200, {"full_name": name, "id": 456789, "owner": {"id": 123456}, "default_branch": "main"}
        if place.endswith("/deployment-branch-policies"):
            found = [thing for key, thing in self.things.items() if key.startswith(f"{place}/")]
            return 200, {"total_count": len(found), "branch_policies": found}
        return (200, self.things[place]) if place in self.things else (404, {"message": "Not Found"})


@contextmanager
def github(repository: str) -> Iterator[Hub]:
    """Serve one repository."""
    hub = Hub(f"/repos/{repository}")

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            allowed = self.headers.get("authorization") == f"Bearer {TOKEN}"
            status, said = hub.answer(self.command, self.path, body) if allowed else (401, {"message": "Bad token"})
            data = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
        assert not hub.misshapen, hub.misshapen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
