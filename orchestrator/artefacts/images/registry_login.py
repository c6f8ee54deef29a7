"""Find the logins to registries that docker and podman keep, and write those of a build to a private temporary folder.

The file is Docker's ``config.json``, which buildah and podman read too (``--authfile``), so that no password appears on
a command line. Settings of the user's own file are copied, except a credential store, which would take precedence over
this file. Credential helpers are asked here, with our own environment: a build has no credentials that they could use.
Source: docker/docker-credential-helpers, containers-auth.json(5).
"""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from orchestrator import shell
from orchestrator.problems import Problems
from orchestrator.redaction.github_masks import mask

CONFIG_FILE = "config.json"
DOCKER_HUB_NAMES = ("https://index.docker.io/v1/", "docker.io", "index.docker.io")
"""Names under which logins to Docker Hub are kept; it is queried as ``registry-1.docker.io``."""
HELPER_TIMEOUT_SECONDS = 30.0
TOKEN_USER = "<token>"  # noqa: S105 - how a helper says that it gives a token for a token
Credentials = tuple[str, str]


def find_login(host: str, repository: str = "") -> Credentials | None:
    """Return user and password that docker or podman keep for a registry, or None.

    A login may be for a part of a registry (``host/team``): the most precise one for ``repository`` is returned.
    """
    for config in map(_read_config, _list_config_files()):
        for name in _list_names(host, repository):
            if login := _read_login(config, name):
                return login
    return None


def _list_config_files() -> list[Path]:
    own_file = os.environ.get("REGISTRY_AUTH_FILE")
    runtime_folder = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    config_folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    files = [Path(folder, "containers", "auth.json") for folder in (runtime_folder, config_folder)]
    return [*([Path(own_file)] if own_file else []), _docker_folder() / CONFIG_FILE, *files]


def _docker_folder() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _list_names(host: str, repository: str) -> list[str]:
    parts = repository.split("/") if repository else []
    scopes = ["/".join([host, *parts[:count]]) for count in range(len(parts), 0, -1)]
    hub_names = DOCKER_HUB_NAMES if host == "registry-1.docker.io" else ()
    return [*scopes, host, f"https://{host}", *hub_names]


def _read_login(config: Mapping[str, Any], name: str) -> Credentials | None:
    helper = (config.get("credHelpers") or {}).get(name) or config.get("credsStore")
    if helper and (login := _ask_helper(str(helper), name)):
        return login
    entry = (config.get("auths") or {}).get(name) or {}
    try:
        user, separator, password = base64.b64decode(entry.get("auth") or "").decode().partition(":")
    except (AttributeError, TypeError, ValueError):
        return None
    return (user, mask(password)) if separator and password else None


def _ask_helper(helper: str, name: str) -> Credentials | None:
    """Return the login that a credential helper gives, or None if it has none or is not installed."""
    if not re.fullmatch(r"[\w.-]+", helper):
        return None
    try:
        result = shell.run([f"docker-credential-{helper}", "get"], stdin=name, timeout=HELPER_TIMEOUT_SECONDS)
        answer = json.loads(result.output) if result.exit_code == 0 else {}
        user, password = str(answer["Username"]), str(answer["Secret"])
    except (Problems, ValueError, KeyError, TypeError):
        return None
    return (user, mask(password)) if user != TOKEN_USER else None


@contextmanager
def temporary_login(logins: Mapping[str, Credentials]) -> Iterator[Path]:
    """Yield a private folder whose ``config.json`` has user and password by registry; it is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="orchestrator-") as name:
        folder = Path(name)
        user_config = _docker_folder()
        _link_user_config(user_config, folder)
        descriptor = os.open(folder / CONFIG_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(_add_auths(_read_config(user_config / CONFIG_FILE), logins), file)
        yield folder


def find_logins(hosts: Iterable[tuple[str, str]]) -> dict[str, Credentials]:
    """Return the logins to the registries of (host, repository), for builders that find none themselves."""
    logins = {host: find_login(host, repository) for host, repository in hosts}
    hub_login = logins.pop("registry-1.docker.io", None)
    return {host: login for host, login in {**logins, DOCKER_HUB_NAMES[0]: hub_login}.items() if login is not None}


def _add_auths(settings: Mapping[str, Any], logins: Mapping[str, Credentials]) -> dict[str, Any]:
    merged = {key: value for key, value in settings.items() if key != "credsStore"}
    helpers = merged.pop("credHelpers", None) or {}
    credential_helpers = {key: value for key, value in helpers.items() if key not in logins}
    added = {
        host: {"auth": mask(base64.b64encode(f"{user}:{mask(password)}".encode()).decode())}
        for host, (user, password) in logins.items()
    }
    auths = {**(merged.pop("auths", None) or {}), **added}
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
