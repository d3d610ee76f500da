"""The misbehaving proxy does what its faults are called, counts whom they met, and behaves again when healed."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.chaos.proxy import FAULTS, Proxy

_SOON_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0


class Line:
    """An echo server behind a proxy, and one open connection through it."""

    def __init__(self) -> None:
        self.touched: Counter[str] = Counter()
        self.arrived: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def open(self) -> None:
        self.server = await asyncio.start_server(self._echo, "127.0.0.1", 0)
        self.proxy = Proxy(self.server.sockets[0].getsockname()[1], self.touched)
        await self.proxy.start()
        await self.connect()

    async def connect(self) -> None:
        if hasattr(self, "writer"):
            self.writer.close()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        self.writers.append(self.writer)

    async def ask(self, word: bytes, *, within_s: float = _PATIENCE_SECONDS) -> bytes:
        self.writer.write(word)
        await self.writer.drain()
        async with asyncio.timeout(within_s):
            return await self.reader.read(100)

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionResetError):
            while chunk := await reader.read(100):
                self.arrived.append(chunk)
                writer.write(chunk)
        writer.close()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    line = Line()
    await line.open()
    yield line
    for writer in line.writers:
        writer.transport.abort()
    await line.proxy.stop()
    line.server.close()


async def test_a_clean_proxy_passes_everything_on_and_counts_nothing(line):
    assert await line.ask(b"one") == b"one"
    assert line.touched == {}


async def test_latency_delays_and_loses_nothing(line):
    line.proxy.strike("latency", latency_s=0.05)
    begun = asyncio.get_running_loop().time()
    assert await line.ask(b"one") == b"one"
    assert asyncio.get_running_loop().time() - begun >= 0.1
    assert line.touched == {"latency": 1}


async def test_reset_breaks_open_connections_and_refuses_new_ones(line):
    assert await line.ask(b"one") == b"one"
    line.proxy.strike("reset")
    with pytest.raises(ConnectionResetError):
        assert await line.reader.read(10) != b""
    await line.connect()
    with pytest.raises(ConnectionResetError):
        assert await line.reader.read(10) != b""
    assert line.touched == {"reset": 2}


async def test_a_black_hole_holds_back_and_delivers_late(line):
    assert await line.ask(b"one") == b"one"
    line.proxy.strike("black_hole")
    with pytest.raises(TimeoutError):
        await line.ask(b"two", within_s=_SOON_SECONDS)
    assert line.arrived == [b"one"]
    line.proxy.heal()
    assert await line.reader.read(10) == b"two"
    assert line.touched == {"black_hole": 1}


async def test_half_open_delivers_the_request_and_loses_the_answer_for_good(line):
    assert await line.ask(b"one") == b"one"
    line.proxy.strike("half_open")
    with pytest.raises(TimeoutError):
        await line.ask(b"two", within_s=_SOON_SECONDS)
    assert line.arrived == [b"one", b"two"]
    line.proxy.heal()
    with pytest.raises(ConnectionResetError):
        assert await line.reader.read(10) != b""


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_healed_proxy_behaves(line, fault):
    line.proxy.strike(fault)
    line.proxy.heal()
    await line.connect()
    assert await line.ask(b"one") == b"one"
