"""Images of the emulated registry, pulled by its own protocol and unpacked into a folder."""

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
from orchestrator.emulator.image_registry.registry import login
from orchestrator.emulator.service_base import World

Ask = Callable[[Request], Response | None]

_NAME = re.compile(r"\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([^:@]+)(?:@(sha256:[0-9a-f]{64})|:(.+))?")
_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.index.v1+json"
)
_GONE, _ALL_GONE = ".wh.", ".wh..wh..opq"
_OF_THE_MACHINE = ("etc/resolv.conf", "etc/hosts")


class ImageError(Exception):
    """An image that cannot be pulled or unpacked; the message says why."""


@dataclass(frozen=True, slots=True)
class Image:
    """What is known of an image once it lies in a folder: how its process is started (``command`` is all of it)."""

    root: Path
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str
    user: int
    group: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where an image is pulled from: the emulator's own registry, through ``ask``."""

    world: World
    ask: Ask

    def unpack(self, name: str, root: Path) -> Image:
        """Pull ``ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@DIGEST`` (or ``:TAG``) into the folder ``root``.

        Raises ImageError.
        """
        found = _NAME.fullmatch(name)
        if found is None:
            raise ImageError(f"{name} is in no registry of this emulator")
        region, repository, digest, tag = found.groups()
        manifest = self._manifest(region, repository, digest or tag or "latest")
        config = json.loads(self._get(region, f"{repository}/blobs/{manifest['config']['digest']}"))
        root.mkdir(parents=True)
        for layer in manifest["layers"]:
            _lay(self._get(region, f"{repository}/blobs/{layer['digest']}"), root, str(layer.get("mediaType", "")))
        _borrow(root)
        return _described(root, config.get("config") or {})

    def _manifest(self, region: str, repository: str, reference: str) -> Any:
        found = json.loads(self._get(region, f"{repository}/manifests/{reference}"))
        if "manifests" not in found:
            return found
        fitting = (each["digest"] for each in found["manifests"] if each.get("platform", {}).get("os") == "linux")
        chosen = next(fitting, None)
        if chosen is None:
            raise ImageError(f"{repository}:{reference} has no image for linux")
        return self._manifest(region, repository, chosen)

    def _get(self, region: str, path: str) -> bytes:
        headers = (
            ("Host", "127.0.0.1"),
            ("Authorization", f"Basic {login(self.world, region)}"),
            ("Accept", _MANIFESTS if "/manifests/" in path else "*/*"),
        )
        answer = self.ask(Request("GET", f"/v2/{path}", headers))
        if answer is None or answer.status != 200:
            status = answer.status if answer else "nothing"
            raise ImageError(f"the registry answered {status} for {path}")
        return answer.body


def _lay(data: bytes, root: Path, kind: str) -> None:
    """One layer over those below: what it says is gone goes first."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as layer:
            members = layer.getmembers()
            for each in members:
                _remove(each, root)
            kept = [each for each in members if not Path(each.name).name.startswith(_GONE)]
            layer.extractall(root, members=kept, numeric_owner=True, filter=_allowed)  # noqa: S202
    except (tarfile.TarError, OSError) as error:
        raise ImageError(f"a layer {kind} cannot be unpacked: {error}") from None


def _allowed(member: tarfile.TarInfo, place: str) -> tarfile.TarInfo | None:
    """Nothing outside the folder, no devices; modes as they are, but for the bits that change who one is."""
    if member.isdev():
        return None
    safe = tarfile.tar_filter(member, place)
    return safe.replace(mode=member.mode & 0o1777, deep=False)


def _remove(member: tarfile.TarInfo, root: Path) -> None:
    path = Path(member.name)
    if not path.name.startswith(_GONE):
        return
    folder = (root / str(path.parent).lstrip("/")).resolve()
    if not folder.is_relative_to(root.resolve()) or not folder.is_dir():
        return
    whole = path.name == _ALL_GONE
    for each in list(folder.iterdir()) if whole else [folder / path.name.removeprefix(_GONE)]:
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink(missing_ok=True)


def _borrow(root: Path) -> None:
    """How names are resolved is the machine's affair, as with every container engine."""
    for name in _OF_THE_MACHINE:
        ours, theirs = Path("/") / name, root / name
        if ours.is_file() and not theirs.is_symlink():
            theirs.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ours, theirs)


def _described(root: Path, config: Mapping[str, Any]) -> Image:
    entrypoint = tuple(config.get("Entrypoint") or ())
    command = (*entrypoint, *(config.get("Cmd") or ()))
    pairs = (each.partition("=") for each in config.get("Env") or ())
    environment = {name: value for name, _, value in pairs}
    environment.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    user, group = _identity(root, str(config.get("User") or "0"))
    folder = str(config.get("WorkingDir") or "/")
    (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return Image(root, entrypoint, command, environment, folder, user, group)


def _identity(root: Path, said: str) -> tuple[int, int]:
    """The numbers of ``USER``: ``app``, ``app:staff``, ``1000`` or ``1000:1000``, by the image's own files."""
    user, _, group = said.partition(":")
    entries = _table(root / "etc/passwd")
    entry = next((each for each in entries if user in (each[0], each[2])), None)
    if entry is None and not user.isdigit():
        raise ImageError(f"the image has no user {user}")
    number, own = (int(entry[2]), int(entry[3])) if entry else (int(user), 0)
    if not group:
        return number, own
    groups = (each for each in _table(root / "etc/group") if group in (each[0], each[2]))
    found = next(groups, None)
    if found is None and not group.isdigit():
        raise ImageError(f"the image has no group {group}")
    return number, int(found[2] if found else group)


def _table(file: Path) -> list[list[str]]:
    if file.is_symlink() or not file.is_file():
        return []
    rows = (line.split(":") for line in file.read_text(errors="replace").splitlines())
    return [row for row in rows if len(row) > 3 and row[2].isdigit()]
