"""Select the storage of photos and models from command-line options, environment variables or manifests."""

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
    """Add the options that select the storage; ``open_storage`` reads them."""
    group = parser.add_argument_group("storage of photos and models")
    group.add_argument(
        "-e", "--environment", help="use the files bucket that the manifests declare for this environment"
    )
    group.add_argument(
        "-f", "--manifests", type=Path, default=Path("manifests"), help="folder of the manifests (default: manifests)"
    )
    group.add_argument("--bucket", help="name of a bucket")
    group.add_argument("--region", default=DEFAULT_REGION, help=f"AWS region of --bucket (default: {DEFAULT_REGION})")
    group.add_argument("--local", type=Path, metavar="FOLDER", help="local folder to use instead of a bucket")


def to_arguments(args: argparse.Namespace) -> list[str]:
    """Return the options as command-line arguments for the next command."""
    options = {"-e": args.environment, "--bucket": args.bucket, "--local": args.local}
    cli_args = [str(argument) for option, value in options.items() if value for argument in (option, value)]
    cli_args += ["-f", str(args.manifests)] if args.manifests != Path("manifests") else []
    return cli_args + (["--region", args.region] if args.region != DEFAULT_REGION else [])


def load_arguments(run_folder: Path) -> list[str]:
    """Return the storage options recorded with a training's dataset; an empty list if there is none."""
    try:
        return list(dataset.load(run_folder).place)
    except Problems:
        return []


def open_storage(args: argparse.Namespace) -> FileStorage:
    """Open the storage that the options select, or else the ``FileStorage__*`` environment variables.

    Raises Problems if nothing selects a storage, or several options do.
    """
    chosen = [option for option in ("environment", "bucket", "local") if getattr(args, option)]
    if len(chosen) > 1:
        raise Problems.from_message(f"--{chosen[0]} and --{chosen[1]} cannot be combined", hint="use one of them")
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
        "no storage selected for photos and models",
        hint="add -e prod (the bucket in the manifests), --bucket NAME or --local FOLDER",
    )
