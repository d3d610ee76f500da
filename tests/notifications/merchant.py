"""A merchant's service: a real server that verifies with the public library, and fails, dawdles and hangs up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from standardwebhooks import Webhook

Fault = int | Literal["hang up", "hang", "endless"] | float
"""A status, a broken connection (before an answer), no answer at all, an answer without end, or seconds of delay."""


@dataclass
class Merchant:
    """What arrived, in order. `fault`: asked at each request; None: it is taken and answered 204."""

    secret: str = ""
    fault: Callable[[], Fault | None] = lambda: None
    arrived: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        document = (
            Webhook(self.secret).verify(body, dict(request.headers)) if self.secret else json.loads(body)
        )
        fault = self.fault()
        taken = fault is None or isinstance(fault, float)
        seen = {
            "id": request.headers["webhook-id"],
            "at": request.headers["webhook-timestamp"],
            "body": body,
            "headers": dict(request.headers),
            "taken": taken,
            **document,
        }
        self.arrived.append(seen)
        async with self._news:
            self._news.notify_all()
        return await self._answer(request, fault)

    async def _answer(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        if isinstance(fault, float):
            await asyncio.sleep(fault)
        elif fault == "hang up":
            assert request.transport is not None
            request.transport.abort()
        elif fault == "hang":
            await self._over.wait()
        elif fault == "endless":
            answer = web.StreamResponse()
            await answer.prepare(request)
            while not self._over.is_set():
                await answer.write(b"x" * 8_192)
            return answer
        elif isinstance(fault, int):
            return web.Response(status=fault, text="no", headers={"location": self.url + "/elsewhere"})
        return web.Response(status=204)

    @property
    def taken(self) -> list[dict[str, Any]]:
        """What was answered with a 2xx, or would have been if nobody had hung up meanwhile."""
        return [seen for seen in self.arrived if seen["taken"]]

    async def has(self, enough: Callable[[Merchant], bool], *, within_s: float = 20) -> None:
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: enough(self))


@asynccontextmanager
async def merchant(**given: Any) -> AsyncIterator[Merchant]:
    """One that listens on loopback, on a port of its own."""
    shop = Merchant(**given)
    app = web.Application()
    app.router.add_post("/{path:.*}", shop.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield shop
    finally:
        shop._over.set()
        await runner.cleanup()
