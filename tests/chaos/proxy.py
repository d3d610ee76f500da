"""A small TCP proxy that misbehaves when told to: one stands between every process and every server.

`latency` delays what passes, `reset` answers with RST, `black_hole` holds everything back until healed (as lost
packets that are sent again: a request may arrive long after its sender gave up), `half_open` lets requests through
and swallows the answers; such a connection cannot live on, so healing breaks it. Every connection that a fault
touched is counted, once per fault: a fault that met no traffic did not happen.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter
from typing import Final, Literal

from runtime.embedded.ports import LOOPBACK

Fault = Literal["latency", "reset", "black_hole", "half_open"]
FAULTS: Final[tuple[Fault, ...]] = ("latency", "reset", "black_hole", "half_open")

_CHUNK_BYTES: Final = 64 * 1024
_RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on a free port of loopback and passes everything on to `target_port`, or does not.

    Args:
        target_port: of the real server, on loopback; it may be down for a while.
        touched: counts the connections that a fault met, by the fault's name.
    """

    def __init__(self, target_port: int, touched: Counter[str]) -> None:
        self._target_port = target_port
        self._touched = touched
        self._fault: Fault | None = None
        self._latency_s = 0.0
        self._healed = asyncio.Event()
        self._healed.set()
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for pair in list(self._pairs):
            pair.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def strike(self, fault: Fault, *, latency_s: float = 0.2) -> None:
        """Misbehave from now on, also towards connections that are open already."""
        self.heal()
        self._fault, self._latency_s = fault, latency_s
        if fault == "reset":
            for pair in list(self._pairs):
                self._touch(pair)
                pair.reset()
        elif fault == "black_hole":
            self._healed.clear()

    def heal(self) -> None:
        """Behave; what was held back goes on its way, what was torn is broken for good."""
        self._fault = None
        self._healed.set()
        for pair in list(self._pairs):
            pair.touched = False
            if pair.is_torn:
                pair.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            _reset(writer)  # the target is down, or the run is over
        finally:
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault == "reset":
            self._touched["reset"] += 1
            _reset(writer)
            return
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self._target_port)
        pair = _Pair(writer, far_writer)
        self._pairs.add(pair)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(pair, reader, far_writer, is_answer=False))
                both.create_task(self._pump(pair, far_reader, writer, is_answer=True))
        except* OSError:
            pair.reset()
        finally:
            self._pairs.discard(pair)

    async def _pump(
        self, pair: _Pair, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        while chunk := await source.read(_CHUNK_BYTES):
            if self._fault is not None:
                self._touch(pair)
            if self._fault == "latency":
                await asyncio.sleep(self._latency_s)
            await self._healed.wait()
            if self._fault == "half_open" and is_answer:
                pair.is_torn = True
                continue
            sink.write(chunk)
            await sink.drain()
        with contextlib.suppress(OSError):
            sink.close()

    def _touch(self, pair: _Pair) -> None:
        if not pair.touched and self._fault is not None:
            pair.touched = True
            self._touched[self._fault] += 1


class _Pair:
    """The two halves of one connection."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._near, self._far = near, far
        self.touched = False
        self.is_torn = False

    def reset(self) -> None:
        _reset(self._near)
        _reset(self._far)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a crashed host or a stateful firewall does."""
    raw = writer.get_extra_info("socket")
    if raw is not None and not writer.is_closing():
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
    writer.transport.abort()
