"""Write the CloudFront function that finds the page of a path, in the sites behind a Cdn.  Pure.

A function cannot ask S3, so what it has to know of a site is in its code: files without an extension by name, and of
static sites the pages, as hashes.  What is found is served as it is; everything else is the front page of a
single-page app, or the page for unknown paths of a static site.

A function has at most 10 KB (https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from msgspec import Struct

from orchestrator.artefacts.sites import media_types
from orchestrator.artefacts.sites.site_options import ALLOWS_SNIFFING, SNIFFING_HEADER
from orchestrator.components.cdn.sites import ServedSite

MAX_CODE_BYTES = 10_240
MAX_HASH = 16_777_213
"""A prime below 2**24, so that a hash has four digits in base 64 and no product exceeds 2**53."""
DIGITS = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
INDEX_SUFFIX = "/index.html"
PAGE_SUFFIX = ".html"

DATA_PREFIX = "var sites = "
PROGRAM = """\
function handler(event) {
  if (event.context && event.context.eventType === 'viewer-response') {
    return respond(event.response);
  }
  var request = event.request, path = request.uri;
  try {
    path = decodeURIComponent(path);
  } catch (error) {
    // not UTF-8: no page has this name
  }
  for (var i = 0; i < sites.length; i++) {
    var site = sites[i], root = '/' + site.prefix;
    if (path + '/' === root) {
      return redirect(request, root, 301);
    }
    if (path.slice(0, root.length) === root) {
      return route(request, site, path, path.slice(root.length));
    }
  }
  return request;
}

function route(request, site, path, rest) {
  for (var i = 0; i < site.redirects.length; i++) {
    var rule = site.redirects[i], start = rule.from.slice(0, -1);
    if (rule.from === path) {
      return redirect(request, rule.to, rule.status);
    }
    if (rule.from.slice(-1) === '*' && path.slice(0, start.length) === start) {
      var tail = path.slice(start.length).replace(/^[/\\\\]+/, '');
      return redirect(request, rule.to.replace('*', encodeURI(tail)), rule.status);
    }
  }
  var name = rest.slice(rest.lastIndexOf('/') + 1);
  if (!site.routing || site.files.indexOf(rest) >= 0 || rest.slice(0, 12) === '.well-known/') {
    return request;
  }
  if (site.routing === 'static') {
    return page(request, site, rest, name);
  }
  if (name.indexOf('.') < 0) {
    request.uri = '/' + site.prefix + site.index;
  }
  return request;
}

function page(request, site, rest, name) {
  var clean = rest.replace(/\\/$/, ''), uri = request.uri.replace(/\\/$/, ''), hasDot = name.indexOf('.') >= 0;
  if (!clean) {
    request.uri = '/' + site.prefix + site.index;
    return request;
  }
  var isPage = site.isListed ? has(site, site.pages, clean) : !site.isFolder && !hasDot;
  var isFolder = site.isListed ? has(site, site.folders, clean) : site.isFolder && !hasDot;
  if (isPage && (clean === rest || !isFolder)) {
    if (clean !== rest) {
      return redirect(request, uri, 301);
    }
    request.uri = uri + '.html';
    return request;
  }
  if (isFolder) {
    if (clean === rest) {
      return redirect(request, uri + '/', 301);
    }
    request.uri = uri + '/index.html';
    return request;
  }
  return hasDot && isFile(site, rest) ? request : missing(request, site);
}

function isFile(site, rest) {
  var path = rest.replace(/\\.html$/, '');
  return path === rest || !site.isListed || path === 'index' || has(site, site.pages, path) ||
    /\\/index$/.test(path) && has(site, site.folders, path.slice(0, -6));
}

function missing(request, site) {
  if (site.notFound) {
    request.uri = '/' + site.prefix + site.notFound;
  }
  return request;
}

function has(site, table, path) {
  var digits = '%s', hash = 7, token = '';
  for (var i = 0; i < path.length; i++) {
    hash = (hash * site.factor + path.charCodeAt(i)) %% %d;
  }
  for (var shift = 262144; shift >= 1; shift /= 64) {
    token += digits[Math.floor(hash / shift) %% 64];
  }
  var at = table.indexOf(token);
  while (at %% 4 > 0) {
    at = table.indexOf(token, at + 1);
  }
  return at >= 0;
}

function redirect(request, location, status) {
  var query = Object.keys(request.querystring || {}).map(function (name) {
    var entry = request.querystring[name];
    return (entry.multiValue || [entry]).map(function (item) {
      return item.value ? name + '=' + item.value : name;
    }).join('&');
  }).join('&');
  var target = location.indexOf('://') > 0 ? location : location.replace(/^[/\\\\]+/, '/');
  if (query) {
    target += (target.indexOf('?') < 0 ? '?' : '&') + query;
  }
  var headers = { location: { value: target }, 'cache-control': { value: 'no-cache' } };
  return { statusCode: status, statusDescription: 'Redirect', headers: headers };
}

function respond(response) {
  Object.keys(response.headers).forEach(function (name) {
    if (!response.headers[name]) {
      return;
    }
    var value = response.headers[name].value;
    if (name === 'x-amz-meta-status') {
      if (response.statusCode === 200) {
        response.statusCode = Number(value);
        response.statusDescription = 'Not Found';
      }
      delete response.headers[name];
    } else if (name === 'x-amz-meta-header-%s' && value === '%s') {
      delete response.headers['%s'];
      delete response.headers[name];
    } else if (name.slice(0, 18) === 'x-amz-meta-header-') {
      response.headers[name.slice(18)] = { value: value };
      delete response.headers[name];
    }
  });
  return response;
}
"""


class RoutingFunction(Struct, frozen=True):
    """The code of a function: a program, and a line of ``data`` before it, which says what the sites have.

    ``unlisted`` are the handles of static sites with too many pages to list.
    """

    data: str
    unlisted: tuple[str, ...] = ()
    program: str = PROGRAM % (DIGITS, MAX_HASH, SNIFFING_HEADER, ALLOWS_SNIFFING, SNIFFING_HEADER)

    @property
    def is_within_limit(self) -> bool:
        """Whether CloudFront accepts a function of this size."""
        return len(self.data.encode()) + len(self.program.encode()) < MAX_CODE_BYTES


def write_function(sites: Iterable[ServedSite], index: str) -> RoutingFunction:
    """Return the function for the sites behind a Cdn, whose front pages are ``index``.

    Of a static site with too many pages only one fact is kept, how it stores pages: ``about.html`` or
    ``about/index.html``.  Unknown paths of such a site are answered by S3 itself, with status 404.
    """
    ordered = sorted(sites, key=lambda site: (-len(site.prefix), site.prefix))
    descriptions = {site.handle: _describe(site, index) for site in ordered}
    function = RoutingFunction(_format(descriptions))
    while not function.is_within_limit and any(map(_table_size, descriptions.values())):
        handle = max(descriptions, key=lambda handle: _table_size(descriptions[handle]))
        descriptions[handle].update(pages="", folders="", notFound="", isListed=False)
        function = RoutingFunction(_format(descriptions), (*function.unlisted, handle))
    return function


def _table_size(description: dict[str, Any]) -> int:
    return len(description.get("pages", "")) + len(description.get("folders", ""))


def _format(descriptions: dict[str, dict[str, Any]]) -> str:
    return f"{DATA_PREFIX}{json.dumps(list(descriptions.values()), separators=(',', ':'))};"


def _describe(site: ServedSite, index: str) -> dict[str, Any]:
    keys = [key.removeprefix(site.prefix) for key in site.files.files] if site.files else []
    description: dict[str, Any] = {
        "prefix": site.prefix,
        "routing": site.options.routing if site.rewrites else "",
        "index": index,
        "files": [key for key in keys if not media_types.has_extension(key) and not key.startswith(".well-known/")],
        "redirects": [{name: rule[name] for name in ("from", "to", "status")} for rule in site.redirects],
    }
    if site.options.routing == "static":
        description |= _describe_pages(keys, site.options.not_found)
    return description


def _describe_pages(keys: list[str], not_found: str) -> dict[str, Any]:
    """Return the hashes of a static site's pages: ``pages`` of ``about.html``, ``folders`` of ``about/index.html``."""
    folders = {key.removesuffix(INDEX_SUFFIX) for key in keys if key.endswith(INDEX_SUFFIX)}
    pages = {
        key.removesuffix(PAGE_SUFFIX)
        for key in keys
        if key.endswith(PAGE_SUFFIX) and not key.endswith(INDEX_SUFFIX) and key != "index.html"
    }
    factor = next(factor for factor in count(31, 2) if not _collides(pages, folders, factor))
    return {
        "isFolder": len(folders) > len(pages - {not_found.removesuffix(PAGE_SUFFIX)}),
        "isListed": bool(keys),
        "factor": factor,
        "pages": _join_hashes(pages, factor),
        "folders": _join_hashes(folders, factor),
        "notFound": not_found if not_found in keys else "",
    }


def _collides(pages: set[str], folders: set[str], factor: int) -> bool:
    """Return whether a page would be taken for a folder that does not exist, or the other way round."""
    page_hashes, folder_hashes = ({hash_path(path, factor) for path in paths} for paths in (pages, folders))
    return any(hash_path(path, factor) in folder_hashes for path in pages - folders) or any(
        hash_path(path, factor) in page_hashes for path in folders - pages
    )


def _join_hashes(paths: set[str], factor: int) -> str:
    return "".join(sorted({hash_path(path, factor) for path in paths}))


def hash_path(path: str, factor: int) -> str:
    """Return four digits in base 64, as the function computes them from UTF-16 code units."""
    value = 7
    for unit in _utf16_units(path):
        value = (value * factor + unit) % MAX_HASH
    return "".join(DIGITS[value // 64**power % 64] for power in (3, 2, 1, 0))


def _utf16_units(text: str) -> Iterator[int]:
    data = text.encode("utf-16-le", "surrogatepass")
    return (data[start] | data[start + 1] << 8 for start in range(0, len(data), 2))
