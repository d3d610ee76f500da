"""Runs a command that dies with its parent: `python -I -S leash.py SIGNAL PARENT USER COMMAND…`.

On Linux the kernel sends SIGNAL to the command when PARENT is gone (PR_SET_PDEATHSIG), also when it was
killed with SIGKILL and could not stop anything itself. USER is `uid:gid` to become first, or `-`: Postgres
refuses to run as root. The setting does not survive a change of user, so it comes after; it survives exec,
so the command needs no wrapper at run time. Runs as a small process of its own because code between fork
and exec of a process with threads may deadlock. Uses the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    signal_number, parent, user, *command = sys.argv[1:]
    if user != "-":
        uid, gid = (int(part) for part in user.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != int(parent):
        sys.exit(1)  # the parent died before the kernel was asked to tell us
    os.execv(command[0], command)  # noqa: S606 - the command is our own stack's, given as a list


if __name__ == "__main__":
    main()
