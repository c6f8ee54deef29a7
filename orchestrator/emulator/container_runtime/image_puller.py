"""Pull images from the emulated registry, by its own protocol, and unpack them into a folder."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.image_registry.distribution_api import encode_authorization_token
from orchestrator.emulator.service_base import EmulatorState

Dispatch = Callable[[Request], Response | None]

_IMAGE_NAME_PATTERN = re.compile(
    r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([^:@]+)(?:@(sha256:[0-9a-f]{64})|:(.+))?"
)
_MANIFEST_MEDIA_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.index.v1+json"
)
_WHITEOUT_PREFIX, _OPAQUE_WHITEOUT = ".wh.", ".wh..wh..opq"
_HOST_FILES = ("etc/resolv.conf", "etc/hosts")


class ImageError(Exception):
    """An image that cannot be pulled or unpacked; the message says why."""


@dataclass(frozen=True, slots=True)
class Image:
    """An unpacked image and how to start its process (``command`` is the whole command line)."""

    root: Path
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    working_dir: str
    user: int
    group: int


@dataclass(frozen=True, slots=True)
class ImagePuller:
    """Pulls images from the emulator's own registry, through ``dispatch``."""

    state: EmulatorState
    dispatch: Dispatch

    def unpack(self, name: str, root: Path) -> Image:
        """Pull ``ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@DIGEST`` (or ``:TAG``) into the folder ``root``.

        Raises ImageError.
        """
        name_match = _IMAGE_NAME_PATTERN.fullmatch(name)
        if name_match is None:
            raise ImageError(f"{name} is not in the emulator's registry")
        region, repository, digest, tag = name_match.groups()
        manifest = self._get_manifest(region, repository, digest or tag or "latest")
        config = json.loads(self._get(region, f"{repository}/blobs/{manifest['config']['digest']}"))
        root.mkdir(parents=True)
        for layer in manifest["layers"]:
            _apply_layer(
                self._get(region, f"{repository}/blobs/{layer['digest']}"), root, str(layer.get("mediaType", ""))
            )
        _copy_host_files(root)
        return _build_image(root, config.get("config") or {})

    def _get_manifest(self, region: str, repository: str, reference: str) -> Any:
        manifest = json.loads(self._get(region, f"{repository}/manifests/{reference}"))
        if "manifests" not in manifest:
            return manifest
        linux_digests = (
            platform_manifest["digest"]
            for platform_manifest in manifest["manifests"]
            if platform_manifest.get("platform", {}).get("os") == "linux"
        )
        linux_digest = next(linux_digests, None)
        if linux_digest is None:
            raise ImageError(f"{repository}:{reference} has no Linux image")
        return self._get_manifest(region, repository, linux_digest)

    def _get(self, region: str, path: str) -> bytes:
        headers = (
            ("Host", "127.0.0.1"),
            ("Authorization", f"Basic {encode_authorization_token(self.state, region)}"),
            ("Accept", _MANIFEST_MEDIA_TYPES if "/manifests/" in path else "*/*"),
        )
        response = self.dispatch(Request("GET", f"/v2/{path}", headers))
        if response is None or response.status != 200:
            status = response.status if response else "no response"
            raise ImageError(f"the registry returned {status} for {path}")
        return response.body


def _apply_layer(data: bytes, root: Path, media_type: str) -> None:
    """Unpack one layer over those below, after deleting what its whiteouts name."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as layer:
            members = layer.getmembers()
            for member in members:
                _apply_whiteout(member, root)
            regular_members = [member for member in members if not Path(member.name).name.startswith(_WHITEOUT_PREFIX)]
            layer.extractall(root, members=regular_members, numeric_owner=True, filter=_filter_member)  # noqa: S202
    except (tarfile.TarError, OSError) as error:
        raise ImageError(f"cannot unpack a layer ({media_type}): {error}") from None


def _filter_member(member: tarfile.TarInfo, destination: str) -> tarfile.TarInfo | None:
    """Drop devices and paths outside the folder; keep modes except the setuid and setgid bits."""
    if member.isdev():
        return None
    safe_member = tarfile.tar_filter(member, destination)
    return safe_member.replace(mode=member.mode & 0o1777, deep=False)


def _apply_whiteout(member: tarfile.TarInfo, root: Path) -> None:
    path = Path(member.name)
    if not path.name.startswith(_WHITEOUT_PREFIX):
        return
    folder = (root / str(path.parent).lstrip("/")).resolve()
    if not folder.is_relative_to(root.resolve()) or not folder.is_dir():
        return
    is_opaque = path.name == _OPAQUE_WHITEOUT
    for target in list(folder.iterdir()) if is_opaque else [folder / path.name.removeprefix(_WHITEOUT_PREFIX)]:
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)


def _copy_host_files(root: Path) -> None:
    """Copy the host's name resolution files into the root, as every container engine does."""
    for name in _HOST_FILES:
        host_file, image_file = Path("/") / name, root / name
        if host_file.is_file() and not image_file.is_symlink():
            image_file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(host_file, image_file)


def _build_image(root: Path, config: Mapping[str, Any]) -> Image:
    entrypoint = tuple(config.get("Entrypoint") or ())
    command = (*entrypoint, *(config.get("Cmd") or ()))
    variable_pairs = (variable.partition("=") for variable in config.get("Env") or ())
    environment = {name: value for name, _, value in variable_pairs}
    environment.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    user, group = _resolve_user(root, str(config.get("User") or "0"))
    working_dir = str(config.get("WorkingDir") or "/")
    (root / working_dir.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return Image(root, entrypoint, command, environment, working_dir, user, group)


def _resolve_user(root: Path, user_spec: str) -> tuple[int, int]:
    """Return the numbers of ``USER`` (``app``, ``app:staff``, ``1000``, ``1000:1000``) by the image's files."""
    user, _, group = user_spec.partition(":")
    passwd_entries = _read_table(root / "etc/passwd")
    passwd_entry = next((row for row in passwd_entries if user in (row[0], row[2])), None)
    if passwd_entry is None and not user.isdigit():
        raise ImageError(f"the image has no user {user}")
    uid, primary_gid = (int(passwd_entry[2]), int(passwd_entry[3])) if passwd_entry else (int(user), 0)
    if not group:
        return uid, primary_gid
    group_rows = (row for row in _read_table(root / "etc/group") if group in (row[0], row[2]))
    group_row = next(group_rows, None)
    if group_row is None and not group.isdigit():
        raise ImageError(f"the image has no group {group}")
    return uid, int(group_row[2] if group_row else group)


def _read_table(file: Path) -> list[list[str]]:
    if file.is_symlink() or not file.is_file():
        return []
    rows = (line.split(":") for line in file.read_text(errors="replace").splitlines())
    return [row for row in rows if len(row) > 3 and row[2].isdigit()]
