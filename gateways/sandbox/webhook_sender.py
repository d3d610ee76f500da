"""Delivers the outbox's events: at least once, each with its own retries, in the order in which they are due.

A delivery is marked after its answer, so a sandbox that dies in between sends it again. The task sleeps until
something is due; without a receiver it only waits to be woken.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import time
from typing import Final

import aiohttp

from gateways.sandbox.schema import now_us, transaction
from gateways.sandbox.webhooks import Outbox, Receiver, secret_bytes, sign

_AT_ONCE: Final = 8
_IDLE_SECONDS: Final = 3_600.0
_STRANGERS_KEY_BYTES: Final = 32


class WebhookSender:
    """Runs while the sandbox serves: `start()` on its loop, `stop()` in the end."""

    def __init__(self, db: sqlite3.Connection, outbox: Outbox) -> None:
        self._db = db
        self._outbox = outbox
        self._something_new = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        outbox.on_written = self._something_new.set

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="webhooks out")

    def wake(self) -> None:
        """The receiver was changed: look again."""
        self._something_new.set()

    async def stop(self) -> None:
        if self._task is not None:
            if self._task.done():
                self._task.result()  # it never ends by itself: whatever ended it must be seen
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                self._something_new.clear()
                receiver = self._outbox.receiver
                due = self._due() if receiver is not None else []
                if receiver is not None and due:
                    await self._deliver(http, receiver, due)
                else:
                    await self._sleep(None if receiver is None else self._seconds_to_next())

    async def _sleep(self, seconds: float | None) -> None:
        try:
            await asyncio.wait_for(self._something_new.wait(), seconds)
        except TimeoutError:
            return  # something is due

    async def _deliver(self, http: aiohttp.ClientSession, receiver: Receiver, due: list[sqlite3.Row]) -> None:
        answered = await asyncio.gather(*(_post(http, receiver, row) for row in due))
        if self._outbox.receiver is not receiver:
            return  # another receiver has been registered meanwhile: what this one answered is of no interest
        with transaction(self._db):
            for row, accepted in zip(due, answered, strict=True):
                self._mark(row, accepted, receiver.retry_seconds)

    def _due(self) -> list[sqlite3.Row]:
        return self._db.execute(
            "SELECT * FROM webhook_deliveries WHERE state = 'waiting' AND next_us <= ?"
            " ORDER BY next_us, seq LIMIT ?",
            (now_us(), _AT_ONCE),
        ).fetchall()

    def _seconds_to_next(self) -> float:
        (next_us,) = self._db.execute(
            "SELECT min(next_us) FROM webhook_deliveries WHERE state = 'waiting'"
        ).fetchone()
        return _IDLE_SECONDS if next_us is None else max(0.0, (next_us - now_us()) / 1_000_000)

    def _mark(self, row: sqlite3.Row, accepted: bool, retry_seconds: tuple[float, ...]) -> None:
        tries = row["tries"] + 1
        if accepted:
            state, next_us = "delivered", row["next_us"]
            # Now that a later event has arrived, those that were to be overtaken by it may follow.
            self._db.execute(
                "UPDATE webhook_deliveries SET next_us = ?, overtaken = 0"
                " WHERE state = 'waiting' AND overtaken = 1 AND seq < ?",
                (now_us(), row["seq"]),
            )
        elif row["forged"] or tries > len(retry_seconds):  # a forger does not try again
            state, next_us = "given_up", row["next_us"]
        else:
            state, next_us = "waiting", now_us() + int(retry_seconds[tries - 1] * 1_000_000)
        self._db.execute(
            "UPDATE webhook_deliveries SET state = ?, tries = ?, next_us = ? WHERE seq = ?",
            (state, tries, next_us, row["seq"]),
        )


async def _post(http: aiohttp.ClientSession, receiver: Receiver, row: sqlite3.Row) -> bool:
    """Whether the receiver took it: 2xx, and nothing else."""
    key = secrets.token_bytes(_STRANGERS_KEY_BYTES) if row["forged"] else secret_bytes(receiver.secret)
    assert key is not None, "a registered secret was checked"
    stamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": row["event_id"],
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign(key, row["event_id"], stamp, row["body"]),
    }
    try:
        async with http.post(
            receiver.url,
            data=row["body"].encode(),
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=receiver.timeout_seconds),
        ) as response:
            return 200 <= response.status < 300
    except (aiohttp.ClientError, TimeoutError):
        return False
