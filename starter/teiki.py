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
from starter.audit import Audit
from starter.catalogue import PaymentMethods, Products
from starter.chargebacks import Chargebacks
from starter.credits import Credits
from starter.customers import Customers
from starter.deposits import Deposits
from starter.endpoints import Endpoints
from starter.engine import Engine
from starter.exports import Exports
from starter.gate import DEFAULT_PRINCIPAL, Gate
from starter.notifications import Notifications
from starter.orders import Orders
from starter.payments import Payments
from starter.reconciliation import Reconciliations
from starter.repayments import Repayments
from starter.roles import Roles
from starter.subscriptions import Subscriptions
from starter.webhooks import Webhooks


def _now() -> datetime:
    return datetime.now(UTC)


class Teiki:
    """The client. Use it as an async context manager, or call `close`.

    Args:
        client: connected to Temporal.
        settings: where the rest is.
        clock: the caller's.
        principal: who the client is: a service, or the operator for whom it acts; held to `domain.roles`.
    """

    def __init__(
        self,
        client: Client,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = _now,
        principal: str = DEFAULT_PRINCIPAL,
    ) -> None:
        self.settings = settings
        self.gate = Gate(self._opened_database, principal)
        self.engine = Engine(client, settings.task_queue, gate=self.gate)
        self.now = clock
        self.subscriptions = Subscriptions(self)
        self.orders = Orders(self)
        self.deposits = Deposits(self)
        self.customers = Customers(self)
        self.products = Products(self)
        self.payment_methods = PaymentMethods(self)
        self.attention = Attention(self)
        self.payments = Payments(self)
        self.credits = Credits(self)
        self.chargebacks = Chargebacks(self)
        self.repayments = Repayments(self)
        self.exports = Exports(self)
        self.reconciliation = Reconciliations(self)
        self.webhooks = Webhooks(self)
        self.roles = Roles(self)
        self.audit = Audit(self)
        self.endpoints = Endpoints(self)
        self.notifications = Notifications(self)
        self._database: Database | None = None
        self._connecting = asyncio.Lock()

    @classmethod
    async def connect(cls, settings: Settings | None = None, *, principal: str = DEFAULT_PRINCIPAL) -> Self:
        """Connect to Temporal, as `principal`.

        Raises:
            TeikiError: `engine_unavailable`, `settings_invalid`.
        """
        settings = settings or Settings.load()
        return cls(await connect(settings), settings, principal=principal)

    def new_id(self, prefix: str) -> str:
        return new_id(prefix, at_ms=int(self.now().timestamp() * 1000), entropy=secrets.randbits(80))

    async def database(self) -> Database:
        """The read models' connection pool, for whoever may look.

        Raises:
            TeikiError: `forbidden`.
        """
        await self.gate.admit_read()
        return await self._opened_database()

    async def _opened_database(self) -> Database:
        """Opened once."""
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
