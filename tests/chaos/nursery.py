"""Where workers are born: one process that has imported everything and forks a worker when asked.

A worker's imports take seconds of processor time; with thirty deaths a run would measure imports. Each worker is a
process of its own, whom SIGKILL takes like any other; the nursery has no threads and no runtime of Temporal's, so
that forking is safe. Lines of JSON on standard input and output:

    → {"log": "…/worker-a0.log", "environment": {…}}      ← {"born": 4711}     ← {"ended": 4711, "status": -9}

When standard input closes, or the harness dies, everybody ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import select
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from runtime.embedded.processes import leashed

ROOT: Final = Path(__file__).resolve().parents[2]
_POLL_SECONDS: Final = 0.03
_PR_SET_PDEATHSIG: Final = 1


class Child:
    """A worker process, as the crew handles it; the same few words as `asyncio.subprocess.Process`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def has_ended(self, status: int) -> None:
        self.returncode = status
        self._ended.set()


class Nursery:
    """The harness's side. `open` it first, `close` it last."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}
        self._born: asyncio.Queue[int] = asyncio.Queue()
        self._one_at_a_time = asyncio.Lock()

    async def open(self, log: Path, environment: Mapping[str, str]) -> None:
        with log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *leashed([sys.executable, "-m", "tests.chaos.nursery"], death_signal=signal.SIGKILL),
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
                cwd=ROOT,
                env=dict(environment),
            )
        self._listener = asyncio.create_task(self._listen())

    async def bear(self, log: Path, environment: Mapping[str, str]) -> Child:
        """A new worker with these environment variables, its output appended to `log`."""
        assert self._process.stdin is not None
        async with self._one_at_a_time:
            order = {"log": str(log), "environment": dict(environment)}
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            return self._children[await self._born.get()]

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._listener

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            news: dict[str, Any] = json.loads(line)
            if "born" in news:
                self._children[news["born"]] = Child(news["born"])
                self._born.put_nowait(news["born"])
            else:
                self._children[news["ended"]].has_ended(news["status"])
        for child in self._children.values():
            if child.returncode is None:
                child.has_ended(-signal.SIGKILL)


def main() -> None:
    """The nursery's own side: blocking and single-threaded on purpose."""
    from tests.chaos import worker  # noqa: PLC0415 - not in the harness, which needs none of it

    gc.freeze()  # what is there now is shared with every child
    alive: set[int] = set()
    pending = b""
    while True:
        readable, _, _ = select.select([0], [], [], _POLL_SECONDS)
        if readable:
            chunk = os.read(0, 65536)
            if not chunk:
                break
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                pid = _fork(json.loads(line), worker.main)
                alive.add(pid)
                _tell({"born": pid})
        while alive:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            alive.discard(pid)
            _tell({"ended": pid, "status": os.waitstatus_to_exitcode(status)})
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def _fork(order: dict[str, Any], work: Any) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        # The child dies with the nursery, as the nursery dies with the harness.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(status)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.setsid()
        os.environ.clear()
        os.environ.update(order["environment"])
        status = work()
    finally:
        sys.stderr.flush()
        os._exit(status)  # not back into the nursery's loop


def _tell(news: dict[str, Any]) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


if __name__ == "__main__":
    main()
