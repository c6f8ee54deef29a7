"""Whether the model in use still knows the shop: the photos in the bucket against those it was trained with.  Pure, but
for the listing.

A photo is ``product-photos/PRODUCT/FILE``, unless a mapping said otherwise when the model was trained; two are the same
when key and etag are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field

from orchestrator import canonical_json
from orchestrator.model_registry import registry
from orchestrator.problems import Problems
from orchestrator.storage import FileStorage, MissingFileError, Stored

PHOTOS = "product-photos/"
SHARE = 0.1
"""How much of the catalogue may be new before training is due."""

NOBODY = ""
"""The product of files that show none."""
HIDDEN = ("thumbs.db", "desktop.ini")

Catalogue = Mapping[str, Mapping[str, str]]
"""Etags by key by product; what shows none is of ``NOBODY``."""


class Comparison(Struct, frozen=True):
    """What became of the catalogue since the model was trained; counts of photos that were added, changed, removed.

    ``unplaced``: keys of new files of which nothing says what they show.
    """

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
    unplaced: tuple[str, ...] = field(default=())

    @property
    def is_due(self) -> bool:
        """Whether more than the threshold's share of the products is new, gone or looks different."""
        return self.share > self.threshold

    @property
    def why(self) -> str:
        """Why training is needed, in a sentence; "" when it is not."""
        if not self.is_due:
            return ""
        counts = {"new": len(self.added), "gone": len(self.removed), "photographed anew": len(self.changed)}
        told = [f"{count} {deed}" for deed, count in counts.items() if count]
        told += [f"{len(self.unplaced)} files of no product"] if self.unplaced else []
        return f"{', '.join(told)}: {self.share:.0%} of the products differ, {self.threshold:.0%} may."


def is_hidden(key: str) -> bool:
    """Whether a file is one that desktops leave behind."""
    name = key.rpartition("/")[2].lower()
    return name.startswith((".", "~$")) or name in HIDDEN


def by_folder(key: str) -> str:
    """The product whose folder a file lies in."""
    folder, _, name = key.removeprefix(PHOTOS).partition("/")
    return folder if name else NOBODY


def as_before(then: Catalogue) -> Callable[[str], str]:
    """Products as they were told when the model was trained: by folders, or by a mapping that nobody has here.

    Then a photo that was known shows what it showed; a new one what all its neighbours show, or nothing that is known;
    a new folder is a new product.
    """
    known = {key: name for name, photos in then.items() for key in photos}
    if all(name == by_folder(key) for key, name in known.items()):
        return by_folder
    neighbours: dict[str, set[str]] = {}
    for key, name in known.items():
        neighbours.setdefault(key.rpartition("/")[0], set()).add(name)

    def product_of(key: str) -> str:
        folder = key.rpartition("/")[0]
        names = neighbours.get(folder, {folder.removeprefix(PHOTOS)})
        return known.get(key, next(iter(names)) if len(names) == 1 else NOBODY)

    return product_of


def of(photos: Iterable[Stored], product_of: Callable[[str], str] = by_folder) -> Catalogue:
    """The catalogue that a listing of photos shows."""
    found: dict[str, dict[str, str]] = {}
    for photo in photos:
        if not is_hidden(photo.key):
            found.setdefault(product_of(photo.key), {})[photo.key] = photo.etag
    return found


def compare(now: Catalogue, then: Catalogue, *, version: str = "", threshold: float = SHARE) -> Comparison:
    """What differs; a product's photos have changed when any was added, removed or replaced.

    Files that show no product count as half a product each: they may be of one that is there.
    """
    unplaced = sorted(now.get(NOBODY, {}).keys() - then.get(NOBODY, {}).keys())
    now, then = ({name: one for name, one in side.items() if name != NOBODY} for side in (now, then))
    common = now.keys() & then.keys()
    fresh = {name: now[name].keys() - then[name].keys() for name in common}
    gone = {name: then[name].keys() - now[name].keys() for name in common}
    other = {
        name: {key for key in now[name].keys() & then[name].keys() if now[name][key] != then[name][key]}
        for name in common
    }
    changed = sorted(name for name in common if fresh[name] or gone[name] or other[name])
    added, removed = sorted(now.keys() - then.keys()), sorted(then.keys() - now.keys())
    affected = len(added) + len(removed) + len(changed) + len(unplaced) / 2
    return Comparison(
        version, len(now), tuple(added), tuple(removed), tuple(changed),
        sum(map(len, fresh.values())) + sum(len(now[name]) for name in added),
        sum(map(len, other.values())),
        sum(map(len, gone.values())) + sum(len(then[name]) for name in removed),
        min(affected / max(len(now.keys() | then.keys()), 1), 1.0), threshold, tuple(unplaced),
    )  # fmt: skip


def status(storage: FileStorage, threshold: float = SHARE) -> Comparison:
    """The photos in ``storage`` against the current model.

    Raises Problems: AWS refuses, or the current model does not say what it was trained with.
    """
    photos = list(storage.list(PHOTOS))
    pointer = registry.current(storage)
    if pointer is None:
        return compare(of(photos), {}, threshold=threshold)
    key = f"{registry.FOLDER}/{pointer.version}/{registry.CATALOGUE}"
    try:
        then = canonical_json.load(storage.download(key), dict[str, dict[str, str]], f"{storage}/{key}")
    except MissingFileError:
        raise Problems.one(
            f"model {pointer.version} does not say which photos it was trained with: there is no {storage}/{key}",
            hint="upload a model with python -m ml.upload_model",
        ) from None
    return compare(of(photos, as_before(then)), then, version=pointer.version, threshold=threshold)
