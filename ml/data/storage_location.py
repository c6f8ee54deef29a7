"""Where photos and models are kept, as a command is told: a bucket, a folder, the settings, or what manifests make."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ml.data import dataset
from orchestrator import storage
from orchestrator.problems import Problems
from orchestrator.storage import FileStorage

DEFAULT_REGION = "eu-west-1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say where; ``of`` reads them."""
    group = parser.add_argument_group("where photos and models are kept")
    group.add_argument("-e", "--environment", help="the files bucket that the manifests make for this environment")
    group.add_argument("-f", "--manifests", type=Path, default=Path("manifests"), help="folder of the manifests")
    group.add_argument("--bucket", help="a bucket, by its name")
    group.add_argument("--region", default=DEFAULT_REGION, help=f"of --bucket (default: {DEFAULT_REGION})")
    group.add_argument("--local", type=Path, metavar="FOLDER", help="a folder of this machine instead of a bucket")


def to_arguments(args: argparse.Namespace) -> list[str]:
    """The options as they were given, for the next command."""
    options = {"-e": args.environment, "--bucket": args.bucket, "--local": args.local}
    cli_args = [str(argument) for option, value in options.items() if value for argument in (option, value)]
    cli_args += ["-f", str(args.manifests)] if args.manifests != Path("manifests") else []
    return cli_args + (["--region", args.region] if args.region != DEFAULT_REGION else [])


def load_arguments(run_folder: Path) -> list[str]:
    """The options that named the storage when the photos of a training were fetched; none where nothing says so."""
    try:
        return list(dataset.load(run_folder).place)
    except Problems:
        return []


def open_storage(args: argparse.Namespace) -> FileStorage:
    """The storage that the options name; without any, that of ``FileStorage__Type`` and the like in the environment.

    Raises Problems: nothing names one, or more than one option does.
    """
    chosen = [option for option in ("environment", "bucket", "local") if getattr(args, option)]
    if len(chosen) > 1:
        raise Problems.from_message(
            f"--{chosen[0]} and --{chosen[1]} both say where files are kept", hint="give one of them"
        )
    if args.bucket:
        return storage.from_settings({"FileStorage:Type": "S3", "FileStorage:BucketName": args.bucket,
                           "FileStorage:Region": args.region})  # fmt: skip
    if args.local:
        return storage.from_settings({"FileStorage:Type": "Local", "FileStorage:Path": str(args.local)})
    if args.environment:
        from orchestrator.model_registry import bucket

        return bucket.find_storage(args.manifests, args.environment)
    if any(name.lower() == "filestorage__type" for name in os.environ):
        return storage.from_settings(os.environ)
    raise Problems.from_message(
        "nothing says where the photos and models are kept",
        hint="-e prod (as the manifests say), --bucket NAME, or --local FOLDER",
    )
