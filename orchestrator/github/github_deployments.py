"""Report deployments to GitHub, for the environment's page and the pull request."""

from __future__ import annotations

from typing import Literal

from orchestrator.github.client import GitHub

DeploymentState = Literal["in_progress", "success", "failure", "error", "inactive"]
TASK = "deploy"
_MAX_DESCRIPTION_CHARACTERS = 140


class Deployment:
    """One deployment of a commit to an environment, from ``start`` to ``finish``."""

    def __init__(self, github: GitHub, number: int, log_url: str) -> None:
        self._github = github
        self.number = number
        self._log_url = log_url

    @classmethod
    def start(cls, github: GitHub, sha: str, environment: str, log_url: str, *, description: str = TASK) -> Deployment:
        """Create a deployment in progress and mark unfinished earlier ones as failed; ``log_url`` is the run's URL."""
        for unfinished in _list_unfinished(github, environment):
            _create_status(
                github,
                unfinished,
                "error",
                "the runner was lost; the next run continues from the live state in AWS",
                log_url,
            )
        body = {
            "ref": sha,
            "environment": environment,
            "task": TASK,
            "description": description[:_MAX_DESCRIPTION_CHARACTERS],
            "auto_merge": False,
            "required_contexts": [],
            "production_environment": environment == "prod",
        }
        deployment = cls(github, int(github.post("/deployments", body)["id"]), log_url)
        deployment._set_status("in_progress", description)
        return deployment

    def finish(self, state: DeploymentState, description: str, environment_url: str = "") -> None:
        """Report how the deployment ended; ``environment_url`` is the URL of the environment."""
        self._set_status(state, description, environment_url)

    def _set_status(self, state: DeploymentState, description: str, environment_url: str = "") -> None:
        _create_status(self._github, self.number, state, description, self._log_url, environment_url)


def _list_unfinished(github: GitHub, environment: str) -> list[int]:
    """Return the ids of the newest deployments whose latest status is not final."""
    deployments = github.get("/deployments", environment=environment, task=TASK, per_page=5)
    return [
        deployment["id"]
        for deployment in deployments
        if _latest_state(github, deployment["id"]) in {"in_progress", "pending", "queued"}
    ]


def _latest_state(github: GitHub, number: int) -> str:
    statuses = github.get(f"/deployments/{number}/statuses", per_page=1)
    return str(statuses[0]["state"]) if statuses else "pending"


def _create_status(
    github: GitHub, number: int, state: DeploymentState, description: str, log_url: str, environment_url: str = ""
) -> None:
    body = {
        "state": state,
        "description": description[:_MAX_DESCRIPTION_CHARACTERS],
        "log_url": log_url,
        "auto_inactive": True,
    }
    github.post(
        f"/deployments/{number}/statuses", {**body, **({"environment_url": environment_url} if environment_url else {})}
    )
