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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.github import api_schema

BOT = {"login": "github-actions[bot]", "id": 41898282, "type": "Bot"}
ANA = {"login": "ana", "id": 7, "type": "User"}
BEN = {"login": "ben", "id": 8, "type": "User"}
MAX_BODY_CHARACTERS = 65_536
WRITE_TOKEN, READ_TOKEN = "ghs_writer", "ghs_reader"
"""Tokens: of a run that may write, and of a fork's."""

Response = tuple[int, Any]


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]


@dataclass
class FakeGitHub:
    """The repository ``shop/shop``, whose commits lie in the bare repository ``git``."""

    git_folder: Path
    url: str = ""
    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    deployments: dict[int, dict[str, Any]] = field(default_factory=dict)
    deployment_statuses: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    unhandled_requests: list[str] = field(default_factory=list)
    schema_violations: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    workflow_runs: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    events: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    reviews: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    activities: list[dict[str, Any]] = field(default_factory=list)
    permissions: dict[str, str] = field(default_factory=lambda: {"ana": "admin", "ben": "write"})
    seconds: Iterator[int] = field(default_factory=itertools.count)
    issue_token: Callable[[str], str] = lambda audience: f"oidc.{audience}.token"
    inject_failure: Callable[[Request], Response | None] = lambda request: None
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1001))
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def list_comments(self, number: int) -> list[dict[str, Any]]:
        """Oldest first."""
        return [comment for comment in self.comments.values() if comment["_issue"] == number]

    def newest_status(self, sha: str) -> dict[str, Any]:
        """The newest status of a commit."""
        return next(status for status in reversed(self.statuses) if status["_sha"] == sha)

    def now(self) -> str:
        """The time; it is a second later each time."""
        return f"{datetime(2026, 11, 24, 10, tzinfo=UTC) + timedelta(seconds=next(self.seconds)):%Y-%m-%dT%H:%M:%SZ}"

    def start_run(
        self,
        workflow: str,
        event: str,
        sha: str,
        branch: str,
        repository: str = "shop/shop",
        actor: Mapping[str, Any] = ANA,
    ) -> int:
        """Begin a run of a workflow; its id."""
        run_id = next(self.ids)
        run = {
            "id": run_id,
            "path": f".github/workflows/{workflow}",
            "event": event,
            "head_sha": sha,
            "head_branch": branch,
            "head_repository": {"full_name": repository},
            "actor": dict(actor),
            "created_at": self.now(),
            "pull_requests": [],  # empty once the pull request is merged or closed
        }
        self.workflow_runs.append(run)
        return run_id

    def upload_artifact(self, run: int, name: str) -> None:
        """Keep an artefact, as a job of this run may, and no other."""
        artifact = {"id": next(self.ids), "name": name, "created_at": self.now(), "expired": False}
        self.artifacts.append({**artifact, "workflow_run": {"id": run}, "_run": run})

    def review(self, number: int, user: dict[str, Any], state: str = "APPROVED", sha: str = "") -> None:
        """A person, or something else that may, submits a review of the last commit, or of another one."""
        commit = sha or self.pulls[number]["head"]["sha"]
        review = {"id": next(self.ids), "user": user, "state": state, "commit_id": commit, "submitted_at": self.now()}
        self.reviews.setdefault(number, []).append(review)

    def comment(self, number: int, user: dict[str, Any], body: str) -> dict[str, Any]:
        """A person writes a comment."""
        now = self.now()
        comment = {"id": next(self.ids), "_issue": number, "body": body, "user": user, "created_at": now}
        self.comments[int(str(comment["id"]))] = comment | {"updated_at": now, "html_url": "https://github.com/c"}
        return self.comments[int(str(comment["id"]))]

    def record_activity(self, kind: str, commit: str, actor: Mapping[str, Any] = ANA, *, branch: str = "main") -> None:
        """What the repository's activity says of a push to a branch, or a merge."""
        activity = {"id": next(self.ids), "activity_type": kind, "after": commit, "ref": f"refs/heads/{branch}"}
        self.activities.append({**activity, "actor": dict(actor), "timestamp": self.now()})

    def change_base(self, number: int, branch: str) -> None:
        """A person gives a pull request another base branch; no workflow runs for that by itself."""
        self.pulls[number]["base"] = {"ref": branch}
        event = {"id": next(self.ids), "event": "base_ref_changed", "created_at": self.now()}
        self.events.setdefault(number, []).append(event)

    def deployment_states(self, number: int) -> list[str]:
        """What a deployment went through."""
        return [status["state"] for status in self.deployment_statuses[number]]

    def run_git(self, *words: str, text: str | None = None, environ: Mapping[str, str] | None = None) -> str:
        environment = {**os.environ, **(environ or {})}
        completed = subprocess.run(
            ["git", *words],
            cwd=self.git_folder,
            check=True,
            capture_output=True,
            text=True,
            input=text,
            env=environment,
        )
        return completed.stdout.strip()

    def handle(self, request: Request, token: str) -> Response:
        """One exchange, and what of it GitHub would not know."""
        self.requests.append(f"{request.method} {request.path}")
        status, response = self._route(request, token)
        public_response = _strip_private(response)
        exchange = (request.method, request.path, request.query, request.body)
        self.schema_violations += api_schema.find_violations(exchange, status, public_response)
        return status, public_response

    def _route(self, request: Request, token: str) -> Response:
        if token not in {WRITE_TOKEN, READ_TOKEN}:
            return 401, {"message": "Bad credentials"}
        if request.method != "GET" and token == READ_TOKEN:
            return 403, {"message": "Resource not accessible by integration"}
        if (failure := self.inject_failure(request)) is not None:
            return failure
        for method, pattern, handler in ROUTES:
            match = re.fullmatch(pattern, request.path)
            if method == request.method and match:
                return handler(self, request, *map(unquote, match.groups()))
        self.unhandled_requests.append(f"{request.method} {request.path}")
        return 404, {"message": "Not Found"}


def _strip_private(value: Any) -> Any:
    """Without what only the fake knows: members that begin with an underscore."""
    if isinstance(value, list):
        return [_strip_private(item) for item in value]
    if isinstance(value, dict):
        return {name: _strip_private(item) for name, item in value.items() if name[0] != "_"}
    return value


def _paginate(items: list[Any], request: Request) -> Response:
    size, page = int(request.query.get("per_page", 30)), int(request.query.get("page", 1))
    return 200, items[size * (page - 1) : size * page]


def _list_comments(hub: FakeGitHub, request: Request, number: str) -> Response:
    return _paginate(hub.list_comments(int(number)), request)


def _list_reviews(hub: FakeGitHub, request: Request, number: str) -> Response:
    return _paginate(hub.reviews.get(int(number), []), request)


def _get_permission(hub: FakeGitHub, request: Request, login: str) -> Response:
    permission = hub.permissions.get(login, "read")
    return 200, {"permission": permission, "role_name": permission, "user": {"login": login}}


def _create_comment(hub: FakeGitHub, request: Request, number: str) -> Response:
    if len(request.body["body"]) > MAX_BODY_CHARACTERS:
        return 422, {"message": "Validation Failed"}
    comment = {
        "id": next(hub.ids),
        "_issue": int(number),
        "body": request.body["body"],
        "user": BOT,
        "html_url": f"https://github.com/shop/shop/issues/{number}#issuecomment-1",
        "created_at": (now := hub.now()),
        "updated_at": now,
    }
    hub.comments[comment["id"]] = comment
    return 201, comment


def _update_comment(hub: FakeGitHub, request: Request, number: str) -> Response:
    if int(number) not in hub.comments:
        return 404, {"message": "Not Found"}
    hub.comments[int(number)] |= {"body": request.body["body"], "updated_at": hub.now()}
    return 200, hub.comments[int(number)]


def _delete_comment(hub: FakeGitHub, request: Request, number: str) -> Response:
    hub.comments.pop(int(number), None)
    return 204, None


def _list_statuses(hub: FakeGitHub, request: Request, sha: str) -> Response:
    return _paginate([status for status in reversed(hub.statuses) if status["_sha"] == sha], request)


def _create_status(hub: FakeGitHub, request: Request, sha: str) -> Response:
    if len(request.body["description"]) > 140 or request.body["state"] not in {"success", "failure", "error"}:
        return 422, {"message": "Validation Failed"}
    hub.statuses.append({**request.body, "_sha": sha, "creator": BOT, "id": next(hub.ids)})
    return 201, hub.statuses[-1]


def _get_pull(hub: FakeGitHub, request: Request, number: str) -> Response:
    return (200, hub.pulls[int(number)]) if int(number) in hub.pulls else (404, {"message": "Not Found"})


def _list_pull_files(hub: FakeGitHub, request: Request, number: str) -> Response:
    """What the head has that the base had not; of a merged one, the base before the merge."""
    pull = hub.pulls[int(number)]
    base = f"{pull['merge_commit_sha']}^1" if pull.get("merge_commit_sha") else pull["base"]["ref"]
    names = hub.run_git("diff", "--name-only", "--no-renames", f"{base}...{pull['head']['sha']}").splitlines()
    return _paginate([{"filename": name} for name in names], request)


def _list_contents(hub: FakeGitHub, request: Request, path: str) -> Response:
    """The entries of a folder at a commit; a folder among them has the hash of its tree."""
    listed = hub.run_git("ls-tree", f"{request.query['ref']}:", f"{path}/").splitlines()
    rows = [line.replace("\t", " ").split(" ", 3) for line in listed]
    kinds = {"blob": "file", "tree": "dir"}
    entries = [
        {"name": name.rpartition("/")[2], "path": name, "sha": sha, "type": kinds[kind]} for _, kind, sha, name in rows
    ]
    return (200, entries) if entries else (404, {"message": "Not Found"})


def _list_issue_events(hub: FakeGitHub, request: Request, number: str) -> Response:
    return _paginate(hub.events.get(int(number), []), request)


def _list_workflow_runs(hub: FakeGitHub, request: Request, workflow: str) -> Response:
    found = [
        run
        for run in reversed(hub.workflow_runs)
        if run["path"] == f".github/workflows/{workflow}"
        and run["head_sha"] == request.query.get("head_sha", run["head_sha"])
        and run["event"] == request.query.get("event", run["event"])
        and run["head_branch"] == request.query.get("branch", run["head_branch"])
    ]
    return 200, {"total_count": len(found), "workflow_runs": _paginate(found, request)[1]}


def _list_artifacts(hub: FakeGitHub, request: Request, run: str) -> Response:
    found = [
        artifact
        for artifact in hub.artifacts
        if artifact["_run"] == int(run) and artifact["name"] == request.query.get("name", artifact["name"])
    ]
    return 200, {"total_count": len(found), "artifacts": _paginate(found, request)[1]}


def _list_pulls(hub: FakeGitHub, request: Request) -> Response:
    head, state = request.query.get("head", ""), request.query.get("state", "open")
    pulls = [pull for pull in hub.pulls.values() if not head or f"shop:{pull['head']['ref']}" == head]
    return _paginate([pull for pull in pulls if state in {"all", pull["state"]}], request)


def _create_pull(hub: FakeGitHub, request: Request) -> Response:
    number = next(hub.numbers)
    sha = hub.run_git("rev-parse", request.body["head"])
    pull = {
        "number": number,
        "state": "open",
        "title": request.body["title"],
        "body": request.body["body"],
        "head": {"ref": request.body["head"], "sha": sha, "repo": {"full_name": "shop/shop"}},
        "base": {"ref": request.body["base"]},
        "merged_at": None,
        "html_url": f"https://github.com/shop/shop/pull/{number}",
    }
    hub.pulls[number] = pull
    return 201, pull


def _update_pull(hub: FakeGitHub, request: Request, number: str) -> Response:
    hub.pulls[int(number)].update(request.body)
    return 200, hub.pulls[int(number)]


def _list_commit_pulls(hub: FakeGitHub, request: Request, sha: str) -> Response:
    return 200, [pull for pull in hub.pulls.values() if sha in {pull["head"]["sha"], pull.get("merge_commit_sha")}]


def _compare(hub: FakeGitHub, request: Request, base: str, head: str) -> Response:
    try:
        shas = hub.run_git("rev-list", "--reverse", f"{base}..{head}").split()
    except subprocess.CalledProcessError:
        return 404, {"message": "Not Found"}
    names = hub.run_git("diff", "--name-only", f"{base}...{head}").split()
    files = [{"filename": name, "status": "modified"} for name in names]
    commits = [_describe_commit(hub, sha) for sha in shas]
    return 200, {"commits": commits, "total_commits": len(shas), "files": files}


def _describe_commit(hub: FakeGitHub, sha: str) -> dict[str, Any]:
    """A commit with the people whose addresses git names: `ana@shop.example` is Ana, and an unknown one nobody."""
    addresses = hub.run_git("show", "-s", "--format=%ae %ce", sha).split()
    people = {person["login"]: person for person in (ANA, BEN)}
    author, committer = (people.get(address.partition("@")[0]) for address in addresses)
    return {"sha": sha, "author": author, "committer": committer}


def _list_commits(hub: FakeGitHub, request: Request) -> Response:
    shas = hub.run_git("rev-list", request.query.get("sha", "main")).split()
    return _paginate([_describe_commit(hub, sha) for sha in shas], request)


def _list_activities(hub: FakeGitHub, request: Request) -> Response:
    """Pushes and merges, the newest first."""
    found = [item for item in reversed(hub.activities) if item["ref"] == request.query.get("ref", item["ref"])]
    return _paginate(found, request)


def _list_deployments(hub: FakeGitHub, request: Request) -> Response:
    environment = request.query.get("environment")
    return _paginate(
        [deployment for deployment in reversed(hub.deployments.values()) if deployment["environment"] == environment],
        request,
    )


def _create_deployment(hub: FakeGitHub, request: Request) -> Response:
    fields = {name: value for name, value in request.body.items() if name not in {"auto_merge", "required_contexts"}}
    deployment = {**fields, "id": next(hub.ids), "sha": request.body["ref"]}
    hub.deployments[deployment["id"]] = deployment
    hub.deployment_statuses[deployment["id"]] = []
    return 201, deployment


def _list_deployment_statuses(hub: FakeGitHub, request: Request, number: str) -> Response:
    return _paginate(list(reversed(hub.deployment_statuses[int(number)])), request)


def _create_deployment_status(hub: FakeGitHub, request: Request, number: str) -> Response:
    if len(request.body.get("description", "")) > 140:
        return 422, {"message": "Validation Failed"}
    hub.deployment_statuses[int(number)].append(
        {name: value for name, value in request.body.items() if name != "auto_inactive"}
    )
    return 201, hub.deployment_statuses[int(number)][-1]


def _list_issues(hub: FakeGitHub, request: Request) -> Response:
    state, labels = request.query.get("state", "open"), request.query.get("labels", "")
    creator = request.query.get("creator", "")
    issues = [issue for issue in reversed(hub.issues.values()) if state in {"all", issue["state"]}]
    return _paginate(
        [
            issue
            for issue in issues
            if (not labels or labels in [label["name"] for label in issue["labels"]])
            and creator in {"", issue["user"]["login"]}
        ],
        request,
    )


def _create_issue(hub: FakeGitHub, request: Request) -> Response:
    number = next(hub.numbers)
    labels = [{"name": name} for name in request.body.get("labels", ())]
    issue = {
        **request.body,
        "number": number,
        "state": "open",
        "labels": labels,
        "user": BOT,
        "html_url": f"https://github.com/shop/shop/issues/{number}",
    }
    hub.issues[number] = issue
    return 201, issue


def _update_issue(hub: FakeGitHub, request: Request, number: str) -> Response:
    hub.issues[int(number)].update(request.body)
    return 200, hub.issues[int(number)]


def _get_ref(hub: FakeGitHub, request: Request, name: str) -> Response:
    try:
        return 200, {"ref": f"refs/{name}", "object": {"sha": hub.run_git("rev-parse", f"refs/{name}")}}
    except subprocess.CalledProcessError:
        return 404, {"message": "Not Found"}


def _create_ref(hub: FakeGitHub, request: Request) -> Response:
    hub.run_git("update-ref", request.body["ref"], request.body["sha"])
    return 201, {"ref": request.body["ref"], "object": {"sha": request.body["sha"]}}


def _update_ref(hub: FakeGitHub, request: Request, name: str) -> Response:
    hub.run_git("update-ref", f"refs/{name}", request.body["sha"])
    return 200, {"ref": f"refs/{name}", "object": {"sha": request.body["sha"]}}


def _get_commit(hub: FakeGitHub, request: Request, sha: str) -> Response:
    return 200, {"sha": sha, "tree": {"sha": hub.run_git("rev-parse", f"{sha}^{{tree}}")}}


def _create_tree(hub: FakeGitHub, request: Request) -> Response:
    index_environment = {"GIT_INDEX_FILE": str(hub.git_folder / "index.trees")}
    hub.run_git("read-tree", request.body["base_tree"], environ=index_environment)
    for entry in request.body["tree"]:
        if "sha" in entry:  # null: the file goes
            hub.run_git(
                "update-index", "--index-info", text=f"0 {'0' * 40}\t{entry['path']}\n", environ=index_environment
            )
            continue
        sha = hub.run_git("hash-object", "-w", "--stdin", text=entry["content"])
        hub.run_git(
            "update-index", "--add", "--cacheinfo", f"{entry['mode']},{sha},{entry['path']}", environ=index_environment
        )
    return 201, {"sha": hub.run_git("write-tree", environ=index_environment)}


def _create_commit(hub: FakeGitHub, request: Request) -> Response:
    author = {f"GIT_{who}_{what}": "bot@shop.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    parents = [word for parent in request.body["parents"] for word in ("-p", parent)]
    sha = hub.run_git("commit-tree", request.body["tree"], *parents, "-m", request.body["message"], environ=author)
    return 201, {"sha": sha}


ROUTES: list[tuple[str, str, Callable[..., Response]]] = [
    ("GET", r"/issues/(\d+)/comments", _list_comments),
    ("POST", r"/issues/(\d+)/comments", _create_comment),
    ("PATCH", r"/issues/comments/(\d+)", _update_comment),
    ("DELETE", r"/issues/comments/(\d+)", _delete_comment),
    ("GET", r"/commits/([^/]+)/statuses", _list_statuses),
    ("POST", r"/statuses/([^/]+)", _create_status),
    ("GET", r"/pulls/(\d+)", _get_pull),
    ("GET", r"/pulls/(\d+)/files", _list_pull_files),
    ("GET", r"/pulls/(\d+)/reviews", _list_reviews),
    ("GET", r"/collaborators/([^/]+)/permission", _get_permission),
    ("GET", r"/issues/(\d+)/events", _list_issue_events),
    ("GET", r"/contents/(.+)", _list_contents),
    ("GET", r"/actions/workflows/([^/]+)/runs", _list_workflow_runs),
    ("GET", r"/actions/runs/(\d+)/artifacts", _list_artifacts),
    ("GET", r"/pulls", _list_pulls),
    ("POST", r"/pulls", _create_pull),
    ("PATCH", r"/pulls/(\d+)", _update_pull),
    ("GET", r"/commits/([^/]+)/pulls", _list_commit_pulls),
    ("GET", r"/compare/(.+?)\.\.\.(.+)", _compare),
    ("GET", r"/commits", _list_commits),
    ("GET", r"/activity", _list_activities),
    ("GET", r"/deployments", _list_deployments),
    ("POST", r"/deployments", _create_deployment),
    ("GET", r"/deployments/(\d+)/statuses", _list_deployment_statuses),
    ("POST", r"/deployments/(\d+)/statuses", _create_deployment_status),
    ("GET", r"/issues", _list_issues),
    ("POST", r"/issues", _create_issue),
    ("PATCH", r"/issues/(\d+)", _update_issue),
    ("GET", r"/git/ref/(.+)", _get_ref),
    ("POST", r"/git/refs", _create_ref),
    ("PATCH", r"/git/refs/(.+)", _update_ref),
    ("GET", r"/git/commits/(.+)", _get_commit),
    ("POST", r"/git/trees", _create_tree),
    ("POST", r"/git/commits", _create_commit),
]
