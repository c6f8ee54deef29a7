"""Where photos and models are kept, as a command is told: a bucket, a folder, the settings, or what manifests make."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ml.data import dataset
from orchestrator import storage
from orchestrator.problems import Problems
from orchestrator.storage import FileStorage

REGION = "eu-west-1"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say where; ``of`` reads them."""
    group = parser.add_argument_group("where photos and models are kept")
    group.add_argument("-e", "--environment", help="the files bucket that the manifests make for this environment")
    group.add_argument("-f", "--manifests", type=Path, default=Path("manifests"), help="folder of the manifests")
    group.add_argument("--bucket", help="a bucket, by its name")
    group.add_argument("--region", default=REGION, help=f"of --bucket (default: {REGION})")
    group.add_argument("--local", type=Path, metavar="FOLDER", help="a folder of this machine instead of a bucket")


def words(given: argparse.Namespace) -> list[str]:
    """The options as they were given, for the next command."""
    said = {"-e": given.environment, "--bucket": given.bucket, "--local": given.local}
    made = [str(word) for option, value in said.items() if value for word in (option, value)]
    made += ["-f", str(given.manifests)] if given.manifests != Path("manifests") else []
    return made + (["--region", given.region] if given.region != REGION else [])


def remembered(run: Path) -> list[str]:
    """The options that named the storage when the photos of a training were fetched; none where nothing says so."""
    try:
        return list(dataset.load(run).place)
    except Problems:
        return []


def of(given: argparse.Namespace) -> FileStorage:
    """The storage that the options name; without any, that of ``FileStorage__Type`` and the like in the environment.

    Raises Problems: nothing names one, or more than one option does.
    """
    named = [one for one in ("environment", "bucket", "local") if getattr(given, one)]
    if len(named) > 1:
        raise Problems.one(f"--{named[0]} and --{named[1]} both say where files are kept", hint="give one of them")
    if given.bucket:
        return storage.of({"FileStorage:Type": "S3", "FileStorage:BucketName": given.bucket,
                           "FileStorage:Region": given.region})  # fmt: skip
    if given.local:
        return storage.of({"FileStorage:Type": "Local", "FileStorage:Path": str(given.local)})
    if given.environment:
        from orchestrator.model_registry import bucket

        return bucket.find(given.manifests, given.environment)
    if any(name.lower() == "filestorage__type" for name in os.environ):
        return storage.of(os.environ)
    raise Problems.one(
        "nothing says where the photos and models are kept",
        hint="-e prod (as the manifests say), --bucket NAME, or --local FOLDER",
    )
