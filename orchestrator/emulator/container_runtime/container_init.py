"""Run one container's process and kill it when the emulator ends. Started as a script of its own.

The specification is one line of JSON on standard input, because it holds secrets: ``root`` (a folder), ``command``,
``environment``, ``folder`` (inside the root), ``user`` and ``group`` (numbers). When standard input ends, for whatever
reason, the whole process group is killed. The network is the host's; the files are the image's own.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
HOST_MOUNTS = ("/dev", "/proc")
"""Paths that programs expect on a machine and that no image contains."""

libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Run the process and return its exit status."""
    process_spec = json.loads(sys.stdin.buffer.readline())
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        _exec_process(process_spec)
    child_pidfd = os.pidfd_open(child)
    ready, _, _ = select.select([sys.stdin.fileno(), child_pidfd], [], [])
    if child_pidfd not in ready:
        os.killpg(0, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _exec_process(process_spec: dict[str, Any]) -> NoReturn:
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        _enter_root(process_spec)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.execvpe(process_spec["command"][0], process_spec["command"], process_spec["environment"])  # noqa: S606 - its purpose
    except OSError as error:
        sys.stderr.write(f"cannot run {' '.join(process_spec['command'])}: {error}\n")
        sys.stderr.flush()
    os._exit(127)


def _enter_root(process_spec: dict[str, Any]) -> None:
    """Make the image's files the root directory and become its user."""
    root, is_root = process_spec["root"], os.geteuid() == 0
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNS | (0 if is_root else CLONE_NEWUSER)) == 0:
        if not is_root:
            _write_file("/proc/self/setgroups", "deny")
            _write_file("/proc/self/uid_map", f"0 {user} 1")
            _write_file("/proc/self/gid_map", f"0 {group} 1")
        # Mount in a private namespace only: deleting the folder later must not delete the host's files.
        is_private_mount = libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
        for mount_point in HOST_MOUNTS if is_private_mount else ():
            os.makedirs(root + mount_point, exist_ok=True)  # noqa: PTH103 - pathlib is not worth its import here
            libc.mount(mount_point.encode(), (root + mount_point).encode(), None, MS_BIND | MS_REC, None)
    os.chroot(root)
    os.chdir(process_spec["folder"])
    if is_root:
        os.setgroups([process_spec["group"]])
        os.setgid(process_spec["group"])
        os.setuid(process_spec["user"])


def _write_file(file: str, text: str) -> None:
    with open(file, "w") as out:  # noqa: PTH123
        out.write(text)


if __name__ == "__main__":
    sys.exit(main())
