"""The customer page: who it is, and its tabs, each by one query or few (spec: customers.md §1).

All tabs that are asked for at once come from one snapshot, so they agree with each other.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from db.engine import Database
from db.reads.catalogue import CustomerItem, customer_item
from db.reads.customer_info import Info, read_info
from db.reads.customer_lookup import customer_meant
from db.reads.customer_money import ProductPurchases, Stats, read_last, read_products, read_stats
from db.reads.customer_transactions import Transaction, TransactionPage, Way, read_transactions
from db.tables import customers

Tab = Literal["details", "stats", "info", "products", "transactions"]
TABS: Final[tuple[Tab, ...]] = ("details", "stats", "info", "products", "transactions")


class CustomerPage(BaseModel):
    """A customer as the page shows it; tabs that were not asked for are None.

    Attributes:
        details: the last transaction, None also when there is none.
    """

    model_config = ConfigDict(frozen=True)

    customer: CustomerItem
    details: Transaction | None = None
    stats: Stats | None = None
    info: Info | None = None
    products: list[ProductPurchases] | None = None
    transactions: TransactionPage | None = None


async def show_customer(
    db: Database,
    customer: str,
    *,
    tabs: Collection[Tab] = TABS,
    product_id: str | None = None,
    way: Way | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> CustomerPage:
    """The tabs that are wanted.

    Args:
        db: the database.
        customer: an id, or an e-mail address whatever its case.
        tabs: which.
        product_id: transactions of this product only.
        way: transactions of what was bought this way only.
        cursor: where the last page of transactions ended.
        limit: transactions of a page, 1–200.

    Raises:
        TeikiError: `customer_not_found`, `customer_ambiguous`, `invalid_cursor`, `invalid_input`.
    """
    async with db.reading() as connection:
        customer_id = await customer_meant(connection, customer)
        row = (await connection.execute(select(customers).where(customers.c.id == customer_id))).one()
        return CustomerPage(
            customer=customer_item(row),
            details=await read_last(connection, customer_id) if "details" in tabs else None,
            stats=await read_stats(connection, customer_id) if "stats" in tabs else None,
            info=await read_info(connection, customer_id) if "info" in tabs else None,
            products=await read_products(connection, customer_id) if "products" in tabs else None,
            transactions=await read_transactions(
                connection, customer_id, product_id=product_id, way=way, cursor=cursor, limit=limit
            )
            if "transactions" in tabs
            else None,
        )
