"""Open a pull request that changes files, through the API and without git: one commit on one branch.

API: GitHub REST API (git trees, commits and refs; pulls).  Replaces what the branch held before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.github.client import GitHub, GitHubProblems
from orchestrator.problems import Problems

FORBIDDEN_HINT = (
    "enable `Allow GitHub Actions to create and approve pull requests` under Settings > Actions > General, "
    "or open a pull request manually from the branch {}"
)


def create_or_update(
    github: GitHub, branch: str, base: str, parent: str, files: Mapping[str, str], text: tuple[str, str]
) -> str:
    """Commit ``files`` on top of ``parent``, open or update the pull request into ``base``, and return its URL.

    ``files`` maps paths to texts; an empty text deletes the file.  ``text`` is the title, also used for the commit,
    and the body.  Raises Problems.
    """
    title, body = text
    commit = _create_commit(github, parent, files, title)
    _update_branch(github, branch, commit)
    owner = github.repository.partition("/")[0]
    open_pull_requests = github.get("/pulls", state="open", head=f"{owner}:{branch}", base=base)
    if open_pull_requests:
        updated = github.patch(f"/pulls/{open_pull_requests[0]['number']}", {"title": title, "body": body})
        return str(updated["html_url"])
    try:
        created = github.post("/pulls", {"title": title, "body": body, "head": branch, "base": base})
    except GitHubProblems as error:
        if error.status != 403:
            raise
        raise Problems.from_message(error.problems[0].message, hint=FORBIDDEN_HINT.format(branch)) from None
    return str(created["html_url"])


def _create_commit(github: GitHub, parent: str, files: Mapping[str, str], title: str) -> str:
    tree = github.get(f"/git/commits/{parent}")["tree"]["sha"]
    entries: list[Mapping[str, Any]] = [
        {"path": path, "mode": "100644", "type": "blob", **({"content": text} if text else {"sha": None})}
        for path, text in files.items()
    ]
    new_tree = github.post("/git/trees", {"base_tree": tree, "tree": entries})
    return str(github.post("/git/commits", {"message": title, "tree": new_tree["sha"], "parents": [parent]})["sha"])


def _update_branch(github: GitHub, branch: str, commit: str) -> None:
    """Point the branch at ``commit`` in one update: GitHub closes the pull request of a branch without commits."""
    if github.find(f"/git/ref/heads/{branch}") is None:
        github.post("/git/refs", {"ref": f"refs/heads/{branch}", "sha": commit})
    else:
        github.patch(f"/git/refs/heads/{branch}", {"sha": commit, "force": True})
