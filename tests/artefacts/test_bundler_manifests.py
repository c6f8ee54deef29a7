"""Browsers keep a file for a year only where its bundler says that its name has a hash.

The judges are real bundlers, recorded in bundler_manifests.json: what two builds gave another content under the same
name, and every output of a build that puts hashes into all names. More forms of manifests: Vite 4, "Backend
Integration"; gulp-rev's, Rsbuild's, Gatsby's and Parcel's documentation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.artefacts.sites.bundler_manifests import find_immutable
from orchestrator.artefacts.sites.folder import scan
from orchestrator.artefacts.sites.http_headers import IMMUTABLE_CACHE_CONTROL
from orchestrator.artefacts.sites.site_options import HeaderRule, SiteOptions

BUILDS: dict[str, Any] = {
    name: build
    for name, build in json.loads((Path(__file__).parent / "bundler_manifests.json").read_text()).items()
    if name != "source"
}
NOT_BUNDLED = {"index.html", "menu-A4Format.pdf", "jquery-3f2a91bc.js"}
"""What comes from a folder of public files, whatever its name looks like, and the page."""


def write_site(folder: Path, paths: Iterable[str], manifests: Mapping[str, object]) -> None:
    for path in {"index.html", *paths}:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    for path, manifest in manifests.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))


def list_kept(folder: Path, options: SiteOptions | None = None) -> set[str]:
    """Return the paths that a browser keeps for a year."""
    prefix = options.prefix if options else ""
    files = scan(folder, options).files
    return {path.removeprefix(prefix) for path, file in files.items() if file.cache_control == IMMUTABLE_CACHE_CONTROL}


@pytest.mark.parametrize("name", BUILDS)
def test_exactly_what_a_real_bundler_names_by_content_is_kept(name: str, tmp_path: Path) -> None:
    build = BUILDS[name]
    write_site(tmp_path, build["files"], build["manifests"])
    kept = list_kept(tmp_path, SiteOptions("admin/") if "prefix" in name else None)
    outputs = {path for path in build["files"] if not path.endswith(".map")} - NOT_BUNDLED - build["manifests"].keys()
    hashed = {path for path in outputs if "/media/" in path} if "without hashes" in name else outputs

    assert kept & {path for path, contents in build["files"].items() if contents > 1} == set()
    assert kept == hashed
    assert bool(hashed) is (name not in {"vite without hashes", "esbuild without hashes"})


FORMS: dict[str, tuple[str, Any, set[str], set[str]]] = {
    "vite 4": (
        "manifest.json",
        {
            "main.js": {"file": "assets/main.4889e940.js", "src": "main.js", "css": ["assets/main.b82dbe22.css"]},
            "_shared.83069a53.js": {"file": "assets/shared.83069a53.js", "css": ["assets/shared.a834bfc3.css"]},
            "views/foo.js": {"file": "assets/foo.js", "src": "views/foo.js"},
        },
        {"assets/main.4889e940.js", "assets/main.b82dbe22.css", "assets/shared.83069a53.js"},
        {"assets/foo.js"},
    ),
    "create-react-app": (
        "asset-manifest.json",
        {
            "files": {
                "main.js": "/static/js/main.5d58cadf.js",
                "static/js/787.85457e2e.chunk.js": "/static/js/787.85457e2e.chunk.js",
                "static/media/logo.svg": "/static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
                "main.5d58cadf.js.map": "/static/js/main.5d58cadf.js.map",
                "index.html": "/index.html",
            },
            "entrypoints": ["static/js/main.5d58cadf.js"],
        },
        {
            "static/js/main.5d58cadf.js",
            "static/js/787.85457e2e.chunk.js",
            "static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
        },
        {"static/js/main.5d58cadf.js.map", "static/js/other.5d58cadf.js"},
    ),
    "gulp-rev": (
        "rev-manifest.json",
        {"css/unicorn.css": "css/unicorn-d41d8cd98f.css", "js/app.js": "js/app.js"},
        {"css/unicorn-d41d8cd98f.css"},
        {"js/app.js"},
    ),
    "rsbuild": (
        "manifest.json",
        {"entries": {"index": {"initial": {"js": ["https://cdn.example/static/js/index.2ed2b1a1.js"]}}}},
        set(),
        {"static/js/index.2ed2b1a1.js"},  # its key says `js` and not the name: in doubt they ask
    ),
    "gatsby": (
        "webpack.stats.json",
        {"assetsByChunkName": {"app": ["app-5c6c1f9f0e1b2d3c4a5b.js"], "polyfill": ["polyfill.js"]}},
        {"app-5c6c1f9f0e1b2d3c4a5b.js"},
        {"polyfill.js"},
    ),
    "parcel": (
        "parcel-manifest.json",
        {"src/app.js": "/app.1f2e3d4c.js", "src/logo.png": "https://cdn.example/assets/logo.0a9b8c7d.png?as=webp"},
        {"app.1f2e3d4c.js", "assets/logo.0a9b8c7d.png"},
        set(),
    ),
    "names of people": (
        "manifest.json",
        {
            "index": "js/index-bundle.js",
            "app": "js/app-Legacy2.js",
            "main": "js/main-checkoutPage.js",
            "menu-A4Format.pdf": "menu-A4Format.pdf",
            "jquery": "js/jquery.min.js",
            "report": "report-FINAL.pdf",
        },
        set(),
        {
            *("js/index-bundle.js", "js/app-Legacy2.js", "js/main-checkoutPage.js", "menu-A4Format.pdf"),
            *("js/jquery.min.js", "report-FINAL.pdf"),
        },
    ),
    "a web application's manifest": (
        "manifest.json",
        {"name": "Shop", "icons": [{"src": "/icon-a1b2c3d4.png"}], "start_url": "/menu-a1b2c3d4.pdf"},
        set(),
        {"icon-a1b2c3d4.png", "menu-a1b2c3d4.pdf"},
    ),
    "webpack's own word": (
        "stats.json",
        {"assets": [{"name": "a.js", "info": {"immutable": True}}, {"name": "b.js", "info": {"immutable": "yes"}}]},
        {"a.js"},
        {"b.js"},
    ),
}


@pytest.mark.parametrize(("file", "manifest", "kept", "asked"), FORMS.values(), ids=FORMS.keys())
def test_manifests_of_other_bundlers(
    file: str, manifest: object, kept: set[str], asked: set[str], tmp_path: Path
) -> None:
    write_site(tmp_path, kept | asked, {file: manifest})

    assert list_kept(tmp_path) == kept


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "null", "[]", '{"outputs": 1, "assets": {}}', "\udcff", "1"])
def test_a_manifest_that_cannot_be_read_says_nothing(text: str, tmp_path: Path) -> None:
    write_site(tmp_path, ["assets/index-DsRgPrH5.js"], {})
    (tmp_path / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))

    assert list_kept(tmp_path) == set()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["a-1b2c3d4e.js", "../a-1b2c3d4e.js", "/etc/passwd", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "file", "name", "src", "css", "assets", "info", "outputs"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_whatever_a_manifest_holds_only_files_of_the_site_are_found(tmp_path_factory: Any, manifest: object) -> None:
    folder = tmp_path_factory.mktemp("site")
    (folder / "manifest.json").write_text(json.dumps(manifest))

    assert find_immutable(folder, ["manifest.json", "a-1b2c3d4e.js", "b.js"]) <= {"a-1b2c3d4e.js"}


def test_a_rule_of_the_manifest_wins_and_other_files_are_asked_for(tmp_path: Path) -> None:
    """Without a manifest of the bundler a team says it itself."""
    write_site(tmp_path, ["assets/index-DsRgPrH5.js", "assets/other-DsRgPrH6.js"], {})
    rule = HeaderRule("assets/index-*", cache_control=IMMUTABLE_CACHE_CONTROL)

    assert list_kept(tmp_path) == set()
    assert list_kept(tmp_path, SiteOptions(header_rules=(rule,))) == {"assets/index-DsRgPrH5.js"}
