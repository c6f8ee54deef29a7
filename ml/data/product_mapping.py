"""Map photos to products: by folder, by the rows of a CSV file, or by the shop's API.

A row names a photo (its key, with or without ``product-photos/``, or its URL) or a folder of photos, and a product.
The API answers GET with JSON: a list of objects, or an object with such a list as ``items`` and a ``next`` URL.
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
    """The names of the CSV columns or JSON fields."""

    photo: str = "photo"
    product: str = "product"


@dataclass(frozen=True, slots=True)
class ProductMap:
    """Products by photo or folder, both without the prefix; ``source`` for messages, "" if only folders are used."""

    products: Mapping[str, str] = field(default_factory=dict)
    source: str = ""

    def find_product(self, key: str) -> str | None:
        """Return the product of the file ``key``, or None if it has none."""
        relative_key = key.removeprefix(PHOTOS_PREFIX)
        if not self.source:
            folder, _, name = relative_key.partition("/")
            return folder if name else None
        parts = relative_key.split("/")
        candidates = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        return next((self.products[candidate] for candidate in candidates if candidate in self.products), None)

    def find_unmatched(self, keys: Iterable[str]) -> list[str]:
        """Return the entries of the mapping that match no photo in the storage."""
        existing: set[str] = set()
        for key in keys:
            parts = key.removeprefix(PHOTOS_PREFIX).split("/")
            existing.update("/".join(parts[:count]) for count in range(len(parts), 0, -1))
        return sorted(self.products.keys() - existing)


def load(source: str, fields: FieldNames, token: str = "") -> ProductMap:
    """Load the mapping from a CSV file or an API URL; an empty ``source`` maps by folder.

    Raises Problems if it cannot be read, or with all invalid rows.
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
            f"{display_source} contains no rows", hint="add rows with a photo (or folder) and a product"
        )
    if problems:
        raise Problems(problems)
    return ProductMap(products, display_source)


def _strip_prefix(photo: str) -> str:
    """Return a photo's key without the prefix, from its key or its URL."""
    path = unquote(urlsplit(photo).path) if "://" in photo else photo
    if PHOTOS_PREFIX in path:
        path = path[path.index(PHOTOS_PREFIX) + len(PHOTOS_PREFIX) :]
    return path.strip().strip("/")


def _check_row(relative_key: str, product: str, products: Mapping[str, str]) -> str:
    if not relative_key or not product:
        return f"the row has no {'photo' if not relative_key else 'product'}"
    if any(not part.isprintable() for part in (relative_key, product)):
        return f"{product!r} contains unprintable characters"
    if products.get(relative_key, product) != product:
        return f"{relative_key} is mapped to both {products[relative_key]} and {product}"
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
            f"missing column {' and column '.join(missing)}",
            where=Position(str(path)),
            hint=f"set --photo-field and --product-field; the columns are {', '.join(columns) or 'none'}",
        )
    reader.fieldnames = columns
    for row in reader:
        position = Position(str(path), reader.line_num)
        yield (row[fields.photo] or "").strip(), (row[fields.product] or "").strip(), position


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Problems.from_message(f"cannot read {path}: {error.strerror}", hint="check --mapping") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")  # the default of spreadsheets in Western Europe


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
                    f"{_strip_query(str(url))} did not return a list of photos", hint="check --mapping"
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
        raise Problems.from_message(f"unsupported URL scheme {parsed.scheme}:// in --mapping", hint="use https://")
    if token and parsed.scheme != "https" and parsed.host not in {"127.0.0.1", "localhost", "::1"}:
        raise Problems.from_message(f"{_strip_query(address)}: a token is only sent over HTTPS", hint="use https://")


def _resolve_next_page(url: httpx.URL, next_link: str) -> httpx.URL:
    """Return the URL of the next page.  Raises Problems if it is on another host, which must not get the token."""
    next_url = url.join(next_link)
    if (next_url.scheme, next_url.netloc) != (url.scheme, url.netloc):
        raise Problems.from_message(
            f"the link to the next page of {_strip_query(str(url))} points to another host, {next_url.host}",
            hint=f"pass a URL of {next_url.host} as --mapping",
        )
    return next_url


def _get_page(client: httpx.Client, url: httpx.URL) -> Any:
    display_url = _strip_query(str(url))
    try:
        response = client.get(url)
    except httpx.HTTPError as error:
        raise Problems.from_message(
            f"cannot reach {display_url}: {type(error).__name__}", hint="check the URL, then run the command again"
        ) from None
    if response.status_code in {401, 403}:
        raise Problems.from_message(
            f"{display_url} returned HTTP {response.status_code}",
            hint=f"set {TOKEN_VARIABLE} to a valid token",
        )
    if not response.is_success:
        raise Problems.from_message(
            f"{display_url} returned HTTP {response.status_code}", hint="check the URL, then run the command again"
        )
    try:
        return response.json()
    except ValueError:
        raise Problems.from_message(f"{display_url} did not return JSON", hint="check the URL") from None


def _strip_query(source: str) -> str:
    """Return a URL without query and credentials, which may be secret; return a path as is."""
    if "://" not in source:
        return source
    parsed = urlsplit(source)
    return f"{parsed.scheme}://{parsed.netloc.rpartition('@')[2]}{parsed.path}"
