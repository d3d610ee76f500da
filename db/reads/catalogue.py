"""Customers, products and payment methods as lists and pages show them: never a gateway token."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Row, Table, func, or_, select

from db.engine import Database
from db.product_rows import product_terms
from db.reads.cursor import after, encode_cursor, page_size, prefix_pattern
from db.tables import customers, history, payment_methods, products
from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable
from domain.money import Money
from domain.product import ProductTerms, ProductType

LIMIT_DEFAULT: Final = 50


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class CustomerItem(_Shown):
    id: str
    email: str
    name: str
    blocked_at: datetime | None
    created_at: datetime


class ProductItem(_Shown):
    """`terms` says everything; the price stands beside them too."""

    id: str
    name: str
    price: Money | None
    created_at: datetime
    terms: ProductTerms = ProductTerms()


class ProductChange(_Shown):
    """One entry of a product: only what it changed. The first one has no `before`."""

    at: datetime
    actor: str
    before: dict[str, Any] | None
    after: dict[str, Any]


class ProductDetail(ProductItem):
    """A product with its changes, oldest first."""

    updated_at: datetime
    history: list[ProductChange]


class PaymentMethodItem(_Shown):
    id: str
    customer_id: str
    kind: str
    brand: str
    last_four: str
    expires_month: int | None
    expires_year: int | None
    blocked_at: datetime | None
    created_at: datetime


class CustomerPage(BaseModel):
    items: list[CustomerItem]
    next_cursor: str | None


class ProductPage(BaseModel):
    items: list[ProductItem]
    next_cursor: str | None


async def get_customer(db: Database, customer_id: str) -> CustomerItem | None:
    row = await _one(db, customers, customer_id)
    return customer_item(row) if row else None


async def find_product(db: Database, product_id: str) -> ProductItem | None:
    """What an order copies when it is placed."""
    row = await _one(db, products, product_id)
    return product_item(row) if row else None


async def show_product(db: Database, product_id: str) -> ProductDetail:
    """The product and how it became what it is, from one snapshot.

    Raises:
        TeikiError: `product_not_found`.
    """
    h = history.c
    events = select(h.at, h.actor, h.data).where(h.subject_id == product_id).order_by(h.seq)
    async with db.reading() as connection:
        row = (await connection.execute(select(products).where(products.c.id == product_id))).one_or_none()
        if row is None:
            raise TeikiError(
                ErrorCode.PRODUCT_NOT_FOUND, "There is no such product.", product_id=repeatable(product_id)
            )
        told = (await connection.execute(events)).all()
    return ProductDetail(
        **dict(product_item(row)),
        updated_at=row.updated_at,
        history=[
            ProductChange(
                at=event.at,
                actor=event.actor,
                before=event.data.get("before"),
                after=event.data.get("after", {}),  # entries from before there were terms tell no content
            )
            for event in told
        ],
    )


async def get_payment_method(db: Database, payment_method_id: str) -> PaymentMethodItem | None:
    row = await _one(db, payment_methods, payment_method_id)
    return payment_method_item(row) if row else None


async def list_customers(
    db: Database, *, text: str | None = None, cursor: str | None = None, limit: int = LIMIT_DEFAULT
) -> CustomerPage:
    """One page, newest first; `text`: the beginning of an id, an e-mail address or a name."""
    c = customers.c
    conditions = []
    if text:
        pattern = prefix_pattern(text.lower())
        conditions.append(
            or_(
                c.id.like(prefix_pattern(text)),
                func.lower(c.email).like(pattern),
                func.lower(c.name).like(pattern),
            )
        )
    rows, next_cursor = await _page(db, customers, conditions, cursor, limit)
    return CustomerPage(items=[customer_item(row) for row in rows], next_cursor=next_cursor)


async def list_products(
    db: Database,
    *,
    type: ProductType | None = None,  # noqa: A002 - the field's word
    cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
) -> ProductPage:
    """One page, newest first; `type`: only products of this one."""
    conditions = [] if type is None else [products.c.type == type.value]
    rows, next_cursor = await _page(db, products, conditions, cursor, limit)
    return ProductPage(items=[product_item(row) for row in rows], next_cursor=next_cursor)


async def list_payment_methods(db: Database, customer_id: str) -> list[PaymentMethodItem]:
    """All of one customer, oldest first."""
    m = payment_methods.c
    query = select(payment_methods).where(m.customer_id == customer_id).order_by(m.created_at, m.id)
    async with db.reading() as connection:
        return [payment_method_item(row) for row in await connection.execute(query)]


def customer_item(row: Row[Any]) -> CustomerItem:
    return CustomerItem.model_validate({name: getattr(row, name) for name in CustomerItem.model_fields})


def product_item(row: Row[Any]) -> ProductItem:
    terms = product_terms(dict(row._mapping))
    return ProductItem(id=row.id, name=row.name, price=terms.price, created_at=row.created_at, terms=terms)


def payment_method_item(row: Row[Any]) -> PaymentMethodItem:
    return PaymentMethodItem.model_validate(
        {name: getattr(row, name) for name in PaymentMethodItem.model_fields}
    )


async def _one(db: Database, table: Table, entry_id: str) -> Row[Any] | None:
    async with db.reading() as connection:
        return (await connection.execute(select(table).where(table.c.id == entry_id))).one_or_none()


async def _page(
    db: Database, table: Table, conditions: list[ColumnElement[bool]], cursor: str | None, limit: int
) -> tuple[list[Row[Any]], str | None]:
    if cursor is not None:
        conditions = [*conditions, after(cursor, table.c.created_at, table.c.id)]
    query = select(table).where(*conditions).order_by(table.c.created_at.desc(), table.c.id.desc())
    async with db.reading() as connection:
        found = (await connection.execute(query.limit(page_size(limit) + 1))).all()
    rows = list(found[:limit])
    return rows, encode_cursor(rows[-1].created_at, rows[-1].id) if len(found) > limit else None
