"""Upload a validated model to the shop's bucket, then switch to it atomically: ``python -m ml.upload_model RUN``.

A model is switched to only after all its files are uploaded; of two concurrent uploads one fails.  After an
interruption the same command resumes.
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
from orchestrator.model_registry import bundle, publish_checks, registry
from orchestrator.model_registry.registry import METADATA_FILE, ModelMetadata
from orchestrator.problems import Problems
from orchestrator.quantities import format_count
from orchestrator.storage import FileStorage

NOT_REGISTERED_PREFIX = "The model is not registered with the state service: "


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The result of an upload; ``previous_version`` is "" for a first model, ``is_new``: whether it switched models."""

    metadata: ModelMetadata
    previous_version: str
    is_new: bool


def build_parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.upload_model",
        description="Upload a validated model and switch the shop's browsers to it.",
        epilog="The model is registered with the state service if ORCHESTRATOR_STATE_URL and ORCHESTRATOR_STATE_TOKEN "
        "are set. To go back to an earlier model, run: orchestrator model use VERSION.",
    )
    parser.add_argument("run", type=Path, help="folder of a validated training run, runs/VERSION")
    parser.add_argument("--force", default="", metavar="REASON", help="upload the model even if it is worse or "
                      "fails the parity check; REASON is stored with it")  # fmt: skip
    parser.add_argument("--file", type=Path, metavar="ZIP", help="write a ZIP file instead, for 'Upload model' on "
                      "the Models page of the state service")  # fmt: skip
    storage_location.add_arguments(parser)
    return parser


def load_validated(run_folder: Path) -> tuple[Path, ModelMetadata]:
    """Return the folder of the run's export and the metadata that its validation wrote.

    Raises Problems if the run was not validated, or was retrained since.
    """
    training_run = load(run_folder)
    folder = run_folder / writer.EXPORT_FOLDER
    try:
        metadata = canonical_json.load(
            (folder / METADATA_FILE).read_bytes(), ModelMetadata, str(folder / METADATA_FILE)
        )
    except FileNotFoundError:
        raise Problems.from_message(
            f"training run {training_run.version} has not been validated",
            hint=f"validate it: {_validate_command(run_folder)}",
        ) from None
    if (metadata.version, metadata.data_hash) != (training_run.version, training_run.data_hash):
        raise Problems.from_message(
            f"{folder / METADATA_FILE} describes model {metadata.version}, but the run is {training_run.version}",
            hint=f"validate again: {_validate_command(run_folder)}",
        )
    return folder, metadata


def upload(
    storage: FileStorage, run_folder: Path, force_reason: str = "", location: Sequence[str] | None = None
) -> UploadResult:
    """Publish the model of a run and make it the current model; ``location``: options of the storage, for hints.

    Raises Problems if it is unfit and not forced, its files changed, or another model became current meanwhile.
    """
    folder, metadata = load_validated(run_folder)
    previous_pointer = registry.read_pointer(storage)
    metadata = publish_checks.check_publishable(
        metadata,
        previous_pointer,
        force_reason,
        validate_command=_build_command("ml.validate_model", run_folder, location, str(run_folder)),
        download_command=_build_command("ml.download_photos", run_folder, location),
    )
    pointer = registry.publish(storage, folder, metadata, previous_pointer)
    is_new = previous_pointer is None or previous_pointer.version != pointer.version
    return UploadResult(metadata, previous_pointer.version if previous_pointer else "", is_new)


def _build_command(module: str, run_folder: Path, location: Sequence[str] | None, *arguments: str) -> str:
    """Return the command that uses the storage of ``location``, or else the one where the photos came from."""
    chosen = storage_location.load_arguments(run_folder) if location is None else location
    return shlex.join(["python", "-m", module, *arguments, *chosen])


def _validate_command(run_folder: Path) -> str:
    return _build_command("ml.validate_model", run_folder, None, str(run_folder))


def environment_key(args: argparse.Namespace) -> str:
    """Return the environment's name in the state service, ``project/environment``; "" without --environment."""
    if not args.environment:
        return ""
    from orchestrator.planning import pipeline

    scope = pipeline.load_desired(args.manifests, args.environment, include_artefacts=False).scope
    return f"{scope.project}/{scope.environment}"


def register_model(environ: Mapping[str, str], environment: str, metadata: ModelMetadata, registered_at: str) -> str:
    """Register a version with the state service; return a message for the user.  Never fails the upload."""
    from orchestrator.state.client.api_client import StateClient

    if not environ.get("ORCHESTRATOR_STATE_URL"):
        return ""
    if not environment:
        return NOT_REGISTERED_PREFIX + "a bucket does not identify the environment. Pass the environment with -e."
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
        return f"{NOT_REGISTERED_PREFIX}{problems.problems[0].message}. Run the command again to register it."
    return f"Registered with the state service: {environ['ORCHESTRATOR_STATE_URL'].rstrip('/')}/models"


def render_report(result: UploadResult, storage: FileStorage, args: argparse.Namespace) -> str:
    """Return the report of an upload."""
    metadata = result.metadata
    location = f"{storage}/{registry.MODELS_FOLDER}/{metadata.version}"
    if not result.is_new:
        return f"Model {metadata.version} is already in use; all its files are in {location}."
    replaced_text = f", replacing {result.previous_version}" if result.previous_version else ""
    lines = [
        (
            f"Model {metadata.version} is now in use{replaced_text}: "
            f"{format_count(len(metadata.classes), 'product')}{_render_accuracy(metadata)}."
        )
    ]
    lines += [f"  Forced: {metadata.verdict.forced}"] if metadata.verdict.forced else []
    lines += [f"  {format_count(len(metadata.files), 'file')} and their metadata in {location}"]
    if result.previous_version and args.environment:
        options = [
            "-e",
            args.environment,
            *(["-f", str(args.manifests)] if args.manifests != Path("manifests") else []),
        ]
        lines.append(f"To go back: {shlex.join(['orchestrator', 'model', 'use', result.previous_version, *options])}")
    return "\n".join(lines)


def _render_accuracy(metadata: ModelMetadata) -> str:
    measured = metadata.metrics
    if measured.condition and not measured.photos:
        return ", accuracy not measured"
    return f", top-1 accuracy {measured.top1:.1%}" + (f" on {measured.condition}" if measured.condition else "")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    cli_args = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(cli_args)
    retry_command = shlex.join(["python", "-m", "ml.upload_model", *cli_args])

    def work() -> int:
        if args.file:
            folder, metadata = load_validated(args.run)
            size = bundle.pack(
                folder, replace(metadata, verdict=replace(metadata.verdict, forced=args.force)), args.file
            )
            print(f"Wrote {args.file} ({size / 1e6:.1f} MB). Upload it to the state service: Models, 'Upload model'.")
            return 0
        storage = storage_location.open_storage(args)
        environment = environment_key(args)
        result = upload(storage, args.run, args.force, storage_location.to_arguments(args))
        print(render_report(result, storage, args))
        if message := register_model(
            os.environ, environment, result.metadata, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ):
            print(message)
        return 0

    return command_runner.run_command(
        work, retry_command, "Browsers use the previous model until the upload is complete."
    )


if __name__ == "__main__":
    raise SystemExit(main())
