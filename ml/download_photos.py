"""Download and check the shop's product photos, and write the dataset: ``python -m ml.download_photos``.

Repeated runs download only what changed; an interrupted run resumes.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from ml import command_runner
from ml.data import dataset, image_checks, photo_sync, product_mapping, storage_location
from ml.data.dataset import Dataset, FileIssue
from ml.data.photo_sync import DownloadTask, SyncResult
from orchestrator.model_registry.staleness import PHOTOS_PREFIX, is_hidden
from orchestrator.problems import Problem, Problems
from orchestrator.quantities import format_count
from orchestrator.storage import FileStorage

MAX_LISTED_FILES = 8
"""Files listed per heading in the report; dataset.json lists all."""


def build_parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    parser = argparse.ArgumentParser(
        prog="python -m ml.download_photos",
        description="Download new and changed product photos of the shop, and report unusable files.",
        epilog=f"Set {product_mapping.TOKEN_VARIABLE} if the API in --mapping requires a token.",
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the dataset (default: data)")
    storage_location.add_arguments(parser)
    parser.add_argument(
        "--mapping", default="", metavar="CSV|URL", help="mapping of photos or folders to products (default: by folder)"
    )
    parser.add_argument(
        "--photo-field",
        default="photo",
        metavar="NAME",
        help="column of photos or folders in the mapping (default: photo)",
    )
    parser.add_argument(
        "--product-field",
        default="product",
        metavar="NAME",
        help="column of products in the mapping (default: product)",
    )
    parser.add_argument(
        "--at-once", type=_positive_int, default=16, metavar="N", help="parallel downloads (default: 16)"
    )
    parser.add_argument("--smallest", type=_positive_int, default=image_checks.MIN_SIDE_PIXELS, metavar="PIXELS",
                      help="minimum shorter side of a photo (default: %(default)s)")  # fmt: skip
    parser.add_argument("--fewest", type=_positive_int, default=dataset.RECOMMENDED_PHOTOS, metavar="N",
                      help="report products with fewer than N photos (default: %(default)s)")  # fmt: skip
    return parser


def download(storage: FileStorage, args: argparse.Namespace) -> tuple[Dataset, SyncResult]:
    """Update the dataset in ``args.data``; return it and the result of the sync.

    Raises Problems if there are no photos, the mapping is invalid, or downloads fail (completed ones are kept).
    """
    fields = product_mapping.FieldNames(args.photo_field, args.product_field)
    product_map = product_mapping.load(args.mapping, fields, os.environ.get(product_mapping.TOKEN_VARIABLE, ""))
    stored_files = [file for file in storage.list(PHOTOS_PREFIX) if not is_hidden(file.key)]
    if not stored_files:
        raise Problems.from_message(
            f"no photos in {storage}/{PHOTOS_PREFIX}", hint="upload photos, or check -e or --bucket"
        )
    mapped_files, unmapped = [], []
    for stored in stored_files:
        if product := product_map.find_product(stored.key):
            mapped_files.append((stored, product))
        else:
            reason = f"is not listed in {product_map.source}" if product_map.source else "is not in a product folder"
            unmapped.append(FileIssue(stored.key, reason, key=stored.key, etag=stored.etag))
    unmapped += [FileIssue(name, f"is listed in {product_map.source} but has no photo")
                 for name in product_map.find_unmatched(file.key for file in stored_files)]  # fmt: skip
    tasks = photo_sync.assign_paths(mapped_files, PHOTOS_PREFIX)
    with command_runner.show_progress("photos", len(tasks)) as advance:
        result = photo_sync.sync(storage, tasks, args.data, max_parallel=args.at_once, advance=advance)
    if result.problems:
        raise _incomplete_download(result, len(tasks), args.data)
    data_set = assemble(result, tasks, unmapped, args)
    dataset.save(data_set, args.data)
    return data_set, result


def assemble(
    result: SyncResult, tasks: Iterable[DownloadTask], unmapped: Iterable[FileIssue], args: argparse.Namespace
) -> Dataset:
    """Build the dataset: reject corrupt, small and duplicate files, and note photos that look alike."""
    photos, rejected, noted = photo_sync.classify_photos(result, tasks, args.smallest)
    duplicates = image_checks.find_duplicates(photos)
    rejected += [FileIssue(item.path, duplicates[item.path], item.product, item.key, item.etag)
                 for item in photos if item.path in duplicates]  # fmt: skip
    unique = sorted((item for item in photos if item.path not in duplicates), key=lambda item: item.path)
    noted = [item for item in noted if item.path not in duplicates] + list(image_checks.find_lookalikes(unique))
    return dataset.build(
        tuple(unique), (*rejected, *unmapped), tuple(noted), args.fewest, storage_location.to_arguments(args)
    )


def render_report(data_set: Dataset, result: SyncResult, seconds: float, folder: Path) -> str:
    """Return the report of a download: counts, issues and the next command."""
    count, products = len(data_set.photos), len(data_set.products)
    speed = f", {result.downloaded_count / seconds:.0f} photos/s" if result.downloaded_count and seconds > 1 else ""
    lines = [
        f"{format_count(count, 'photo')} of {format_count(products, 'product')} in {folder}.",
        (
            f"{result.downloaded_count} downloaded ({result.downloaded_bytes / 1e6:.1f} MB{speed}), "
            f"{len(result.entries) - result.downloaded_count} unchanged, "
            f"{result.removed_count} removed."
        ),
    ]
    for title, issues in (("Rejected", data_set.rejected), ("Included, but check them", data_set.noted)):
        if issues:
            lines += [f"{title}:", *(f"  {issue.path} {issue.reason}" for issue in issues[:MAX_LISTED_FILES])]
            lines += (
                [f"  and {len(issues) - MAX_LISTED_FILES} more, listed in {folder / dataset.FILE_NAME}"]
                if len(issues) > MAX_LISTED_FILES
                else []
            )
    if data_set.sparse:
        named = ", ".join(f"{name} ({data_set.products.get(name, 0)})" for name in data_set.sparse[:MAX_LISTED_FILES])
        more_text = (
            f" and {len(data_set.sparse) - MAX_LISTED_FILES} more" if len(data_set.sparse) > MAX_LISTED_FILES else ""
        )
        lines.append(f"More photos would help these products: {named}{more_text}")
    lines.append(f"Dataset {data_set.hash[:12]}. Next: python -m ml.train_model --data {shlex.quote(str(folder))}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    cli_args = list(sys.argv[1:] if argv is None else argv)
    args = build_parser().parse_args(cli_args)
    retry_command = shlex.join(["python", "-m", "ml.download_photos", *cli_args])

    def work() -> int:
        started = time.monotonic()
        data_set, result = download(storage_location.open_storage(args), args)
        print(render_report(data_set, result, time.monotonic() - started, args.data))
        if not data_set.photos:
            raise Problems.from_message("no usable photos were found", hint="replace the rejected files listed above")
        return 0

    return command_runner.run_command(work, retry_command, "Downloaded photos are kept.")


def _incomplete_download(result: SyncResult, total: int, folder: Path) -> Problems:
    first_problem = result.problems[0]
    failed = f"{len(result.problems)} of {format_count(total, 'photo')} failed to download"
    message = f"{failed}; the other {len(result.entries)} are in {folder}"
    return Problems([Problem(message, hint="run the command again to download the missing photos"), first_problem])


def _positive_int(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
