"""``python -m ml.download_photos``: the shop's photos into a folder, looked at, with the data set's file beside them.

Run again it fetches what changed and no more; interrupted, it goes on where it was.
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
from ml.data.dataset import Dataset, Remark
from ml.data.photo_sync import Done, Wanted
from orchestrator.model_registry.staleness import PHOTOS, is_hidden
from orchestrator.problems import Problem, Problems
from orchestrator.storage import FileStorage

FEW = 8
"""Files of a kind that are named; the rest is counted, and all are in dataset.json."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m ml.download_photos",
        description="Fetch the shop's product photos: only what changed, and with a report of what is wrong with them.",
        epilog=f"The token of an API is taken from the environment: {product_mapping.TOKEN}.",
    )
    made.add_argument("--data", type=Path, default=Path("data"), help="folder of the data set (default: data)")
    storage_location.arguments(made)
    made.add_argument("--mapping", default="", metavar="CSV|URL", help="which photo, or folder, shows which product")
    made.add_argument(
        "--photo-field", default="photo", metavar="NAME", help="the mapping's column of photos or folders"
    )
    made.add_argument("--product-field", default="product", metavar="NAME", help="the mapping's column of products")
    made.add_argument("--at-once", type=_above_zero, default=16, metavar="N", help="photos under way at once")
    made.add_argument("--smallest", type=_above_zero, default=image_checks.SMALLEST, metavar="PIXELS",
                      help="leave out photos whose shorter side has fewer")  # fmt: skip
    made.add_argument("--fewest", type=_above_zero, default=dataset.FEWEST, metavar="N",
                      help="list products with fewer photos")  # fmt: skip
    return made


def download(storage: FileStorage, given: argparse.Namespace) -> tuple[Dataset, Done]:
    """Bring the data set in ``given.data`` up to date; the data set and what was done.

    Raises Problems: there is no photo, the mapping is wrong, some could not be fetched (the others are kept).
    """
    fields = product_mapping.Fields(given.photo_field, given.product_field)
    mapped = product_mapping.load(given.mapping, fields, os.environ.get(product_mapping.TOKEN, ""))
    listed = [one for one in storage.list(PHOTOS) if not is_hidden(one.key)]
    if not listed:
        raise Problems.one(f"there is no photo below {storage}/{PHOTOS}", hint="upload some, or look at -e or --bucket")
    wanted, nobodys = [], []
    for stored in listed:
        if product := mapped.product_of(stored.key):
            wanted.append((stored, product))
        else:
            reason = f"is in no row of {mapped.source}" if mapped.source else "lies in no product's folder"
            nobodys.append(Remark(stored.key, reason, key=stored.key, etag=stored.etag))
    nobodys += [Remark(name, f"is in {mapped.source} and has no photo") for name in mapped.strangers(
        one.key for one in listed)]  # fmt: skip
    placed = photo_sync.placed(wanted, PHOTOS)
    with command_runner.progress("photos", len(placed)) as advance:
        done = photo_sync.fetch(storage, placed, given.data, at_once=given.at_once, advance=advance)
    if done.failed:
        raise _unfinished(done, len(placed), given.data)
    made = assembled(done, placed, nobodys, given)
    dataset.save(made, given.data)
    return made, done


def assembled(done: Done, wanted: Iterable[Wanted], nobodys: Iterable[Remark], given: argparse.Namespace) -> Dataset:
    """The data set of what was fetched: without what is broken, small or there twice; with what looks alike noted."""
    photos, rejected, noted = photo_sync.photos_of(done, wanted, given.smallest)
    twice = image_checks.doubled(photos)
    rejected += [Remark(one.path, twice[one.path], one.product, one.key, one.etag)
                 for one in photos if one.path in twice]  # fmt: skip
    kept = sorted((one for one in photos if one.path not in twice), key=lambda one: one.path)
    noted = [one for one in noted if one.path not in twice] + list(image_checks.lookalikes(kept))
    return dataset.made_of(
        tuple(kept), (*rejected, *nobodys), tuple(noted), given.fewest, storage_location.words(given)
    )


def report(made: Dataset, done: Done, seconds: float, folder: Path) -> str:
    """What was done and what is wrong, for people."""
    count, products = len(made.photos), len(made.products)
    speed = f", {done.fresh / seconds:.0f} a second" if done.fresh and seconds > 1 else ""
    lines = [
        f"{count} photos of {products} products in {folder}.",
        (
            f"{done.fresh} fetched ({done.bytes / 1e6:.1f} MB{speed}), {len(done.fetched) - done.fresh} were here, "
            f"{done.removed} removed."
        ),
    ]
    for title, remarks in (("Left out", made.rejected), ("Kept, but look at them", made.noted)):
        if remarks:
            lines += [f"{title}:", *(f"  {one.path} {one.reason}" for one in remarks[:FEW])]
            lines += [f"  and {len(remarks) - FEW} more: see {folder / dataset.FILE}"] if len(remarks) > FEW else []
    if made.sparse:
        named = ", ".join(f"{name} ({made.products.get(name, 0)})" for name in made.sparse[:FEW])
        more = f" and {len(made.sparse) - FEW} more" if len(made.sparse) > FEW else ""
        lines.append(f"Products with too few photos to learn them well: {named}{more}")
    lines.append(f"Data set {made.hash[:12]}. Next: python -m ml.train_model --data {shlex.quote(str(folder))}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = parser().parse_args(words)
    again = shlex.join(["python", "-m", "ml.download_photos", *words])

    def work() -> int:
        began = time.monotonic()
        made, done = download(storage_location.of(given), given)
        print(report(made, done, time.monotonic() - began, given.data))
        if not made.photos:
            raise Problems.one("no file there is a photo to learn from", hint="replace those that were left out")
        return 0

    return command_runner.ended(work, again, "The photos that are here stay; the next run fetches the others.")


def _unfinished(done: Done, total: int, folder: Path) -> Problems:
    first = done.failed[0]
    told = f"{len(done.failed)} of {total} photos could not be fetched; the other {len(done.fetched)} are in {folder}"
    return Problems([Problem(told, hint="run it again: it fetches those that are missing"), first])


def _above_zero(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise argparse.ArgumentTypeError("has to be above 0")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
