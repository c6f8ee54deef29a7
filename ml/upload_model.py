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
from orchestrator.model_registry.registry import METADATA_FILE, ModelMetadata
from orchestrator.problems import Problems
from orchestrator.storage import FileStorage

NOT_REGISTERED_PREFIX = "It is not known to the state service: "


@dataclass(frozen=True, slots=True)
class UploadResult:
    """``before`` is the version that was in use; ``fresh``: whether this upload changed which one is."""

    metadata: ModelMetadata
    previous_version: str
    is_new: bool


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.upload_model",
        description="Upload a validated model, and make the shop's browsers load it.",
        epilog="The state service is told where ORCHESTRATOR_STATE_URL and ORCHESTRATOR_STATE_TOKEN name one. "
        "Back to an earlier model: orchestrator rollback --only model.",
    )
    parser.add_argument("run", type=Path, help="folder of a finished and validated training, runs/VERSION")
    parser.add_argument("--force", default="", metavar="REASON", help="upload a model that is worse, or not the same "
                      "everywhere; the reason is kept with it")  # fmt: skip
    parser.add_argument("--file", type=Path, metavar="ZIP", help="write the upload into a file instead, for the button "
                      "'Upload model' of the state service")  # fmt: skip
    storage_location.add_arguments(parser)
    return parser


def load_validated(run_folder: Path) -> tuple[Path, ModelMetadata]:
    """The export of the run and what its validation found.

    Raises Problems: it was not validated, or trained again since.
    """
    training_run = load(run_folder)
    folder = run_folder / writer.EXPORT_FOLDER
    try:
        metadata = canonical_json.load(
            (folder / METADATA_FILE).read_bytes(), ModelMetadata, str(folder / METADATA_FILE)
        )
    except FileNotFoundError:
        raise Problems.from_message(
            f"training {training_run.version} was not validated", hint=_validate_command(run_folder)
        ) from None
    if (metadata.version, metadata.data_hash) != (training_run.version, training_run.data_hash):
        raise Problems.from_message(
            f"{folder / METADATA_FILE} is about model {metadata.version}, the training is {training_run.version}",
            hint=_validate_command(run_folder),
        )
    return folder, metadata


def upload(storage: FileStorage, run_folder: Path, force_reason: str = "") -> UploadResult:
    """Publish the model of a run, and make it the current one.

    Raises Problems: it is not fit and not forced, its files changed, or another became the current one meanwhile.
    """
    folder, metadata = load_validated(run_folder)
    previous_pointer = registry.read_pointer(storage)
    metadata = registry.check_publishable(
        metadata, previous_pointer, force_reason, validate_command=_validate_command(run_folder)
    )
    pointer = registry.publish(storage, folder, metadata, previous_pointer)
    is_new = previous_pointer is None or previous_pointer.version != pointer.version
    return UploadResult(metadata, previous_pointer.version if previous_pointer else "", is_new)


def _validate_command(run_folder: Path) -> str:
    return shlex.join(
        ["python", "-m", "ml.validate_model", str(run_folder), *storage_location.load_arguments(run_folder)]
    )


def environment_key(args: argparse.Namespace) -> str:
    """``project/environment``, as the state service calls it; "" where no manifests were named."""
    if not args.environment:
        return ""
    from orchestrator.planning import pipeline

    scope = pipeline.load_desired(args.manifests, args.environment, include_artefacts=False).scope
    return f"{scope.project}/{scope.environment}"


def register_model(environ: Mapping[str, str], environment: str, metadata: ModelMetadata, registered_at: str) -> str:
    """Tell the state service of a version; what came of it, for people.  It never fails: the model is in use."""
    from orchestrator.state.client.api_client import StateClient

    if not environ.get("ORCHESTRATOR_STATE_URL"):
        return ""
    if not environment:
        return NOT_REGISTERED_PREFIX + "name the environment by -e, which a bucket alone does not tell."
    body: dict[str, Any] = {
        "environment": environment,
        **registry.build_registration(metadata, registered_at, getpass.getuser()),
    }
    try:
        with closing(StateClient.from_environ(environ)) as client:
            client.request_json(
                "PUT", f"/environments/{environment}/models/{body['name']}/{metadata.version}", body, timeout_seconds=5
            )
    except Problems as problems:
        return f"{NOT_REGISTERED_PREFIX}{problems.problems[0].message}. The same command again tells it."
    return f"The state service knows of it: {environ['ORCHESTRATOR_STATE_URL'].rstrip('/')}/models"


def render_report(result: UploadResult, storage: FileStorage) -> str:
    """What was done, for people."""
    metadata = result.metadata
    location = f"{storage}/{registry.MODELS_FOLDER}/{metadata.version}"
    if not result.is_new:
        return f"Model {metadata.version} is in use already; {location} is whole."
    replaced_text = f", in place of {result.previous_version}" if result.previous_version else ""
    lines = [
        (
            f"Model {metadata.version} is in use now{replaced_text}: "
            f"{len(metadata.classes)} products, top-1 {metadata.metrics.top1:.1%}."
        )
    ]
    lines += [f"  forced: {metadata.verdict.forced}"] if metadata.verdict.forced else []
    lines += [f"  {len(metadata.files)} files and what is known of them, in {location}"]
    lines += ["Back to the one before: orchestrator rollback --only model"] if result.previous_version else []
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    cli_args = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(cli_args)
    retry_command = shlex.join(["python", "-m", "ml.upload_model", *cli_args])

    def work() -> int:
        if args.file:
            folder, metadata = load_validated(args.run)
            size = bundle.pack(
                folder, replace(metadata, verdict=replace(metadata.verdict, forced=args.force)), args.file
            )
            print(f"{args.file}: {size / 1e6:.1f} MB. Hand it to the state service: Models, 'Upload model'.")
            return 0
        storage = storage_location.open_storage(args)
        environment = environment_key(args)
        result = upload(storage, args.run, args.force)
        print(render_report(result, storage))
        if message := register_model(
            os.environ, environment, result.metadata, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ):
            print(message)
        return 0

    return command_runner.run_command(
        work, retry_command, "The model in use is as it was, or the new one whole; the same command goes on."
    )


if __name__ == "__main__":
    raise SystemExit(main())
