"""Which product a photo shows: by its folder, by the rows of a CSV file, or by what the shop's API answers.

A row names a photo (its key, with or without ``product-photos/``, or its address) or a folder of photos, and a product.
API: GET of an address, JSON: a list of objects, or an object with such a list as ``items`` and the ``next`` address.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from orchestrator.model_registry.staleness import PHOTOS
from orchestrator.problems import Position, Problem, Problems

TOKEN = "PHOTOS_API_TOKEN"  # noqa: S105 - the name of a variable
MOST_PAGES = 10_000
Row = tuple[str, str, Position | None]


@dataclass(frozen=True, slots=True)
class Fields:
    """What the columns, or the members of an object, are called."""

    photo: str = "photo"
    product: str = "product"


@dataclass(frozen=True, slots=True)
class Products:
    """Products by photo or folder, both without the prefix; ``source`` for people, "" when folders alone decide."""

    products: Mapping[str, str] = field(default_factory=dict)
    source: str = ""

    def product_of(self, key: str) -> str | None:
        """The product that the file ``key`` shows, or None when nothing says."""
        place = key.removeprefix(PHOTOS)
        if not self.source:
            folder, _, name = place.partition("/")
            return folder if name else None
        parts = place.split("/")
        places = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        return next((self.products[one] for one in places if one in self.products), None)

    def strangers(self, keys: Iterable[str]) -> list[str]:
        """What is named in the mapping and has no photo in the storage."""
        there: set[str] = set()
        for key in keys:
            parts = key.removeprefix(PHOTOS).split("/")
            there.update("/".join(parts[:count]) for count in range(len(parts), 0, -1))
        return sorted(self.products.keys() - there)


def load(source: str, fields: Fields, token: str = "") -> Products:
    """The mapping that a CSV file or an address gives; "" for folders alone.

    Raises Problems: all of its wrong rows at once; it cannot be read.
    """
    if not source:
        return Products()
    rows = _asked(source, fields, token) if "://" in source else _rows(Path(source), fields)
    where = _without_query(source)
    products: dict[str, str] = {}
    found: list[Problem] = []
    for photo, product, position in rows:
        place = _place(photo)
        if trouble := _trouble(place, product, products):
            found.append(Problem(trouble, position or Position(where), "correct the row"))
        products.setdefault(place, product)
    if not products:
        raise Problems.one(f"{where} maps no photo", hint="it needs rows of a photo (or folder) and a product")
    if found:
        raise Problems(found)
    return Products(products, where)


def _place(photo: str) -> str:
    """A photo's place below the prefix, from its key or its address."""
    path = unquote(urlsplit(photo).path) if "://" in photo else photo
    if PHOTOS in path:
        path = path[path.index(PHOTOS) + len(PHOTOS) :]
    return path.strip().strip("/")


def _trouble(place: str, product: str, known: Mapping[str, str]) -> str:
    if not place or not product:
        return f"a row without a {'photo' if not place else 'product'}"
    if any(not part.isprintable() for part in (place, product)):
        return f"{product!r} has characters that no name has"
    if known.get(place, product) != product:
        return f"{place} is of {known[place]} and of {product}"
    return ""


def _rows(path: Path, fields: Fields) -> Iterable[Row]:
    text = _text(path)
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=separator)
    columns = [name.strip() for name in reader.fieldnames or ()]
    missing = [name for name in (fields.photo, fields.product) if name not in columns]
    if missing:
        raise Problems.one(
            f"has no column {' and no column '.join(missing)}",
            where=Position(str(path)),
            hint=f"its columns are {', '.join(columns) or 'none'}: name two of them by --photo-field, --product-field",
        )
    reader.fieldnames = columns
    for row in reader:
        place = Position(str(path), reader.line_num)
        yield (row[fields.photo] or "").strip(), (row[fields.product] or "").strip(), place


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Problems.one(f"cannot read {path}: {error.strerror}", hint="look at --mapping") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # what spreadsheets write in Western Europe


def _asked(address: str, fields: Fields, token: str) -> Iterable[Row]:
    _refuse_in_the_clear(address, token)
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    url = httpx.URL(address)
    with httpx.Client(timeout=30, follow_redirects=False, headers=headers) as client:
        for _ in range(MOST_PAGES):
            page = _page(client, url)
            items = page.get("items") if isinstance(page, dict) else page
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise Problems.one(f"{_without_query(str(url))} answers no list of photos", hint="look at --mapping")
            yield from ((_word(item, fields.photo), _word(item, fields.product), None) for item in items)
            following = page.get("next") if isinstance(page, dict) else None
            if not following:
                return
            url = _followed(url, str(following))


def _word(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()


def _refuse_in_the_clear(address: str, token: str) -> None:
    parsed = httpx.URL(address)
    if parsed.scheme not in {"http", "https"}:
        raise Problems.one(f"{parsed.scheme}:// is no address of an API", hint="write https://")
    if token and parsed.scheme != "https" and parsed.host not in {"127.0.0.1", "localhost", "::1"}:
        raise Problems.one(f"{_without_query(address)}: a token is sent over HTTPS alone", hint="write https://")


def _followed(url: httpx.URL, following: str) -> httpx.URL:
    """The next page, which has to be of the same service: the token is meant for nobody else."""
    there = url.join(following)
    if (there.scheme, there.netloc) != (url.scheme, url.netloc):
        raise Problems.one(f"{_without_query(str(url))} leads on to another host, {there.host}", hint="ask that one")
    return there


def _page(client: httpx.Client, url: httpx.URL) -> Any:
    where = _without_query(str(url))
    try:
        answer = client.get(url)
    except httpx.HTTPError as error:
        raise Problems.one(
            f"cannot ask {where}: {type(error).__name__}", hint="look at the address, try again"
        ) from None
    if answer.status_code in {401, 403}:
        raise Problems.one(f"{where} answers {answer.status_code}", hint=f"put a token into the environment as {TOKEN}")
    if not answer.is_success:
        raise Problems.one(f"{where} answers {answer.status_code}", hint="look at the address, try again")
    try:
        return answer.json()
    except ValueError:
        raise Problems.one(f"{where} answers no JSON", hint="look at the address") from None


def _without_query(source: str) -> str:
    """An address without what may be secret in it."""
    if "://" not in source:
        return source
    parsed = urlsplit(source)
    return f"{parsed.scheme}://{parsed.netloc.rpartition('@')[2]}{parsed.path}"
