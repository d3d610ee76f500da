"""A Postgres of the benchmark's own with so many orders, and the sheet made of them: 20 of the orders' columns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import psycopg

from bench.order_population import SECONDS, START, Shop, fill
from db import migrate
from db.reads.sheets.orders import ORDERS
from runtime.embedded.postgres import EmbeddedPostgres

_KEYS: Final = (
    *("number", "created_at", "product_type", "product_name", "status", "reason", "payment_status", "pay"),
    *("amount", "refunded", "currency", "card_brand", "card_last_four", "completed_at", "permission_id"),
    *("permission_status", "starts_at", "membership_number", "customer_email", "customer_name"),
)
SHEET: Final = replace(ORDERS, columns=tuple(column for column in ORDERS.columns if column.key in _KEYS))
"""Text, amounts, instants, numbers and empty cells, from four tables."""


def at_end() -> datetime:
    """When the shop's last order is in: the instant of the request."""
    return START + timedelta(seconds=SECONDS)


@dataclass(frozen=True)
class Shops:
    """One server; a shop of each size in a database of its own."""

    postgres: EmbeddedPostgres

    async def filled(self, orders: int, advance: Callable[[int], object]) -> str:
        """The address of a database with so many orders."""
        url = await self.postgres.ensure_database(f"shop_{orders}")
        await asyncio.to_thread(migrate.upgrade, url)
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await fill(connection, Shop(orders), advance)
        return url


@asynccontextmanager
async def shops() -> AsyncIterator[Shops]:
    """Gone with everything in it at the end."""
    async with EmbeddedPostgres(durable=False) as postgres:
        yield Shops(postgres)
