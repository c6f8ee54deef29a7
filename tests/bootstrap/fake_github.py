"""A GitHub on loopback: one repository, its variables and its environments, in the shapes of GitHub's REST API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.github import api_schema

TOKEN = "ghp_not-to-be-seen"
SUBJECT = "/actions/oidc/customization/sub"
NO_ENVIRONMENTS = (
    "Failed to create the environment protection rule. Please ensure the billing plan include protected branch gate."
)


@dataclass
class FakeGitHub:
    """What the repository holds, and who asked for what."""

    root: str
    url: str = ""
    objects: dict[str, Any] = field(default_factory=dict)
    has_environments: bool = True
    published: set[str] = field(default_factory=set)
    """Commits of other repositories that can be read, as OWNER/NAME/commits/SHA."""
    others: dict[str, Any] = field(default_factory=dict)
    """Responses about other repositories, by OWNER/NAME/PATH; a number is the status of a refusal."""
    writes: list[str] = field(default_factory=list)
    schema_violations: list[str] = field(default_factory=list)

    def handle(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """One exchange, and what of it GitHub would not know."""
        other = self.others.get(path.removeprefix("/repos/"))
        if other is not None:
            return (other, {"message": "Must have admin rights."}) if isinstance(other, int) else (200, other)
        status, response = self._route(method, path, body)
        if path.startswith(self.root):
            exchange: tuple[str, str, dict[str, str], Any] = (method, path.removeprefix(self.root), {}, body)
            self.schema_violations += api_schema.find_violations(exchange, status, response)
        return status, response

    def _route(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path.removeprefix("/repos/") in self.published:
            return 200, {"sha": path.rpartition("/")[2]}
        if not path.startswith(self.root):
            return 404, {"message": "Not Found"}
        resource_path = path.removeprefix(self.root)
        if method == "GET":
            return self._get(resource_path)
        self.writes.append(f"{method} {resource_path}")
        if "/environments/" in resource_path and not self.has_environments:
            return 422, {"message": NO_ENVIRONMENTS}
        if method == "DELETE":
            del self.objects[resource_path]
            return 204, None
        if method == "PUT":
            self.objects[resource_path] = body
            return 200, body
        if resource_path in self.objects.get("refuse", ()):
            return 403, {"message": "Resource not accessible"}
        self.objects[f"{resource_path}/{body['name']}"] = body
        return (200, body) if resource_path.endswith("/deployment-branch-policies") else (201, {})

    def _get(self, resource_path: str) -> tuple[int, Any]:
        if resource_path == "":
            name = self.root.removeprefix("/repos/")
            return 200, {"full_name": name, "id": 456789, "owner": {"id": 123456}, "default_branch": "main"}
        if resource_path == SUBJECT and resource_path not in self.objects:
            return 200, {"use_default": True, "sub_claim_prefix": f"repo:{self.root.removeprefix('/repos/')}"}
        if resource_path.endswith("/deployment-branch-policies"):
            policies = [policy for key, policy in self.objects.items() if key.startswith(f"{resource_path}/")]
            return 200, {"total_count": len(policies), "branch_policies": policies}
        return (200, self.objects[resource_path]) if resource_path in self.objects else (404, {"message": "Not Found"})


@contextmanager
def serve_github(repository: str) -> Iterator[FakeGitHub]:
    """Serve one repository."""
    hub = FakeGitHub(f"/repos/{repository}")

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            allowed = self.headers.get("authorization") == f"Bearer {TOKEN}"
            status, said = hub.handle(self.command, self.path, body) if allowed else (401, {"message": "Bad token"})
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
        assert not hub.schema_violations, hub.schema_violations
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
