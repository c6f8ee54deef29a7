"""A GitHub on loopback: repositories' comments, statuses, deployments, pull requests and issues, kept as GitHub would.

Answers have the members of GitHub's REST API that the product may rely on.  What is not implemented is 404, and is
written down, so that a test can see it.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.github import shapes

BOT = {"login": "github-actions[bot]", "id": 41898282, "type": "Bot"}
ANA = {"login": "ana", "id": 7, "type": "User"}
LONGEST_BODY = 65_536
WRITER, READER = "ghs_writer", "ghs_reader"
"""Tokens: of a run that may write, and of a fork's."""

Answer = tuple[int, Any]


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]


@dataclass
class GitHub:
    """The repository ``shop/shop``, whose commits lie in the bare repository ``git``."""

    git: Path
    url: str = ""
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    deployments: dict[int, dict[str, Any]] = field(default_factory=dict)
    told: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    issue: Callable[[str], str] = lambda audience: f"oidc.{audience}.token"
    stumble: Callable[[Request], Answer | None] = lambda request: None
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1001))
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def comments_on(self, number: int) -> list[dict[str, Any]]:
        """Oldest first."""
        return [one for one in self.comments.values() if one["_issue"] == number]

    def status(self, sha: str) -> dict[str, Any]:
        """The newest status of a commit."""
        return next(one for one in reversed(self.statuses) if one["_sha"] == sha)

    def states(self, number: int) -> list[str]:
        """What a deployment went through."""
        return [one["state"] for one in self.told[number]]

    def run_git(self, *words: str, text: str | None = None, environ: Mapping[str, str] | None = None) -> str:
        surroundings = {**os.environ, **(environ or {})}
        done = subprocess.run(
            ["git", *words], cwd=self.git, check=True, capture_output=True, text=True, input=text, env=surroundings
        )
        return done.stdout.strip()

    def answer(self, request: Request, token: str) -> Answer:
        """One exchange, and what of it GitHub would not know."""
        self.requests.append(f"{request.method} {request.path}")
        status, kept = self._answer(request, token)
        said = _public(kept)
        asked = (request.method, request.path, request.query, request.body)
        self.misshapen += shapes.complaints(asked, status, said)
        return status, said

    def _answer(self, request: Request, token: str) -> Answer:
        if token not in {WRITER, READER}:
            return 401, {"message": "Bad credentials"}
        if request.method != "GET" and token == READER:
            return 403, {"message": "Resource not accessible by integration"}
        if (stumbled := self.stumble(request)) is not None:
            return stumbled
        for method, pattern, handler in ROUTES:
            found = re.fullmatch(pattern, request.path)
            if method == request.method and found:
                return handler(self, request, *map(unquote, found.groups()))
        self.unknown.append(f"{request.method} {request.path}")
        return 404, {"message": "Not Found"}


def _public(kept: Any) -> Any:
    """Without what only the fake knows: members that begin with an underscore."""
    if isinstance(kept, list):
        return [_public(each) for each in kept]
    return {name: each for name, each in kept.items() if name[0] != "_"} if isinstance(kept, dict) else kept


def _list(items: list[Any], request: Request) -> Answer:
    size, page = int(request.query.get("per_page", 30)), int(request.query.get("page", 1))
    return 200, items[size * (page - 1) : size * page]


def _comments(hub: GitHub, request: Request, number: str) -> Answer:
    return _list(hub.comments_on(int(number)), request)


def _comment(hub: GitHub, request: Request, number: str) -> Answer:
    if len(request.body["body"]) > LONGEST_BODY:
        return 422, {"message": "Validation Failed"}
    made = {
        "id": next(hub.ids),
        "_issue": int(number),
        "body": request.body["body"],
        "user": BOT,
        "html_url": f"https://github.com/shop/shop/issues/{number}#issuecomment-1",
    }
    hub.comments[made["id"]] = made
    return 201, made


def _edit_comment(hub: GitHub, request: Request, number: str) -> Answer:
    if int(number) not in hub.comments:
        return 404, {"message": "Not Found"}
    hub.comments[int(number)]["body"] = request.body["body"]
    return 200, hub.comments[int(number)]


def _remove_comment(hub: GitHub, request: Request, number: str) -> Answer:
    hub.comments.pop(int(number), None)
    return 204, None


def _statuses(hub: GitHub, request: Request, sha: str) -> Answer:
    return _list([one for one in reversed(hub.statuses) if one["_sha"] == sha], request)


def _status(hub: GitHub, request: Request, sha: str) -> Answer:
    if len(request.body["description"]) > 140 or request.body["state"] not in {"success", "failure", "error"}:
        return 422, {"message": "Validation Failed"}
    hub.statuses.append({**request.body, "_sha": sha, "creator": BOT, "id": next(hub.ids)})
    return 201, hub.statuses[-1]


def _pull(hub: GitHub, request: Request, number: str) -> Answer:
    return (200, hub.pulls[int(number)]) if int(number) in hub.pulls else (404, {"message": "Not Found"})


def _pulls(hub: GitHub, request: Request) -> Answer:
    head, state = request.query.get("head", ""), request.query.get("state", "open")
    found = [one for one in hub.pulls.values() if not head or f"shop:{one['head']['ref']}" == head]
    return _list([one for one in found if state in {"all", one["state"]}], request)


def _open_pull(hub: GitHub, request: Request) -> Answer:
    number = next(hub.numbers)
    sha = hub.run_git("rev-parse", request.body["head"])
    made = {
        "number": number,
        "state": "open",
        "title": request.body["title"],
        "body": request.body["body"],
        "head": {"ref": request.body["head"], "sha": sha},
        "base": {"ref": request.body["base"]},
        "merged_at": None,
        "html_url": f"https://github.com/shop/shop/pull/{number}",
    }
    hub.pulls[number] = made
    return 201, made


def _edit_pull(hub: GitHub, request: Request, number: str) -> Answer:
    hub.pulls[int(number)].update(request.body)
    return 200, hub.pulls[int(number)]


def _pulls_of(hub: GitHub, request: Request, sha: str) -> Answer:
    return 200, [one for one in hub.pulls.values() if sha in {one["head"]["sha"], one.get("merge_commit_sha")}]


def _compare(hub: GitHub, request: Request, base: str, head: str) -> Answer:
    try:
        shas = hub.run_git("rev-list", "--reverse", f"{base}..{head}").split()
    except subprocess.CalledProcessError:
        return 404, {"message": "Not Found"}
    return 200, {"commits": [{"sha": sha} for sha in shas], "total_commits": len(shas)}


def _deployments(hub: GitHub, request: Request) -> Answer:
    wanted = request.query.get("environment")
    return _list([one for one in reversed(hub.deployments.values()) if one["environment"] == wanted], request)


def _deploy(hub: GitHub, request: Request) -> Answer:
    kept = {name: value for name, value in request.body.items() if name not in {"auto_merge", "required_contexts"}}
    made = {**kept, "id": next(hub.ids), "sha": request.body["ref"]}
    hub.deployments[made["id"]] = made
    hub.told[made["id"]] = []
    return 201, made


def _told(hub: GitHub, request: Request, number: str) -> Answer:
    return _list(list(reversed(hub.told[int(number)])), request)


def _tell(hub: GitHub, request: Request, number: str) -> Answer:
    if len(request.body.get("description", "")) > 140:
        return 422, {"message": "Validation Failed"}
    hub.told[int(number)].append({name: value for name, value in request.body.items() if name != "auto_inactive"})
    return 201, hub.told[int(number)][-1]


def _issues(hub: GitHub, request: Request) -> Answer:
    state, labels = request.query.get("state", "open"), request.query.get("labels", "")
    found = [one for one in reversed(hub.issues.values()) if state in {"all", one["state"]}]
    return _list([one for one in found if not labels or labels in [each["name"] for each in one["labels"]]], request)


def _open_issue(hub: GitHub, request: Request) -> Answer:
    number = next(hub.numbers)
    labels = [{"name": name} for name in request.body.get("labels", ())]
    made = {
        **request.body,
        "number": number,
        "state": "open",
        "labels": labels,
        "user": BOT,
        "html_url": f"https://github.com/shop/shop/issues/{number}",
    }
    hub.issues[number] = made
    return 201, made


def _edit_issue(hub: GitHub, request: Request, number: str) -> Answer:
    hub.issues[int(number)].update(request.body)
    return 200, hub.issues[int(number)]


def _ref(hub: GitHub, request: Request, name: str) -> Answer:
    try:
        return 200, {"ref": f"refs/{name}", "object": {"sha": hub.run_git("rev-parse", f"refs/{name}")}}
    except subprocess.CalledProcessError:
        return 404, {"message": "Not Found"}


def _make_ref(hub: GitHub, request: Request) -> Answer:
    hub.run_git("update-ref", request.body["ref"], request.body["sha"])
    return 201, {"ref": request.body["ref"], "object": {"sha": request.body["sha"]}}


def _move_ref(hub: GitHub, request: Request, name: str) -> Answer:
    hub.run_git("update-ref", f"refs/{name}", request.body["sha"])
    return 200, {"ref": f"refs/{name}", "object": {"sha": request.body["sha"]}}


def _commit_of(hub: GitHub, request: Request, sha: str) -> Answer:
    return 200, {"sha": sha, "tree": {"sha": hub.run_git("rev-parse", f"{sha}^{{tree}}")}}


def _tree(hub: GitHub, request: Request) -> Answer:
    index = {"GIT_INDEX_FILE": str(hub.git / "index.trees")}
    hub.run_git("read-tree", request.body["base_tree"], environ=index)
    for entry in request.body["tree"]:
        if "sha" in entry:  # null: the file goes
            hub.run_git("update-index", "--index-info", text=f"0 {'0' * 40}\t{entry['path']}\n", environ=index)
            continue
        sha = hub.run_git("hash-object", "-w", "--stdin", text=entry["content"])
        hub.run_git("update-index", "--add", "--cacheinfo", f"{entry['mode']},{sha},{entry['path']}", environ=index)
    return 201, {"sha": hub.run_git("write-tree", environ=index)}


def _make_commit(hub: GitHub, request: Request) -> Answer:
    author = {f"GIT_{who}_{what}": "bot@shop.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    parents = [word for parent in request.body["parents"] for word in ("-p", parent)]
    sha = hub.run_git("commit-tree", request.body["tree"], *parents, "-m", request.body["message"], environ=author)
    return 201, {"sha": sha}


ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    ("GET", r"/issues/(\d+)/comments", _comments),
    ("POST", r"/issues/(\d+)/comments", _comment),
    ("PATCH", r"/issues/comments/(\d+)", _edit_comment),
    ("DELETE", r"/issues/comments/(\d+)", _remove_comment),
    ("GET", r"/commits/([^/]+)/statuses", _statuses),
    ("POST", r"/statuses/([^/]+)", _status),
    ("GET", r"/pulls/(\d+)", _pull),
    ("GET", r"/pulls", _pulls),
    ("POST", r"/pulls", _open_pull),
    ("PATCH", r"/pulls/(\d+)", _edit_pull),
    ("GET", r"/commits/([^/]+)/pulls", _pulls_of),
    ("GET", r"/compare/(.+?)\.\.\.(.+)", _compare),
    ("GET", r"/deployments", _deployments),
    ("POST", r"/deployments", _deploy),
    ("GET", r"/deployments/(\d+)/statuses", _told),
    ("POST", r"/deployments/(\d+)/statuses", _tell),
    ("GET", r"/issues", _issues),
    ("POST", r"/issues", _open_issue),
    ("PATCH", r"/issues/(\d+)", _edit_issue),
    ("GET", r"/git/ref/(.+)", _ref),
    ("POST", r"/git/refs", _make_ref),
    ("PATCH", r"/git/refs/(.+)", _move_ref),
    ("GET", r"/git/commits/(.+)", _commit_of),
    ("POST", r"/git/trees", _tree),
    ("POST", r"/git/commits", _make_commit),
]
