"""Runs one container's process and sees to it that it does not outlive the emulator.  Started as a file of its own.

What to run comes as one line of JSON on standard input, for it holds secrets: ``root`` (a folder), ``command``,
``environment``, ``folder`` (inside), ``user`` and ``group`` (numbers).  When standard input ends, for whatever reason,
the whole process group is killed.  The network is this machine's; files are the image's own.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
from typing import Any, NoReturn

NEW_MOUNTS, NEW_USERS = 0x00020000, 0x10000000
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
DIE_WITH_PARENT = 1
OF_THE_MACHINE = ("/dev", "/proc")
"""What programs expect of a machine and no image holds."""

libc = ctypes.CDLL(None, use_errno=True)


def main() -> int:
    """Run it; the exit status is the process's."""
    wanted = json.loads(sys.stdin.buffer.readline())
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        _become(wanted)
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([sys.stdin.fileno(), ended], [], [])
    if ended not in ready:
        os.killpg(0, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _become(wanted: dict[str, Any]) -> NoReturn:
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        _enter(wanted)
        libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)
        os.execvpe(wanted["command"][0], wanted["command"], wanted["environment"])  # noqa: S606 - what it is for
    except OSError as error:
        sys.stderr.write(f"cannot run {' '.join(wanted['command'])}: {error}\n")
        sys.stderr.flush()
    os._exit(127)


def _enter(wanted: dict[str, Any]) -> None:
    """Have the image's files for the root, as its user."""
    root, is_root = wanted["root"], os.geteuid() == 0
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(NEW_MOUNTS | (0 if is_root else NEW_USERS)) == 0:
        if not is_root:
            _map("/proc/self/setgroups", "deny")
            _map("/proc/self/uid_map", f"0 {user} 1")
            _map("/proc/self/gid_map", f"0 {group} 1")
        # Only where it stays among ourselves: the folder is emptied one day.
        alone = libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None) == 0
        for place in OF_THE_MACHINE if alone else ():
            os.makedirs(root + place, exist_ok=True)  # noqa: PTH103 - pathlib is not worth its import here
            libc.mount(place.encode(), (root + place).encode(), None, BIND | RECURSIVE, None)
    os.chroot(root)
    os.chdir(wanted["folder"])
    if is_root:
        os.setgroups([wanted["group"]])
        os.setgid(wanted["group"])
        os.setuid(wanted["user"])


def _map(file: str, text: str) -> None:
    with open(file, "w") as out:  # noqa: PTH123
        out.write(text)


if __name__ == "__main__":
    sys.exit(main())
