"""Exit codes of each command besides 0 (done), 1 (a problem) and 130 (interrupted), for the reference."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.problems import ExitCode

_VETOED = "the plan is vetoed; nothing was applied"
_UNHEALTHY = "applied, but something is unhealthy"
_ROLLED_BACK = "the deploy failed, and the previous release is restored"
_UNDECIDED = "nothing was changed: name the component at fault with `blame`"
_ROLLBACK = {ExitCode.VETOED: _VETOED, ExitCode.ROLLED_BACK: "the rollback failed, and its changes were undone"}

_DEPLOY = {
    ExitCode.VETOED: _VETOED,
    ExitCode.ROLLED_BACK: _ROLLED_BACK,
    ExitCode.UNREVIEWED: _UNDECIDED,
    ExitCode.PINNED: "deployed, but parts stay pinned because they were rolled back before",
}
_WORKFLOW_DEPLOY = {
    ExitCode.VETOED: _VETOED,
    ExitCode.ROLLED_BACK: _ROLLED_BACK,
    ExitCode.UNREVIEWED: "the plan differs from the reviewed plan; nothing was changed",
}

EXIT_CODES: Mapping[str, Mapping[ExitCode, str]] = {
    "plan": {ExitCode.CHANGES: "there are changes (`--detailed-exitcode`)", ExitCode.VETOED: "the plan is vetoed"},
    "adopt": {ExitCode.CHANGES: "an existing resource is not adopted yet (`--plan`)", ExitCode.VETOED: _VETOED},
    "apply": {ExitCode.VETOED: _VETOED, ExitCode.UNHEALTHY: _UNHEALTHY},
    "deploy": _DEPLOY,
    "promote": _DEPLOY,
    "rollback": _ROLLBACK,
    "destroy": {ExitCode.VETOED: _VETOED, ExitCode.UNHEALTHY: _UNHEALTHY},
    "restore database": {ExitCode.VETOED: _VETOED, ExitCode.UNHEALTHY: "restored, but something is unhealthy"},
    "restore files": {ExitCode.UNHEALTHY: "files are still missing"},
    "upgrade database": {ExitCode.UNHEALTHY: "upgraded, but something is missing afterwards"},
    "verify data": {ExitCode.UNHEALTHY: "a row refers to a missing file"},
    "secret rotate": {
        ExitCode.VETOED: _VETOED,
        ExitCode.ROLLED_BACK: "a service did not start with the new values, and the old ones are restored",
    },
    "status": {ExitCode.CHANGES: "something is unhealthy, or differs from the manifests"},
    "drift": {ExitCode.CHANGES: "a resource is drifted, unhealthy or pending"},
    "model status": {ExitCode.CHANGES: "training is needed (`--detailed-exitcode`)"},
    "upgrade": {ExitCode.CHANGES: "there is a newer version (`--check`)"},
    "github plan": {
        ExitCode.CHANGES: "there are changes (`--detailed-exitcode`)",
        ExitCode.VETOED: "the plan is vetoed",
    },
    "github deploy": _WORKFLOW_DEPLOY,
    "github promote": _WORKFLOW_DEPLOY,
    "github rollback": _ROLLBACK,
    "github drill": {ExitCode.UNHEALTHY: "data is missing in a restored database"},
}
"""By command.  ``exec`` and ``console database`` return the exit code of the program that they run."""
