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

from orchestrator.model_registry.staleness import PHOTOS_PREFIX
from orchestrator.problems import Position, Problem, Problems

TOKEN_VARIABLE = "PHOTOS_API_TOKEN"  # noqa: S105 - the name of a variable
MAX_PAGES = 10_000
Row = tuple[str, str, Position | None]


@dataclass(frozen=True, slots=True)
class FieldNames:
    """What the columns, or the members of an object, are called."""

    photo: str = "photo"
    product: str = "product"


@dataclass(frozen=True, slots=True)
class ProductMap:
    """Products by photo or folder, both without the prefix; ``source`` for people, "" when folders alone decide."""

    products: Mapping[str, str] = field(default_factory=dict)
    source: str = ""

    def find_product(self, key: str) -> str | None:
        """The product that the file ``key`` shows, or None when nothing says."""
        relative_key = key.removeprefix(PHOTOS_PREFIX)
        if not self.source:
            folder, _, name = relative_key.partition("/")
            return folder if name else None
        parts = relative_key.split("/")
        candidates = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        return next((self.products[candidate] for candidate in candidates if candidate in self.products), None)

    def find_unmatched(self, keys: Iterable[str]) -> list[str]:
        """What is named in the mapping and has no photo in the storage."""
        existing: set[str] = set()
        for key in keys:
            parts = key.removeprefix(PHOTOS_PREFIX).split("/")
            existing.update("/".join(parts[:count]) for count in range(len(parts), 0, -1))
        return sorted(self.products.keys() - existing)


def load(source: str, fields: FieldNames, token: str = "") -> ProductMap:
    """The mapping that a CSV file or an address gives; "" for folders alone.

    Raises Problems: all of its wrong rows at once; it cannot be read.
    """
    if not source:
        return ProductMap()
    rows = _read_api(source, fields, token) if "://" in source else _read_csv(Path(source), fields)
    display_source = _strip_query(source)
    products: dict[str, str] = {}
    problems: list[Problem] = []
    for photo, product, position in rows:
        relative_key = _strip_prefix(photo)
        if reason := _check_row(relative_key, product, products):
            problems.append(Problem(reason, position or Position(display_source), "correct the row"))
        products.setdefault(relative_key, product)
    if not products:
        raise Problems.from_message(
            f"{display_source} maps no photo", hint="it needs rows of a photo (or folder) and a product"
        )
    if problems:
        raise Problems(problems)
    return ProductMap(products, display_source)


def _strip_prefix(photo: str) -> str:
    """A photo's place below the prefix, from its key or its address."""
    path = unquote(urlsplit(photo).path) if "://" in photo else photo
    if PHOTOS_PREFIX in path:
        path = path[path.index(PHOTOS_PREFIX) + len(PHOTOS_PREFIX) :]
    return path.strip().strip("/")


def _check_row(relative_key: str, product: str, products: Mapping[str, str]) -> str:
    if not relative_key or not product:
        return f"a row without a {'photo' if not relative_key else 'product'}"
    if any(not part.isprintable() for part in (relative_key, product)):
        return f"{product!r} has characters that no name has"
    if products.get(relative_key, product) != product:
        return f"{relative_key} is of {products[relative_key]} and of {product}"
    return ""


def _read_csv(path: Path, fields: FieldNames) -> Iterable[Row]:
    text = _read_text(path)
    header_line = text.partition("\n")[0]
    separator = max(",;\t", key=header_line.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=separator)
    columns = [name.strip() for name in reader.fieldnames or ()]
    missing = [name for name in (fields.photo, fields.product) if name not in columns]
    if missing:
        raise Problems.from_message(
            f"has no column {' and no column '.join(missing)}",
            where=Position(str(path)),
            hint=f"its columns are {', '.join(columns) or 'none'}: name two of them by --photo-field, --product-field",
        )
    reader.fieldnames = columns
    for row in reader:
        position = Position(str(path), reader.line_num)
        yield (row[fields.photo] or "").strip(), (row[fields.product] or "").strip(), position


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Problems.from_message(f"cannot read {path}: {error.strerror}", hint="look at --mapping") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # what spreadsheets write in Western Europe


def _read_api(address: str, fields: FieldNames, token: str) -> Iterable[Row]:
    _require_https(address, token)
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    url = httpx.URL(address)
    with httpx.Client(timeout=30, follow_redirects=False, headers=headers) as client:
        for _ in range(MAX_PAGES):
            page = _get_page(client, url)
            items = page.get("items") if isinstance(page, dict) else page
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise Problems.from_message(
                    f"{_strip_query(str(url))} answers no list of photos", hint="look at --mapping"
                )
            yield from ((_read_field(item, fields.photo), _read_field(item, fields.product), None) for item in items)
            next_link = page.get("next") if isinstance(page, dict) else None
            if not next_link:
                return
            url = _resolve_next_page(url, str(next_link))


def _read_field(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()


def _require_https(address: str, token: str) -> None:
    parsed = httpx.URL(address)
    if parsed.scheme not in {"http", "https"}:
        raise Problems.from_message(f"{parsed.scheme}:// is no address of an API", hint="write https://")
    if token and parsed.scheme != "https" and parsed.host not in {"127.0.0.1", "localhost", "::1"}:
        raise Problems.from_message(f"{_strip_query(address)}: a token is sent over HTTPS alone", hint="write https://")


def _resolve_next_page(url: httpx.URL, next_link: str) -> httpx.URL:
    """The next page, which has to be of the same service: the token is meant for nobody else."""
    next_url = url.join(next_link)
    if (next_url.scheme, next_url.netloc) != (url.scheme, url.netloc):
        raise Problems.from_message(
            f"{_strip_query(str(url))} leads on to another host, {next_url.host}", hint="ask that one"
        )
    return next_url


def _get_page(client: httpx.Client, url: httpx.URL) -> Any:
    display_url = _strip_query(str(url))
    try:
        response = client.get(url)
    except httpx.HTTPError as error:
        raise Problems.from_message(
            f"cannot ask {display_url}: {type(error).__name__}", hint="look at the address, try again"
        ) from None
    if response.status_code in {401, 403}:
        raise Problems.from_message(
            f"{display_url} answers {response.status_code}",
            hint=f"put a token into the environment as {TOKEN_VARIABLE}",
        )
    if not response.is_success:
        raise Problems.from_message(
            f"{display_url} answers {response.status_code}", hint="look at the address, try again"
        )
    try:
        return response.json()
    except ValueError:
        raise Problems.from_message(f"{display_url} answers no JSON", hint="look at the address") from None


def _strip_query(source: str) -> str:
    """An address without what may be secret in it."""
    if "://" not in source:
        return source
    parsed = urlsplit(source)
    return f"{parsed.scheme}://{parsed.netloc.rpartition('@')[2]}{parsed.path}"
