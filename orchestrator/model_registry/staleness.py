"""Decide whether retraining is due: compare the photos in the bucket with those that the current model was trained on.

Pure, except for the listing.  A photo is ``product-photos/PRODUCT/FILE``, unless training used a product mapping; two
photos are the same if their keys and etags are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field

from orchestrator import canonical_json
from orchestrator.model_registry import registry
from orchestrator.problems import Problems
from orchestrator.quantities import format_count
from orchestrator.storage import FileStorage, MissingFileError, StoredFile

PHOTOS_PREFIX = "product-photos/"
STATUS_KEY = f"{registry.MODELS_FOLDER}/training-needed.json"
"""Public file that tells the shop's admin pages whether training is needed."""
DEFAULT_THRESHOLD = 0.1
"""Share of the products that may differ before retraining is due."""

NO_PRODUCT = ""
"""The product of files that show no product."""
HIDDEN_FILE_NAMES = ("thumbs.db", "desktop.ini")

Catalogue = Mapping[str, Mapping[str, str]]
"""Etags by key by product; files that show no product are under ``NO_PRODUCT``."""


class CatalogueComparison(Struct, frozen=True):
    """The changes of the catalogue since the model was trained: products, and counts of photos.

    ``unplaced``: keys of new files whose product is unknown.
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
    def is_retraining_due(self) -> bool:
        """Whether the share of added, removed and changed products exceeds the threshold."""
        return self.share > self.threshold

    @property
    def retraining_reason(self) -> str:
        """Why retraining is due, as a sentence; "" if it is not."""
        if not self.is_retraining_due:
            return ""
        counts = {"new": len(self.added), "removed": len(self.removed), "with changed photos": len(self.changed)}
        parts = [f"{count} {label}" for label, count in counts.items() if count]
        parts += [f"{format_count(len(self.unplaced), 'file')} without a product"] if self.unplaced else []
        share = f"{self.share:.0%} of the products changed since the training (threshold {self.threshold:.0%})"
        return f"{', '.join(parts)}: {share}."


class ModelStatus(CatalogueComparison, frozen=True, kw_only=True):
    """Output of ``orchestrator model status --format json``: the comparison, and whether training is needed."""

    training_needed: bool


def is_hidden(key: str) -> bool:
    """Return whether a file is a hidden file of a desktop system."""
    name = key.rpartition("/")[2].lower()
    return name.startswith((".", "~$")) or name in HIDDEN_FILE_NAMES


def product_by_folder(key: str) -> str:
    """Return the product whose folder a file is in."""
    folder, _, name = key.removeprefix(PHOTOS_PREFIX).partition("/")
    return folder if name else NO_PRODUCT


def product_resolver(trained: Catalogue) -> Callable[[str], str]:
    """Return a function from keys to products, as at training: by folder, or by a mapping that is not available here.

    With a mapping, a known photo keeps its product; a new photo gets the product of all photos in its folder, or none
    if they differ; a new folder is a new product.
    """
    product_by_key = {key: name for name, photos in trained.items() for key in photos}
    if all(name == product_by_folder(key) for key, name in product_by_key.items()):
        return product_by_folder
    products_by_folder: dict[str, set[str]] = {}
    for key, name in product_by_key.items():
        products_by_folder.setdefault(key.rpartition("/")[0], set()).add(name)

    def product_of(key: str) -> str:
        folder = key.rpartition("/")[0]
        names = products_by_folder.get(folder, {folder.removeprefix(PHOTOS_PREFIX)})
        return product_by_key.get(key, next(iter(names)) if len(names) == 1 else NO_PRODUCT)

    return product_of


def build_catalogue(photos: Iterable[StoredFile], product_of: Callable[[str], str] = product_by_folder) -> Catalogue:
    """Return the catalogue of listed photos, without hidden files."""
    catalogue: dict[str, dict[str, str]] = {}
    for photo in photos:
        if not is_hidden(photo.key):
            catalogue.setdefault(product_of(photo.key), {})[photo.key] = photo.etag
    return catalogue


def compare(
    current: Catalogue, trained: Catalogue, *, version: str = "", threshold: float = DEFAULT_THRESHOLD
) -> CatalogueComparison:
    """Compare two catalogues; a product has changed if any of its photos was added, removed or replaced.

    A file without a product counts as half a product, because it may show an existing one.
    """
    unplaced = sorted(current.get(NO_PRODUCT, {}).keys() - trained.get(NO_PRODUCT, {}).keys())
    current, trained = (
        {name: photos for name, photos in side.items() if name != NO_PRODUCT} for side in (current, trained)
    )
    common = current.keys() & trained.keys()
    added_photos = {name: current[name].keys() - trained[name].keys() for name in common}
    removed_photos = {name: trained[name].keys() - current[name].keys() for name in common}
    changed_photos = {
        name: {key for key in current[name].keys() & trained[name].keys() if current[name][key] != trained[name][key]}
        for name in common
    }
    changed = sorted(name for name in common if added_photos[name] or removed_photos[name] or changed_photos[name])
    added, removed = sorted(current.keys() - trained.keys()), sorted(trained.keys() - current.keys())
    affected = len(added) + len(removed) + len(changed) + len(unplaced) / 2
    return CatalogueComparison(
        version, len(current), tuple(added), tuple(removed), tuple(changed),
        sum(map(len, added_photos.values())) + sum(len(current[name]) for name in added),
        sum(map(len, changed_photos.values())),
        sum(map(len, removed_photos.values())) + sum(len(trained[name]) for name in removed),
        min(affected / max(len(current.keys() | trained.keys()), 1), 1.0), threshold, tuple(unplaced),
    )  # fmt: skip


def publish_status(storage: FileStorage, comparison: CatalogueComparison, checked_at: str) -> None:
    """Write ``STATUS_KEY``: counts only, because it is public.  ``checked_at``: ISO 8601, UTC.

    Raises Problems if it cannot be written.
    """
    document = {
        "version": comparison.version,
        "needed": comparison.is_retraining_due,
        "reason": comparison.retraining_reason,
        "products": comparison.products,
        "added": len(comparison.added),
        "removed": len(comparison.removed),
        "changed": len(comparison.changed),
        "checked_at": checked_at,
    }
    storage.put(STATUS_KEY, canonical_json.dump(document), cache_control="no-cache")


def check_staleness(storage: FileStorage, threshold: float = DEFAULT_THRESHOLD) -> CatalogueComparison:
    """Compare the photos in ``storage`` with the catalogue of the current model.

    Raises Problems if the storage cannot be read, or the current model has no catalogue.
    """
    photos = list(storage.list(PHOTOS_PREFIX))
    pointer = registry.read_pointer(storage)
    if pointer is None:
        return compare(build_catalogue(photos), {}, threshold=threshold)
    key = registry.key_of(pointer.version, registry.CATALOGUE_FILE)
    try:
        data = registry.read_training_file(storage, pointer.version, registry.CATALOGUE_FILE)
        trained = canonical_json.load(data, dict[str, dict[str, str]], f"{storage}/{key}")
    except MissingFileError:
        raise Problems.from_message(
            f"model {pointer.version} has no list of its training photos: {storage}/{key} does not exist",
            hint="upload a model: python -m ml.upload_model",
        ) from None
    return compare(
        build_catalogue(photos, product_resolver(trained)), trained, version=pointer.version, threshold=threshold
    )
