"""The catalogue: customers, products, payment methods.

Entries are upserts with request ids; history names them by id only, because it is for ever and personal data is not
(spec: interfaces.md).
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final, LiteralString

from db.contacts import link_contact, lock_contact
from db.engine import Database
from db.product_rows import PLAIN, changes, product_row
from db.requests import Cursor, claim
from db.shapes import CustomerEntry, Entered, PaymentMethodEntry, ProductEntry, Refused, TokenFacts
from db.steps import require_customer
from domain.customer_details import DetailKind
from domain.errors import ErrorCode, TeikiError
from domain.product import with_price

_PUT_CUSTOMER: Final[LiteralString] = """
INSERT INTO customers (id, email, name, created_at, updated_at)
VALUES (%(id)s, %(email)s, %(name)s, %(at)s, %(at)s)
ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name, updated_at = excluded.updated_at
"""
_NEW_PRODUCT: Final[LiteralString] = """
INSERT INTO products (id, name, price_minor, currency, type, sales_method, terms, created_at, updated_at)
VALUES (%(id)s, %(name)s, %(price_minor)s, %(currency)s, %(type)s, %(sales_method)s, %(terms)s::jsonb, %(at)s, %(at)s)
ON CONFLICT (id) DO NOTHING RETURNING id
"""
_OLD_PRODUCT: Final[LiteralString] = """
SELECT name, price_minor, currency, type, sales_method, terms FROM products WHERE id = %(id)s FOR NO KEY UPDATE
"""
_CHANGE_PRODUCT: Final[LiteralString] = """
UPDATE products SET name = %(name)s, price_minor = %(price_minor)s, currency = %(currency)s, type = %(type)s,
    sales_method = %(sales_method)s, terms = %(terms)s::jsonb, updated_at = %(at)s
WHERE id = %(id)s
"""
_ADD_METHOD: Final[LiteralString] = """
INSERT INTO payment_methods (id, customer_id, token, kind, brand, last_four, expires_month, expires_year, created_at,
    blocked_at)
SELECT %(id)s, %(customer_id)s, %(token)s, %(kind)s, %(brand)s, %(last_four)s, %(expires_month)s, %(expires_year)s,
       %(at)s, (SELECT min(blocked_at) FROM payment_methods WHERE customer_id = %(customer_id)s AND token = %(token)s)
ON CONFLICT (id) DO NOTHING
"""
_EVENT: Final[LiteralString] = """
INSERT INTO history (subject_id, kind, at, actor, comment, data)
VALUES (%(subject_id)s, 'operation', %(at)s, %(actor)s, %(comment)s, %(data)s::jsonb)
"""


async def put_customer(db: Database, entry: CustomerEntry) -> Entered:
    """Enter a customer or correct one; `activities.contracts.records.PutCustomer` fits."""
    content = {"email": entry.email, "name": entry.name}
    try:
        async with db.transaction() as cursor:
            earlier = await _claim(cursor, "customer.put", entry, content)
            if earlier is not None:
                return earlier
            address = await lock_contact(cursor, DetailKind.EMAIL, entry.email, entry.at)
            await cursor.execute(_PUT_CUSTOMER, {"id": entry.id, "at": entry.at, **content})
            await link_contact(cursor, entry.id, address, entry.at)
            await _note(cursor, entry.id, "put_customer", entry.at, entry.actor)
            return Entered(id=entry.id)
    except Refused as refusal:
        return _refused(entry.id, refusal)


async def put_product(db: Database, entry: ProductEntry) -> Entered:
    """Enter a product or change it; `activities.contracts.records.PutProduct` fits. History tells what changed."""
    try:
        terms = with_price(entry.terms, entry.price)
    except TeikiError as error:
        return _refused(entry.id, Refused(error.code, error.message, **error.facts))
    row = product_row(entry.name, terms)
    # What every product says is left out: a request from before there were terms is still the same request.
    said = {name: row[name] for name in ("type", "sales_method", "terms") if row[name] != PLAIN[name]}
    content = {name: row[name] for name in ("name", "price_minor", "currency")} | said
    try:
        async with db.transaction() as cursor:
            earlier = await _claim(cursor, "product.put", entry, content)
            if earlier is not None:
                return earlier
            before = await _write_product(cursor, entry, row)
            await _note(cursor, entry.id, "put_product", entry.at, entry.actor, **changes(before, row))
            return Entered(id=entry.id)
    except Refused as refusal:
        return _refused(entry.id, refusal)


async def _write_product(cursor: Cursor, entry: ProductEntry, row: dict[str, Any]) -> dict[str, Any] | None:
    """The row as it was; None: it is new. Whoever enters the same id at once waits for the first to commit."""
    written = {"id": entry.id, "at": entry.at, **row, "terms": json.dumps(row["terms"])}
    await cursor.execute(_NEW_PRODUCT, written)
    if await cursor.fetchone() is not None:
        return None
    await cursor.execute(_OLD_PRODUCT, written)
    before = await cursor.fetchone()
    await cursor.execute(_CHANGE_PRODUCT, written)
    return before


async def add_payment_method(db: Database, entry: PaymentMethodEntry, details: TokenFacts) -> Entered:
    """Enter a payment method with what the gateway says of its token.

    Args:
        db: the database.
        entry: `activities.contracts.records.AddPaymentMethod` fits.
        details: `gateways.port.TokenDetails` fits.

    Returns:
        `refused` with `customer_not_found` when nobody owns it, `customer_blocked` when that one is blocked. A card
        that is entered a second time and blocked stays blocked.
    """
    try:
        async with db.transaction() as cursor:
            content = {"customer_id": entry.customer_id, "token": entry.token}
            earlier = await _claim(cursor, "payment_method.add", entry, content)
            if earlier is not None:
                return earlier
            await require_customer(cursor, entry.customer_id)
            shown = ("kind", "brand", "last_four", "expires_month", "expires_year")
            facts = {name: getattr(details, name) for name in shown}
            await cursor.execute(_ADD_METHOD, {"id": entry.id, "at": entry.at, **content, **facts})
            await _note(cursor, entry.id, "add_payment_method", entry.at, entry.actor)
            return Entered(id=entry.id)
    except Refused as refusal:
        return _refused(entry.id, refusal)


async def _claim(
    cursor: Cursor,
    scope: str,
    entry: CustomerEntry | ProductEntry | PaymentMethodEntry,
    content: dict[str, Any],
) -> Entered | None:
    """None when the request is new. The id is no part of the content: a repetition may come with a fresh one."""
    claimed = await claim(
        cursor, scope=scope, request_id=entry.request_id, content=content, subject_id=entry.id, at=entry.at
    )
    if claimed.kind == "conflict":
        raise Refused(
            ErrorCode.REQUEST_ID_CONFLICT,
            "This request id was used before, for something else.",
            request_id=entry.request_id,
        )
    return Entered(id=claimed.subject_id, outcome="duplicate") if claimed.kind == "repeated" else None


async def _note(
    cursor: Cursor, subject_id: str, done: str, at: datetime, actor: str, comment: str = "", **more: Any
) -> None:
    data = json.dumps({"do": done, "arguments": {}, **more})
    parameters = {"subject_id": subject_id, "at": at, "actor": actor, "comment": comment, "data": data}
    await cursor.execute(_EVENT, parameters)


def _refused(entry_id: str, refusal: Refused) -> Entered:
    return Entered(
        id=entry_id, outcome="refused", code=refusal.code, message=refusal.message, facts=refusal.facts
    )
