"""Start a sandbox process from code and stop it again: for tests, benchmarks and `teiki up`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that answers at `base_url`. It stops by itself when this process ends, however it ends."""

    base_url: str
    port: int
    process: Process

    async def stop(self) -> int:
        """Ask it to stop and wait; returns its exit code. Does nothing to one that has stopped already."""
        if self.process.returncode is None:
            self.process.terminate()
        return await self._ended()

    async def kill(self) -> int:
        """SIGKILL, as a power cut would: nothing is flushed, nothing is said goodbye to."""
        if self.process.returncode is None:
            self.process.kill()
        return await self._ended()

    async def _ended(self) -> int:
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            return await asyncio.wait_for(self.process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()


async def start_sandbox(
    database: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    idempotency: str | None = None,
    key_ttl_seconds: float | None = None,
    seed: int = 0,
) -> RunningSandbox:
    """Start `python -m gateways.sandbox` and wait until it answers.

    Args:
        database: its own SQLite file, made when missing, or `:memory:`.
        host: where it listens.
        port: 0 lets the server take a free one.
        idempotency: `strict`, `best_effort:<probability>` or `off`; None keeps what the file remembers.
        key_ttl_seconds: how long keys are remembered; None keeps what the file remembers (a day at first).
        seed: of every random decision.

    Raises:
        RuntimeError: it ended before it was ready (its standard error says why), or took too long.
    """
    arguments = ["--database", database, "--host", host, "--port", str(port), "--seed", str(seed)]
    if idempotency is not None:
        arguments += ["--idempotency", idempotency]
    if key_ttl_seconds is not None:
        arguments += ["--key-ttl-seconds", str(key_ttl_seconds)]
    search_path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateways.sandbox",
        *arguments,
        "--stop-with-stdin",
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": search_path},
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        chosen = int(json.loads(line)["port"])
    except (TimeoutError, ValueError) as error:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise RuntimeError("The sandbox did not start; its standard error says why.") from error
    return RunningSandbox(base_url=f"http://{host}:{chosen}", port=chosen, process=process)
