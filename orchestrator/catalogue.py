"""Whether the model in use still knows the shop: the photos in the bucket against those it was trained with.  Pure, but
for the listing.

A photo is ``product-photos/PRODUCT/FILE``; two are the same when key and etag are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator import published, wire
from orchestrator.problems import Problems
from orchestrator.storage import FileStorage, MissingFileError, Stored

PHOTOS = "product-photos/"
SHARE = 0.1
"""How much of the catalogue may be new before training is due."""

Catalogue = Mapping[str, Mapping[str, str]]
"""Etags by key by product."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of the catalogue since the model was trained; counts of photos that were added, changed, removed."""

    version: str
    products: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    photos_added: int
    photos_changed: int
    photos_removed: int
    share: float
    threshold: float

    @property
    def is_due(self) -> bool:
        """Whether more than the threshold's share of the products is new, gone or looks different."""
        return self.share > self.threshold


def of(photos: Iterable[Stored]) -> Catalogue:
    """The catalogue that a listing of photos shows; a file that lies in no product's folder is nobody's."""
    found: dict[str, dict[str, str]] = {}
    for photo in photos:
        parts = photo.key.removeprefix(PHOTOS).split("/")
        if len(parts) > 1:
            found.setdefault(parts[0], {})[photo.key] = photo.etag
    return found


def compare(now: Catalogue, then: Catalogue, *, version: str = "", threshold: float = SHARE) -> Comparison:
    """What differs; a product's photos have changed when any was added, removed or replaced."""
    common = now.keys() & then.keys()
    fresh = {name: now[name].keys() - then[name].keys() for name in common}
    gone = {name: then[name].keys() - now[name].keys() for name in common}
    other = {
        name: {key for key in now[name].keys() & then[name].keys() if now[name][key] != then[name][key]}
        for name in common
    }
    changed = sorted(name for name in common if fresh[name] or gone[name] or other[name])
    added, removed = sorted(now.keys() - then.keys()), sorted(then.keys() - now.keys())
    affected = len(added) + len(removed) + len(changed)
    return Comparison(
        version, len(now), tuple(added), tuple(removed), tuple(changed),
        sum(map(len, fresh.values())) + sum(len(now[name]) for name in added),
        sum(map(len, other.values())),
        sum(map(len, gone.values())) + sum(len(then[name]) for name in removed),
        affected / max(len(now.keys() | then.keys()), 1), threshold,
    )  # fmt: skip


def status(storage: FileStorage, threshold: float = SHARE) -> Comparison:
    """The photos in ``storage`` against the current model.

    Raises Problems: AWS refuses, or the current model does not say what it was trained with.
    """
    now = of(storage.list(PHOTOS))
    pointer = published.current(storage)
    if pointer is None:
        return compare(now, {}, threshold=threshold)
    key = f"{published.FOLDER}/{pointer.version}/{published.CATALOGUE}"
    try:
        then = wire.load(storage.download(key), dict[str, dict[str, str]], f"{storage}/{key}")
    except MissingFileError:
        raise Problems.one(
            f"model {pointer.version} does not say which photos it was trained with: there is no {storage}/{key}",
            hint="upload a model with python -m ml.upload_model",
        ) from None
    return compare(now, then, version=pointer.version, threshold=threshold)
