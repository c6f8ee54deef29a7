"""Which files may be kept for a year, and which names look as if they had a hash."""

from __future__ import annotations

import pytest

from orchestrator.artefacts.sites.http_headers import IMMUTABLE_CACHE_CONTROL, cache_control, is_entry

DOCUMENTED = [
    "_app/immutable/nodes/0.js",  # SvelteKit: https://svelte.dev/docs/kit/adapters ("_app/immutable")
    "_app/immutable/chunks/BxKzQwPt.js",
    "_astro/hero.CTXh.webp",
    "_nuxt/entry.js",
    "_next/static/chunks/turbopack-_1a2b.js",
    "_next/static/chunks/pages/index-0123456789abcdef.js",
]
HASHED = [
    "assets/index-BxKzQwPt.js",
    "assets/vendor-3f2a91bc.js",
    "static/js/main.3f2a91bc.chunk.js",
    "static/js/2.8e1f0c3d.chunk.js.map",
    "main.0a1b2c3d4e5f6071.js",
    "static/media/logo.5d5d9eefa31e5e13a6610d9fa7a283bb.svg",
    "assets/inter-D4k_x9Zq.woff2",
    "main-5XQ2KJ7A.js",
    "chunk-3QW7ZAB2.js",
]
NAMED = [
    "_nuxt/builds/latest.json",  # Nuxt's pointer to the newest build changes in place
    "_app/version.json",
    "img/menu-A4Format.pdf",  # eight characters with a digit and both cases, and edited in place
    "media/logo.5d5d9eef.svg",  # in doubt: a short hash in a file that people name, too
    "assets/photo-D4k_x9Zq.webp",
    "assets/P2-DtpuluyH.js",  # Vite's own, without a digit: served with a validator, never deleted by this guess
    "index.html",
    "about-3f2a91bc.html",
    "favicon.ico",
    "robots.txt",
    "sw.js",
    "manifest.webmanifest",
    "jquery.min.js",
    "service-worker.js",
    "assets/app-checkout.js",
    "assets/app-useBasket.js",
    "assets/index-DiwrgTda.css",
    "images/product-20240101.jpg.txt",
    "fonts/open-sans-regular.woff2",
    "3f2a91bc.js",
    "images/photo-gallery1.jpg",
    "images/hero-Chapter2.jpg",
    "css/theme-bootstrap5.css",
    "js/part-MyOwnApp.js",
    "js/part-HTMLView.js",
    "js/part-DOMUtils.js",
    "docs/report-facade12.txt",
    "docs/report-2024abcd.txt",
    "docs/scan-12345678.txt",
    "docs/README-CHAPTER2.txt",
]


@pytest.mark.parametrize("path", DOCUMENTED)
def test_folders_that_frameworks_document_are_kept_for_a_year(path: str) -> None:
    assert cache_control(path) == IMMUTABLE_CACHE_CONTROL
    assert not is_entry(path)


@pytest.mark.parametrize("path", HASHED)
def test_a_name_that_looks_hashed_is_kept_only_if_the_bundler_says_so(path: str) -> None:
    """The look decides the order of uploads, and nothing that a visitor would notice."""
    assert not is_entry(path)
    assert cache_control(path) == "no-cache"
    assert cache_control(path, {path}) == IMMUTABLE_CACHE_CONTROL


@pytest.mark.parametrize("path", NAMED)
def test_what_keeps_its_name_is_asked_for_again(path: str) -> None:
    assert is_entry(path)
    assert cache_control(path) == "no-cache"
