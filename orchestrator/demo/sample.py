"""The sample application, as a checkout of one of its versions: an API, a site, and the manifests of both."""

from __future__ import annotations

import hashlib
import tempfile
from importlib.resources import files
from pathlib import Path

from orchestrator.demo import image_assembly, python_runtime
from orchestrator.demo.image_assembly import Assembled

REGION, ACCOUNT = "eu-west-1", "123456789012"
REPOSITORY, FILES = "sample-api", "sample-files"
_API = ("Dockerfile", "main.py")
BUILT = f"repository: {REPOSITORY}, build: {{context: ../api}}"
_STARTED = ("/bin/python3", "-I", "-u", "/app/main.py")


def write(folder: Path, version: str, *, healthy: bool = True, prebuilt: str = "") -> Path:
    """Write version ``version`` to ``folder``, over an earlier one; the folder of its manifests.

    One that is not ``healthy`` starts and fails its health check.  With ``prebuilt``, a digest, there is nothing to
    build.  Raises Problems when this machine's Python cannot be put into an image.
    """
    said = _said(version, healthy=healthy)
    if not prebuilt:
        runtime = folder / "api" / "runtime"
        if not runtime.exists():
            python_runtime.copy(runtime)
        for name in _API:
            _put(folder / "api" / name, _text(f"api/{name}", said))
    site = folder / "web" / "dist"
    for old in (site / "assets").glob("*.js"):
        old.unlink()
    sale = _hashed(site, "sale", _text("web/sale.js", said))
    app = _hashed(site, "app", _text("web/app.js", {**said, "SALE": sale}))
    _put(site / "index.html", _text("web/index.html", {**said, "APP": app}))
    registry = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
    image = f'prebuilt: "{registry}/{REPOSITORY}@{prebuilt}"' if prebuilt else BUILT
    _put(folder / "manifests" / "shop.yaml", _text("shop.yaml", {**said, "IMAGE": image}))
    return folder / "manifests"


def image(version: str, runtime: bytes, *, healthy: bool = True) -> Assembled:
    """The API's image as its Dockerfile has it, put together without a builder; ``runtime`` is the layer of Python."""
    with tempfile.TemporaryDirectory() as folder:
        _put(Path(folder) / "main.py", _text("api/main.py", _said(version, healthy=healthy)))
        code = image_assembly.layer(Path(folder), "/app")
    return image_assembly.image([runtime, code], {"Cmd": _STARTED, "User": "1000:1000", "Env": ["PORT=8080"]})


def _said(version: str, *, healthy: bool) -> dict[str, str]:
    return {"VERSION": version, "HEALTH": "healthy" if healthy else "broken"}


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
