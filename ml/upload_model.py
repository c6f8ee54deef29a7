"""``python -m ml.upload_model RUN``: a validated model into the shop's bucket, and then, in one step, into use.

Nothing is in use before all of it is there, and of two uploads at once one is told that the other was first.  An upload
that was interrupted is gone on with by the same command.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ml import command_runner
from ml.data import storage_location
from ml.export import writer
from ml.training_run import load
from orchestrator import canonical_json
from orchestrator.model_registry import bundle, registry
from orchestrator.model_registry.registry import METADATA, Metadata
from orchestrator.problems import Problems
from orchestrator.storage import FileStorage

TOLD = "It is not known to the state service: "


@dataclass(frozen=True, slots=True)
class Uploaded:
    """``before`` is the version that was in use; ``fresh``: whether this upload changed which one is."""

    known: Metadata
    before: str
    fresh: bool


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m ml.upload_model",
        description="Upload a validated model, and make the shop's browsers load it.",
        epilog="The state service is told where ORCHESTRATOR_STATE_URL and ORCHESTRATOR_STATE_TOKEN name one. "
        "Back to an earlier model: orchestrator rollback --only model.",
    )
    made.add_argument("run", type=Path, help="folder of a finished and validated training, runs/VERSION")
    made.add_argument("--force", default="", metavar="REASON", help="upload a model that is worse, or not the same "
                      "everywhere; the reason is kept with it")  # fmt: skip
    made.add_argument("--file", type=Path, metavar="ZIP", help="write the upload into a file instead, for the button "
                      "'Upload model' of the state service")  # fmt: skip
    storage_location.arguments(made)
    return made


def validated(run: Path) -> tuple[Path, Metadata]:
    """The export of the run and what its validation found.

    Raises Problems: it was not validated, or trained again since.
    """
    trained = load(run)
    folder = run / writer.FOLDER
    try:
        known = canonical_json.load((folder / METADATA).read_bytes(), Metadata, str(folder / METADATA))
    except FileNotFoundError:
        raise Problems.one(f"training {trained.version} was not validated", hint=_again(run)) from None
    if (known.version, known.data_hash) != (trained.version, trained.data_hash):
        raise Problems.one(
            f"{folder / METADATA} is about model {known.version}, the training is {trained.version}",
            hint=_again(run),
        )
    return folder, known


def upload(storage: FileStorage, run: Path, force: str = "") -> Uploaded:
    """Publish the model of a run, and make it the current one.

    Raises Problems: it is not fit and not forced, its files changed, or another became the current one meanwhile.
    """
    folder, known = validated(run)
    before = registry.current(storage)
    known = registry.admitted(known, before, force, again=_again(run))
    pointer = registry.publish(storage, folder, known, before)
    fresh = before is None or before.version != pointer.version
    return Uploaded(known, before.version if before else "", fresh)


def _again(run: Path) -> str:
    return shlex.join(["python", "-m", "ml.validate_model", str(run), *storage_location.remembered(run)])


def environment_of(given: argparse.Namespace) -> str:
    """``project/environment``, as the state service calls it; "" where no manifests were named."""
    if not given.environment:
        return ""
    from orchestrator.planning import pipeline

    scope = pipeline.desired(given.manifests, given.environment, shipping=False).scope
    return f"{scope.project}/{scope.environment}"


def tell(environ: Mapping[str, str], key: str, known: Metadata, at: str) -> str:
    """Tell the state service of a version; what came of it, for people.  It never fails: the model is in use."""
    from orchestrator.state.client.api_client import Client

    if not environ.get("ORCHESTRATOR_STATE_URL"):
        return ""
    if not key:
        return TOLD + "name the environment by -e, which a bucket alone does not tell."
    body: dict[str, Any] = {"environment": key, **registry.registered(known, at, getpass.getuser())}
    try:
        with closing(Client.of(environ)) as client:
            client.call("PUT", f"/environments/{key}/models/{body['name']}/{known.version}", body, patience=5)
    except Problems as problems:
        return f"{TOLD}{problems.problems[0].message}. The same command again tells it."
    return f"The state service knows of it: {environ['ORCHESTRATOR_STATE_URL'].rstrip('/')}/models"


def report(done: Uploaded, storage: FileStorage) -> str:
    """What was done, for people."""
    known = done.known
    place = f"{storage}/{registry.FOLDER}/{known.version}"
    if not done.fresh:
        return f"Model {known.version} is in use already; {place} is whole."
    old = f", in place of {done.before}" if done.before else ""
    lines = [
        f"Model {known.version} is in use now{old}: {len(known.classes)} products, top-1 {known.metrics.top1:.1%}."
    ]
    lines += [f"  forced: {known.verdict.forced}"] if known.verdict.forced else []
    lines += [f"  {len(known.files)} files and what is known of them, in {place}"]
    lines += ["Back to the one before: orchestrator rollback --only model"] if done.before else []
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = parser().parse_args(words)
    again = shlex.join(["python", "-m", "ml.upload_model", *words])

    def work() -> int:
        if given.file:
            folder, known = validated(given.run)
            size = bundle.pack(folder, replace(known, verdict=replace(known.verdict, forced=given.force)), given.file)
            print(f"{given.file}: {size / 1e6:.1f} MB. Hand it to the state service: Models, 'Upload model'.")
            return 0
        storage = storage_location.of(given)
        key = environment_of(given)
        done = upload(storage, given.run, given.force)
        print(report(done, storage))
        if told := tell(os.environ, key, done.known, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")):
            print(told)
        return 0

    return command_runner.ended(
        work, again, "The model in use is as it was, or the new one whole; the same command goes on."
    )


if __name__ == "__main__":
    raise SystemExit(main())
