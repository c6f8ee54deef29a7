"""The sample application, as a checkout of one of its versions: an API, a site, and the manifests of both."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

from orchestrator.cli import interpreter

_API = ("Dockerfile", "main.py")


def write(folder: Path, version: str, *, healthy: bool = True) -> Path:
    """Write version ``version`` to ``folder``, over an earlier one; the folder of its manifests.

    One that is not ``healthy`` starts and fails its health check.  Raises Problems when this machine's Python cannot
    be put into an image.
    """
    runtime = folder / "api" / "runtime"
    if not runtime.exists():
        interpreter.copy(runtime)
    said = {"VERSION": version, "HEALTH": "healthy" if healthy else "broken"}
    for name in _API:
        _put(folder / "api" / name, _text(f"api/{name}", said))
    site = folder / "web" / "dist"
    for old in (site / "assets").glob("*.js"):
        old.unlink()
    sale = _hashed(site, "sale", _text("web/sale.js", said))
    app = _hashed(site, "app", _text("web/app.js", {**said, "SALE": sale}))
    _put(site / "index.html", _text("web/index.html", {**said, "APP": app}))
    _put(folder / "manifests" / "shop.yaml", _text("shop.yaml", said))
    return folder / "manifests"


def _hashed(site: Path, name: str, text: str) -> str:
    """Write a script under a name that holds its hash; the hash."""
    found = hashlib.sha256(text.encode()).hexdigest()[:8]
    _put(site / "assets" / f"{name}-{found}.js", text)
    return found


def _text(name: str, said: dict[str, str]) -> str:
    text = files("orchestrator.templates").joinpath("sample", name).read_text(encoding="utf-8")
    for word, value in said.items():
        text = text.replace(f"@{word}@", value)
    return text


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
