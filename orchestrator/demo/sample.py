"""Write a checkout of one version of the sample application: an API, a site, and their manifests."""

from __future__ import annotations

import hashlib
import tempfile
from importlib.resources import files
from pathlib import Path

from orchestrator.demo import image_assembly, python_runtime
from orchestrator.demo.image_assembly import OciImage

REGION, ACCOUNT = "eu-west-1", "123456789012"
REPOSITORY_NAME, BUCKET_NAME = "sample-api", "sample-files"
_API_FILES = ("Dockerfile", "main.py")
BUILD_FIELDS = f"repository: {REPOSITORY_NAME}, build: {{context: ../api}}"
_START_COMMAND = ("/bin/python3", "-I", "-u", "/app/main.py")


def write_checkout(folder: Path, version: str, *, healthy: bool = True, prebuilt: str = "") -> Path:
    """Write ``version`` to ``folder``, replacing an earlier one, and return the folder of its manifests.

    A version that is not ``healthy`` starts and fails its health check.  ``prebuilt`` is the digest of an image that is
    used instead of building one.  Raises Problems if the Python of this machine cannot be copied into an image.
    """
    template_values = _template_values(version, healthy=healthy)
    if not prebuilt:
        runtime = folder / "api" / "runtime"
        if not runtime.exists():
            python_runtime.copy_python(runtime)
        for name in _API_FILES:
            _write_file(folder / "api" / name, _render_template(f"api/{name}", template_values))
    site = folder / "web" / "dist"
    for old_script in (site / "assets").glob("*.js"):
        old_script.unlink()
    sale_hash = _write_hashed_script(site, "sale", _render_template("web/sale.js", template_values))
    app_hash = _write_hashed_script(site, "app", _render_template("web/app.js", {**template_values, "SALE": sale_hash}))
    _write_file(site / "index.html", _render_template("web/index.html", {**template_values, "APP": app_hash}))
    registry = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
    image = f'prebuilt: "{registry}/{REPOSITORY_NAME}@{prebuilt}"' if prebuilt else BUILD_FIELDS
    _write_file(folder / "manifests" / "shop.yaml", _render_template("shop.yaml", {**template_values, "IMAGE": image}))
    return folder / "manifests"


def build_image(version: str, runtime: bytes, *, healthy: bool = True) -> OciImage:
    """Return the API's image, assembled like its Dockerfile; ``runtime`` is the layer with Python."""
    with tempfile.TemporaryDirectory() as folder:
        _write_file(
            Path(folder) / "main.py", _render_template("api/main.py", _template_values(version, healthy=healthy))
        )
        code_layer = image_assembly.build_layer(Path(folder), "/app")
    return image_assembly.build_image(
        [runtime, code_layer], {"Cmd": _START_COMMAND, "User": "1000:1000", "Env": ["PORT=8080"]}
    )


def _template_values(version: str, *, healthy: bool) -> dict[str, str]:
    return {"VERSION": version, "HEALTH": "healthy" if healthy else "broken"}


def _write_hashed_script(site: Path, name: str, text: str) -> str:
    """Write a script under a name with its content hash, and return the hash."""
    content_hash = hashlib.sha256(text.encode()).hexdigest()[:8]
    _write_file(site / "assets" / f"{name}-{content_hash}.js", text)
    return content_hash


def _render_template(name: str, template_values: dict[str, str]) -> str:
    text = files("orchestrator.templates").joinpath("sample", name).read_text(encoding="utf-8")
    for placeholder, value in template_values.items():
        text = text.replace(f"@{placeholder}@", value)
    return text


def _write_file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
