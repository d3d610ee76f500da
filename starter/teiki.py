"""`Teiki`: the client that services import (spec: interfaces.md §1).

    teiki = await Teiki.connect()
    sub = await teiki.subscriptions.create(SubscriptionSpec(...), request_id="order-4711")
    plan = await sub.resume(policy="catch_up", dry_run=True)

It reads Temporal's own environment configuration and the `TEIKI_*` settings. Writes go through workflows; reads come
from Postgres, to which it connects when it first needs it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from temporalio.client import Client

from db.engine import Database
from domain.identifiers import new_id
from runtime.settings import Settings
from runtime.temporal import connect
from starter.attention import Attention
from starter.catalogue import Customers, PaymentMethods, Products
from starter.chargebacks import Chargebacks
from starter.deposits import Deposits
from starter.engine import Engine
from starter.exports import Exports
from starter.orders import Orders
from starter.payments import Payments
from starter.reconciliation import Reconciliations
from starter.repayments import Repayments
from starter.subscriptions import Subscriptions
from starter.webhooks import Webhooks


def _now() -> datetime:
    return datetime.now(UTC)


class Teiki:
    """The client. Use it as an async context manager, or call `close`."""

    def __init__(self, client: Client, settings: Settings, *, clock: Callable[[], datetime] = _now) -> None:
        self.settings = settings
        self.engine = Engine(client, settings.task_queue)
        self.now = clock
        self.subscriptions = Subscriptions(self)
        self.orders = Orders(self)
        self.deposits = Deposits(self)
        self.customers = Customers(self)
        self.products = Products(self)
        self.payment_methods = PaymentMethods(self)
        self.attention = Attention(self)
        self.payments = Payments(self)
        self.chargebacks = Chargebacks(self)
        self.repayments = Repayments(self)
        self.exports = Exports(self)
        self.reconciliation = Reconciliations(self)
        self.webhooks = Webhooks(self)
        self._database: Database | None = None
        self._connecting = asyncio.Lock()

    @classmethod
    async def connect(cls, settings: Settings | None = None) -> Self:
        """Connect to Temporal.

        Raises:
            TeikiError: `engine_unavailable`, `settings_invalid`.
        """
        settings = settings or Settings.load()
        return cls(await connect(settings), settings)

    def new_id(self, prefix: str) -> str:
        return new_id(prefix, at_ms=int(self.now().timestamp() * 1000), entropy=secrets.randbits(80))

    async def database(self) -> Database:
        """The read models' connection pool, opened once."""
        async with self._connecting:
            if self._database is None:
                self._database = Database.connect(self.settings.database, pool_size=4)
            return self._database

    async def close(self) -> None:
        if self._database is not None:
            await self._database.close()
            self._database = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
