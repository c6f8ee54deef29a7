"""A registry's login in a private folder that only lives while it is used; never on a command line.

The file is Docker's ``config.json``, which buildah and podman read too (``--authfile``).  What the user's own file says
is taken over, but for a credential store: it would be asked instead of this file.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from orchestrator.redaction.github_masks import mask

CONFIG = "config.json"


@contextmanager
def private(host: str, user: str, password: str) -> Iterator[Path]:
    """A folder, readable by us alone, whose ``config.json`` logs in to ``host``; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as name:
        folder = Path(name)
        own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        _take_over(own, folder)
        login = mask(base64.b64encode(f"{user}:{mask(password)}".encode()).decode())
        descriptor = os.open(folder / CONFIG, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(_with(_read(own / CONFIG), host, login), file)
        yield folder


def _with(settings: Mapping[str, Any], host: str, login: str) -> dict[str, Any]:
    known = {key: value for key, value in settings.items() if key != "credsStore"}
    stores = {key: value for key, value in (known.pop("credHelpers", None) or {}).items() if key != host}
    logins = {**(known.pop("auths", None) or {}), host: {"auth": login}}
    return {**known, "auths": logins, **({"credHelpers": stores} if stores else {})}


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _take_over(own: Path, folder: Path) -> None:
    """Contexts, builders and plugins of docker stay where they are; links lead there."""
    with suppress(OSError):
        for entry in own.iterdir():
            if entry.name != CONFIG:
                (folder / entry.name).symlink_to(entry.resolve())
