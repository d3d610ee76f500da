"""Entering an order and writing down what happens to it.

Each call is one transaction and can run twice: a request id recognises a caller's repetition, an event key a second run
of the same activity. Row, permission, membership number, history and outbox change together or not at all: that is why
membership numbers have no gaps (spec: orders.md §§1, 6, 8).
"""

from __future__ import annotations

import json
from typing import Any, Final, LiteralString

from db.contacts import link_contact, lock_contact
from db.credit_rows import mark_counted
from db.engine import Database
from db.order_shapes import KonbiniOffer, OrderHappening, OrderOpened, OrderOpening
from db.product_rows import product_terms
from db.requests import Cursor, claim
from db.shapes import Recorded, Refused
from db.steps import conflict, require_card, require_customer, write_events
from domain.billing_calendar import parse_zone
from domain.customer_details import DetailKind
from domain.errors import ErrorCode, TeikiError
from domain.free_text import passes_for_card_number
from domain.order import placed
from domain.order_projection import OrderRow, row_of
from domain.order_terms import JAPAN, OrderSpec, OrderTerms, order_terms
from domain.product import ProductTerms, check_custom_fields, check_identification

OPEN_SCOPE: Final = "order.place"

_PRODUCT: Final[LiteralString] = """
SELECT name, price_minor, currency, type, sales_method, terms FROM products WHERE id = %s FOR SHARE
"""
_NUMBER: Final[LiteralString] = "SELECT nextval('order_numbers_seq') AS n"
_METHOD: Final[LiteralString] = """
INSERT INTO payment_methods (id, customer_id, token, kind, brand, created_at)
VALUES (%(id)s, %(customer_id)s, 'konbini', 'konbini', %(store)s, %(at)s)
"""
_OPEN: Final[LiteralString] = """
INSERT INTO orders (id, number, customer_id, product_id, payment_method_id, terms, product_type, product_name, options,
    pay, amount_minor, currency, zone, status, reason, payment_status, payments, paid_minor, refunded_minor,
    points_expected, points_earned, completed_at, confirmed_at, ends_at, expires_on, next_kind, next_at,
    next_payment_at, deposit_id, subscription_id, custom_fields, metadata, created_at, updated_at)
VALUES (%(id)s, %(number)s, %(customer_id)s, %(product_id)s, %(payment_method_id)s, %(terms)s::jsonb, %(product_type)s,
    %(product_name)s, %(options)s::jsonb, %(pay)s, %(amount_minor)s, %(currency)s, %(zone)s, %(status)s, %(reason)s,
    %(payment_status)s, %(payments)s, %(paid_minor)s, %(refunded_minor)s, %(points_expected)s, %(points_earned)s,
    %(completed_at)s, %(confirmed_at)s, %(ends_at)s, %(expires_on)s, %(next_kind)s, %(next_at)s, %(next_payment_at)s,
    %(deposit_id)s, %(subscription_id)s, %(custom_fields)s::jsonb, %(metadata)s::jsonb, %(at)s, %(at)s)
"""
_LOCK: Final[LiteralString] = """
SELECT customer_id, product_id FROM orders WHERE id = %(order_id)s FOR NO KEY UPDATE
"""
_IS_RECORDED: Final[LiteralString] = "SELECT 1 AS yes FROM history WHERE event_key = %(event_key)s"
_CHANGE_ROW: Final[LiteralString] = """
UPDATE orders o SET
    status = n.status, reason = n.reason, payment_status = n.payment_status, payments = n.payments,
    paid_minor = n.paid_minor, refunded_minor = n.refunded_minor, points_expected = n.points_expected,
    points_earned = n.points_earned, completed_at = n.completed_at, confirmed_at = n.confirmed_at, ends_at = n.ends_at,
    expires_on = n.expires_on, next_kind = n.next_kind, next_at = n.next_at, next_payment_at = n.next_payment_at,
    deposit_id = n.deposit_id, subscription_id = n.subscription_id,
    custom_fields = COALESCE(%(custom_fields)s::jsonb, o.custom_fields), updated_at = %(at)s
FROM orders was, jsonb_populate_record(was, %(row)s::jsonb) n
WHERE was.id = %(order_id)s AND o.id = was.id
"""
_GRANT: Final[LiteralString] = """
WITH numbered AS (
    INSERT INTO membership_counters AS c (product_id, last_number)
    SELECT %(product_id)s, 1
    WHERE %(numbered)s AND NOT EXISTS (SELECT FROM permissions WHERE id = %(id)s)
    ON CONFLICT (product_id) DO UPDATE SET last_number = c.last_number + 1
    RETURNING last_number
)
INSERT INTO permissions AS p (id, order_id, order_day, customer_id, product_id, status, reason, acquisition,
    acquired_at, starts_at, ends_at, used_at, used_by, membership_number, identification, identified_by_customer,
    created_at, updated_at)
VALUES (%(id)s, %(order_id)s, (SELECT left(number, 8) FROM orders WHERE id = %(order_id)s), %(customer_id)s,
    %(product_id)s, %(status)s, %(reason)s, %(acquisition)s, %(acquired_at)s, %(starts_at)s, %(ends_at)s, %(used_at)s,
    %(used_by)s, (SELECT last_number FROM numbered), %(identification)s::jsonb,
    %(identification)s::jsonb <> '{}'::jsonb, %(at)s, %(at)s)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, reason = excluded.reason, acquired_at = excluded.acquired_at,
    starts_at = excluded.starts_at, ends_at = excluded.ends_at, used_at = excluded.used_at, used_by = excluded.used_by,
    updated_at = excluded.updated_at
"""


async def open_order(db: Database, opening: OrderOpening, offer: KonbiniOffer) -> OrderOpened:
    """Enter an order, or say why not.

    Args:
        db: the database.
        opening: what was asked for; `activities.contracts.orders.OpenOrderInput` fits.
        offer: what the payment company does for Konbini.

    Returns:
        `opened` (also when this very order was entered before); `duplicate` with the id of an earlier request's order;
        `refused` with what is wrong with customer, product, card, answers or amount. A refusal writes nothing.
    """
    try:
        async with db.transaction() as cursor:
            return await _open(cursor, opening, offer)
    except Refused as refusal:
        return _refused(opening.order_id, refusal.code, refusal.message, refusal.facts)
    except TeikiError as error:
        if error.code in (ErrorCode.DATABASE_UNAVAILABLE, ErrorCode.ENGINE_UNAVAILABLE):
            raise
        return _refused(opening.order_id, error.code.value, error.message, error.facts)


def _refused(order_id: str, code: str, message: str, facts: dict[str, Any]) -> OrderOpened:
    return OrderOpened(outcome="refused", order_id=order_id, code=code, message=message, facts=facts)


async def _open(cursor: Cursor, opening: OrderOpening, offer: KonbiniOffer) -> OrderOpened:
    spec = opening.spec
    claimed = await claim(
        cursor,
        scope=OPEN_SCOPE,
        request_id=opening.request_id,
        content=spec.model_dump(mode="json"),
        subject_id=opening.order_id,
        at=opening.at,
    )
    if claimed.kind == "conflict":
        raise conflict(opening.request_id)
    if claimed.kind == "repeated" and claimed.subject_id != opening.order_id:
        return OrderOpened(outcome="duplicate", order_id=claimed.subject_id)
    if claimed.kind == "repeated":
        return await _opened_before(cursor, opening)
    if spec.konbini is not None:
        phone = await lock_contact(cursor, DetailKind.PHONE, spec.konbini.phone, opening.at)
        await link_contact(cursor, spec.customer_id, phone, opening.at)
    await require_customer(cursor, spec.customer_id)
    name, product = await _product(cursor, spec.product_id)
    terms = order_terms(opening.order_id, spec, name, product, konbini_refundable=offer.is_refundable)
    custom_fields = check_custom_fields(product, spec.custom_fields)
    identification = check_identification(product, spec.identification)
    method_id = await _method(cursor, opening, terms, offer)
    number = await _number(cursor, opening)
    state = placed(
        opening.order_id,
        spec,
        terms,
        number=number,
        custom_fields=custom_fields,
    )
    await cursor.execute(
        _OPEN,
        {
            **row_of(state, opening.at).model_dump(),
            **_said(spec, terms),
            "id": opening.order_id,
            "number": number,
            "payment_method_id": method_id,
            "custom_fields": json.dumps(custom_fields),
            "at": opening.at,
        },
    )
    await _tell_of_opening(cursor, opening, state.payment_status.value)
    return OrderOpened(
        outcome="opened",
        order_id=opening.order_id,
        number=number,
        terms=terms,
        custom_fields=custom_fields,
        identification=identification,
    )


async def _opened_before(cursor: Cursor, opening: OrderOpening) -> OrderOpened:
    """What the first run of this activity wrote."""
    await cursor.execute(
        "SELECT number, terms, custom_fields, product_id FROM orders WHERE id = %s", (opening.order_id,)
    )
    row = await cursor.fetchone()
    assert row is not None
    _, product = await _product(cursor, row["product_id"])
    return OrderOpened(
        outcome="opened",
        order_id=opening.order_id,
        number=row["number"],
        terms=OrderTerms.model_validate(row["terms"]),
        custom_fields=row["custom_fields"],
        identification=check_identification(product, opening.spec.identification),
    )


async def _product(cursor: Cursor, product_id: str) -> tuple[str, ProductTerms]:
    await cursor.execute(_PRODUCT, (product_id,))
    row = await cursor.fetchone()
    if row is None:
        raise Refused(ErrorCode.PRODUCT_NOT_FOUND, "There is no such product.", product_id=product_id)
    return row["name"], product_terms(row)


async def _method(
    cursor: Cursor, opening: OrderOpening, terms: OrderTerms, offer: KonbiniOffer
) -> str | None:
    """The card, or a method of the order's own for its slips."""
    spec = opening.spec
    if spec.payment_method_id is not None:
        await require_card(cursor, spec.payment_method_id, spec.customer_id)
    if spec.konbini is None:
        return spec.payment_method_id
    _require_offered(terms, offer)
    method_id = f"pm_{opening.order_id.removeprefix('ord_')}"
    store = spec.konbini.store.value
    await cursor.execute(
        _METHOD, {"id": method_id, "customer_id": spec.customer_id, "store": store, "at": opening.at}
    )
    return method_id


def _require_offered(terms: OrderTerms, offer: KonbiniOffer) -> None:
    assert terms.price is not None
    if not offer.is_offered:
        raise Refused(ErrorCode.KONBINI_NOT_SUPPORTED, "The payment company offers no Konbini payment.")
    is_yen = terms.price.currency == "JPY"
    if not is_yen or not offer.amount_min <= terms.price.minor <= offer.amount_max:
        raise Refused(
            ErrorCode.KONBINI_AMOUNT_OUT_OF_RANGE,
            f"A Konbini deposit is {offer.amount_min:,} to {offer.amount_max:,} yen.",
            amount=terms.price.model_dump(),
            minimum=offer.amount_min,
            maximum=offer.amount_max,
        )


async def _number(cursor: Cursor, opening: OrderOpening) -> str:
    """The day in Japan and a running number: `20260105-0000017`. Sorts by day, then by number.

    One number in ten would pass for a card number, and no comment or note could name its order: those are left out.
    """
    day = f"{opening.at.astimezone(parse_zone(JAPAN)):%Y%m%d}"
    while True:
        await cursor.execute(_NUMBER)
        row = await cursor.fetchone()
        assert row is not None
        number = f"{day}-{row['n']:07d}"
        if not passes_for_card_number(number):
            return number


def _said(spec: OrderSpec, terms: OrderTerms) -> dict[str, Any]:
    return {
        "customer_id": spec.customer_id,
        "product_id": spec.product_id,
        "terms": terms.model_dump_json(exclude_defaults=True),
        "product_type": terms.product_type.value,
        "product_name": terms.product_name,
        "options": json.dumps(terms.options),
        "pay": terms.pay.value,
        "amount_minor": terms.price.minor if terms.price else 0,
        "currency": terms.price.currency if terms.price else None,
        "zone": terms.zone,
        "metadata": json.dumps(spec.metadata),
    }


async def _tell_of_opening(cursor: Cursor, opening: OrderOpening, payment_status: str) -> None:
    spec = opening.spec
    # Names, phones and answers are personal: history is for ever and says only what was bought, and how.
    arguments = {
        "product_id": spec.product_id,
        "pay": spec.pay.value,
        **({"options": list(spec.options)} if spec.options else {}),
        **({"installments": spec.installments} if spec.installments else {}),
        **({"store": spec.konbini.store.value} if spec.konbini else {}),
    }
    placed_event = {
        "kind": "operation",
        "comment": opening.comment,
        "data": {"do": "place", "arguments": arguments, "request_id": opening.request_id},
    }
    first = {"object": "order", "from": None, "to": "in_process", "reason": "placed"}
    payment = {"object": "payment", "from": None, "to": payment_status, "reason": "placed"}
    events = [placed_event, {"kind": "status", "data": first}, {"kind": "status", "data": payment}]
    await write_events(cursor, opening.order_id, opening.at, opening.actor, events, noun="order")


async def record_order(db: Database, happening: OrderHappening) -> Recorded:
    """Write down an operation, changes of status, a permission, points or answers, all at once.

    Args:
        db: the database.
        happening: what happened; `activities.contracts.orders.RecordOrderInput` fits.

    Returns:
        `recorded` (also on a second run); `duplicate` for a repeated request id; `refused` with `order_not_found` or
        `request_id_conflict`. A refusal writes nothing.
    """
    try:
        async with db.transaction() as cursor:
            return await _record(cursor, happening)
    except Refused as refusal:
        return Recorded(outcome="refused", code=refusal.code, message=refusal.message, facts=refusal.facts)


async def _record(cursor: Cursor, happening: OrderHappening) -> Recorded:
    order_id = happening.order_id
    await cursor.execute(_LOCK, {"order_id": order_id})
    order = await cursor.fetchone()
    if order is None:
        raise Refused(ErrorCode.ORDER_NOT_FOUND, "There is no such order.", order_id=order_id)
    await cursor.execute(_IS_RECORDED, {"event_key": happening.event_key})
    if await cursor.fetchone() is not None:
        return Recorded(outcome="recorded")
    if happening.request_id is not None:
        claimed = await claim(
            cursor,
            scope=f"order:{order_id}",
            request_id=happening.request_id,
            content={"operation": happening.operation, "arguments": dict(happening.arguments)},
            subject_id=order_id,
            at=happening.at,
        )
        if claimed.kind == "conflict":
            raise conflict(happening.request_id)
        if claimed.kind == "repeated":
            return Recorded(outcome="duplicate")
    await _change(cursor, happening)
    await mark_counted(cursor, happening.credit_ids, happening.at)
    if happening.permission is not None:
        await _grant(cursor, happening, order)
    await write_events(
        cursor,
        order_id,
        happening.at,
        happening.actor,
        _events(happening),
        number=happening.payment,
        event_key=happening.event_key,
        noun="order",
    )
    return Recorded(outcome="recorded")


async def _change(cursor: Cursor, happening: OrderHappening) -> None:
    strangers = sorted(set(happening.row) - set(OrderRow.model_fields))
    if strangers:
        raise TeikiError(ErrorCode.INVALID_INPUT, "An order's row has no such columns.", columns=strangers)
    answers = None if happening.custom_fields is None else json.dumps(dict(happening.custom_fields))
    await cursor.execute(
        _CHANGE_ROW,
        {
            "order_id": happening.order_id,
            "row": json.dumps(dict(happening.row)),
            "custom_fields": answers,
            "at": happening.at,
        },
    )


async def _grant(cursor: Cursor, happening: OrderHappening, order: dict[str, Any]) -> None:
    assert happening.permission is not None
    await cursor.execute(
        _GRANT,
        {
            **happening.permission.model_dump(mode="python"),
            "status": happening.permission.status.value,
            "order_id": happening.order_id,
            "customer_id": order["customer_id"],
            "product_id": order["product_id"],
            "numbered": happening.numbered,
            "identification": json.dumps(dict(happening.identification)),
            "at": happening.at,
        },
    )


def _events(happening: OrderHappening) -> list[dict[str, Any]]:
    """The operation first, then what it brought about."""
    events: list[dict[str, Any]] = []
    if happening.operation is not None:
        data: dict[str, Any] = {"do": happening.operation, "arguments": dict(happening.arguments)}
        if happening.request_id is not None:
            data["request_id"] = happening.request_id
        events.append({"kind": "operation", "comment": happening.comment, "data": data})
    events += [event.model_dump(mode="json") for event in happening.events]
    return events
