"""GitHub's own record of deployments: what the environment's page and the pull request show."""

from __future__ import annotations

from typing import Literal

from orchestrator.github.client import GitHub

State = Literal["in_progress", "success", "failure", "error", "inactive"]
TASK = "deploy"
_LONGEST = 140


class Deployment:
    """One deployment of a commit to an environment, from ``begin`` to ``end``."""

    def __init__(self, github: GitHub, number: int, log: str) -> None:
        self._github = github
        self.number = number
        self._log = log

    @classmethod
    def begin(cls, github: GitHub, sha: str, environment: str, log: str, *, what: str = TASK) -> Deployment:
        """Tell GitHub that it begins; ``log`` is the run's URL.  Runs that never came to an end are closed."""
        for lost in _unended(github, environment):
            _say(github, lost, "error", "its runner was lost; a later run goes on from what AWS has", log)
        body = {
            "ref": sha,
            "environment": environment,
            "task": TASK,
            "description": what[:_LONGEST],
            "auto_merge": False,
            "required_contexts": [],
            "production_environment": environment == "prod",
        }
        made = cls(github, int(github.post("/deployments", body)["id"]), log)
        made._tell("in_progress", what)
        return made

    def end(self, state: State, text: str, url: str = "") -> None:
        """Tell how it ended; ``url`` is where the environment answers."""
        self._tell(state, text, url)

    def _tell(self, state: State, text: str, url: str = "") -> None:
        _say(self._github, self.number, state, text, self._log, url)


def _unended(github: GitHub, environment: str) -> list[int]:
    """The newest deployments whose last word is that they are under way."""
    found = github.get("/deployments", environment=environment, task=TASK, per_page=5)
    return [one["id"] for one in found if _last(github, one["id"]) in {"in_progress", "pending", "queued"}]


def _last(github: GitHub, number: int) -> str:
    told = github.get(f"/deployments/{number}/statuses", per_page=1)
    return str(told[0]["state"]) if told else "pending"


def _say(github: GitHub, number: int, state: State, text: str, log: str, url: str = "") -> None:
    body = {"state": state, "description": text[:_LONGEST], "log_url": log, "auto_inactive": True}
    github.post(f"/deployments/{number}/statuses", {**body, **({"environment_url": url} if url else {})})
