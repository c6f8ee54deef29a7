"""Write a registry login to a private temporary folder, so that it never appears on a command line.

The file is Docker's ``config.json``, which buildah and podman read too (``--authfile``). Settings of the user's own
file are copied, except a credential store, which would take precedence over this file.
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

CONFIG_FILE = "config.json"


@contextmanager
def temporary_login(host: str, user: str, password: str) -> Iterator[Path]:
    """Yield a private folder whose ``config.json`` logs in to ``host``; it is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as name:
        folder = Path(name)
        user_config = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        _link_user_config(user_config, folder)
        auth = mask(base64.b64encode(f"{user}:{mask(password)}".encode()).decode())
        descriptor = os.open(folder / CONFIG_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(_add_auth(_read_config(user_config / CONFIG_FILE), host, auth), file)
        yield folder


def _add_auth(settings: Mapping[str, Any], host: str, auth: str) -> dict[str, Any]:
    merged = {key: value for key, value in settings.items() if key != "credsStore"}
    credential_helpers = {key: value for key, value in (merged.pop("credHelpers", None) or {}).items() if key != host}
    auths = {**(merged.pop("auths", None) or {}), host: {"auth": auth}}
    return {**merged, "auths": auths, **({"credHelpers": credential_helpers} if credential_helpers else {})}


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _link_user_config(user_config: Path, folder: Path) -> None:
    """Link docker's contexts, builders and plugins into ``folder``."""
    with suppress(OSError):
        for entry in user_config.iterdir():
            if entry.name != CONFIG_FILE:
                (folder / entry.name).symlink_to(entry.resolve())
