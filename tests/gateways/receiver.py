"""A merchant's end of the webhooks: a real server that checks signatures and answers as told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@dataclass
class Receiver:
    """What arrived, in order. `answers` are the statuses given to the next requests; then 204."""

    answers: list[int] = field(default_factory=list)
    arrived: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.text()
        identity, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        mac = hmac.new(KEY, f"{identity}.{stamp}.{body}".encode(), hashlib.sha256).digest()
        true = request.headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
        status = self.answers.pop(0) if self.answers else 204 if true else 401
        self.arrived.append({"id": identity, "true": true, "status": status, **json.loads(body)})
        async with self._news:
            self._news.notify_all()
        return web.Response(status=status)

    def about(self, reference: str, *, true: bool = True) -> list[dict[str, Any]]:
        return [
            event
            for event in self.arrived
            if event["data"]["reference"] == reference and event["true"] is true
        ]

    async def has(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many requests have arrived."""
        async with asyncio.timeout(10), self._news:
            await self._news.wait_for(lambda: len(self.arrived) >= count)
        return self.arrived
