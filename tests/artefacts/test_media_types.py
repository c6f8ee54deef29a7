"""Media types, against registries that others keep: Python's own table and what browsers need."""

from __future__ import annotations

import mimetypes
from pathlib import Path

import pytest

from orchestrator.artefacts.sites import media_types
from orchestrator.artefacts.sites.folder import scan
from orchestrator.artefacts.sites.site_options import HeaderRule, SiteOptions, from_spec

UNSERVED = frozenset(
    {".a", ".ass", ".h5", ".ksh", ".loas", ".nws", ".o", ".pict", ".ppa", ".pwz", ".py", ".pyc", ".pyo"}
)
"""What Python's table has, and neither IANA nor a web server."""
PEOPLE_DEPLOY = """
rss application/rss+xml; atom application/atom+xml; ics text/calendar; geojson application/geo+json
jsonld application/ld+json; glb model/gltf-binary; m3u8 application/vnd.apple.mpegurl; yaml text/yaml
xhtml application/xhtml+xml; wav audio/wav; m4a audio/mp4; mov video/quicktime; ogg audio/ogg; cjs text/javascript
mjs text/javascript; js text/javascript; eot application/vnd.ms-fontobject; wasm application/wasm; jxl image/jxl
apk application/vnd.android.package-archive; tflite application/octet-stream; avif image/avif; heic image/heic
webmanifest application/manifest+json; svg image/svg+xml
html text/html; csv text/csv; vtt text/vtt; epub application/epub+zip
dll application/octet-stream; pdb application/octet-stream; blat application/octet-stream; dat application/octet-stream
woff2 font/woff2; map application/json; ico image/x-icon; pdf application/pdf; onnx application/octet-stream
"""


@pytest.mark.parametrize(
    "entry", [item.strip() for line in PEOPLE_DEPLOY.strip().splitlines() for item in line.split(";")]
)
def test_what_people_deploy_has_its_type(entry: str) -> None:
    extension, media_type = entry.split()
    found = media_types.find(f"a/File.{extension.upper()}")
    assert found is not None
    assert found.partition(";")[0] == media_type


def test_everything_that_python_knows_is_known() -> None:
    """The standard library's table, without the machine's: no extension is missing, and few are named otherwise."""
    table = mimetypes.MimeTypes(()).types_map[True]
    differing = {
        extension: (theirs, ours)
        for extension, theirs in table.items()
        if (ours := (media_types.find(f"x{extension}") or "").partition(";")[0]) != theirs
    }
    assert len(table) > 140
    missing = {extension for extension, (_, ours) in differing.items() if not ours}
    assert missing <= UNSERVED | {".3gpp2", ".mpa", ".wiz", ".xlb", ".xpdl"}
    assert len(differing) < len(table) / 3, differing


@pytest.mark.parametrize(
    ("path", "served"),
    [
        (".well-known/apple-app-site-association", "application/json; charset=utf-8"),
        ("LICENSE", "text/plain; charset=utf-8"),
        ("CNAME", "text/plain; charset=utf-8"),
        ("docs/README", "text/plain; charset=utf-8"),
        ("index.html", "text/html; charset=utf-8"),
        ("feed.rss", "application/rss+xml; charset=utf-8"),
        ("logo.png", "image/png"),
        ("data.unheard-of", None),
        ("data", None),
        (".html", None),
    ],
)
def test_texts_have_a_charset_and_nothing_is_guessed(path: str, served: str | None) -> None:
    assert media_types.find(path) == served


def test_rules_of_the_manifest_win_in_their_order(tmp_path: Path) -> None:
    for name in ("index.html", "a/menu.pdf", "model.bin2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    options = from_spec(
        {
            "prefix": "/admin",
            "headers": [
                {"pattern": "*", "set": {"X-Robots-Tag": "noindex"}},
                {"pattern": "a/*.pdf", "cacheControl": "max-age=60", "set": {"X-Robots-Tag": "all"}},
                {"pattern": "/model.*", "contentType": "application/x-model"},
            ],
        }
    )
    site = scan(tmp_path, options)

    assert site.prefix == "admin/"
    menu, model = site.files["admin/a/menu.pdf"], site.files["admin/model.bin2"]
    assert (menu.cache_control, dict(menu.headers)) == ("max-age=60", {"X-Robots-Tag": "all"})
    assert (model.content_type, model.cache_control) == ("application/x-model", "no-cache")
    assert site.digest != scan(tmp_path, SiteOptions("admin/")).digest
    assert not HeaderRule("a?c").matches("a/b/c")
