"""Entering a subscription: checked against the catalogue, written with its first events (subscriptions.md §1)."""

from __future__ import annotations

import json
from typing import Any, Final, LiteralString

from db.engine import Database
from db.requests import CREATE_SCOPE, Cursor, claim
from db.shapes import Opened, Opening, Refused
from db.steps import conflict, require_card, require_customer, require_product, write_events

_OPEN: Final[LiteralString] = """
INSERT INTO subscriptions (id, customer_id, product_id, order_id, payment_method_id, terms, currency, period, zone,
    anchor_on, status, reason, next_kind, next_at, failing, charges, charged_minor, amount_minor, next_amount_minor,
    cancel_at, metadata, created_at, updated_at)
VALUES (%(id)s, %(customer_id)s, %(product_id)s, %(order_id)s, %(payment_method_id)s, %(terms)s::jsonb, %(currency)s,
    %(period)s, %(zone)s, %(anchor_on)s, %(status)s, %(reason)s, %(next_kind)s, %(next_at)s, %(failing)s, %(charges)s,
    %(charged_minor)s, %(amount_minor)s, %(next_amount_minor)s, %(cancel_at)s, %(metadata)s::jsonb, %(at)s, %(at)s)
"""


async def open_subscription(db: Database, order: Opening) -> Opened:
    """Enter a subscription, or say why not.

    Args:
        db: the database.
        order: what was asked for and agreed; `activities.contracts.records.OpenInput` fits.

    Returns:
        `opened` (also when this very subscription was entered before); `duplicate` with the id of an earlier
        request's subscription; `refused` with `customer_not_found`, `customer_blocked`, `product_not_found`,
        `payment_method_not_found`, `payment_method_of_other_customer`, `payment_method_not_card`,
        `payment_method_blocked` or `request_id_conflict`. A refusal writes nothing.
    """
    try:
        async with db.transaction() as cursor:
            return await _open(cursor, order)
    except Refused as refusal:
        return Opened(
            outcome="refused",
            subscription_id=order.subscription_id,
            code=refusal.code,
            message=refusal.message,
            facts=refusal.facts,
        )


async def _open(cursor: Cursor, order: Opening) -> Opened:
    claimed = await claim(
        cursor,
        scope=CREATE_SCOPE,
        request_id=order.request_id,
        content=order.spec.model_dump(mode="json"),
        subject_id=order.subscription_id,
        at=order.at,
    )
    if claimed.kind == "conflict":
        raise conflict(order.request_id)
    if claimed.kind == "repeated":
        same = claimed.subject_id == order.subscription_id
        return Opened(outcome="opened" if same else "duplicate", subscription_id=claimed.subject_id)
    spec, terms = order.spec, order.terms
    await require_customer(cursor, spec.customer_id)
    await require_product(cursor, spec.product_id)
    await require_card(cursor, spec.payment_method_id, spec.customer_id)
    await cursor.execute(
        _OPEN,
        {
            **order.row.model_dump(),
            "id": order.subscription_id,
            "customer_id": spec.customer_id,
            "product_id": spec.product_id,
            "order_id": spec.order_id,
            "payment_method_id": spec.payment_method_id,
            "terms": terms.model_dump_json(),
            "currency": terms.currency,
            "period": terms.period,
            "zone": terms.zone,
            "anchor_on": terms.anchor_on,
            "metadata": json.dumps(spec.metadata),
            "at": order.at,
        },
    )
    created: dict[str, Any] = {
        "kind": "operation",
        "comment": order.comment,
        "data": {
            "do": "create",
            "arguments": _shown(spec.model_dump(mode="json")),
            "request_id": order.request_id,
        },
    }
    first = {
        "kind": "status",
        "data": {"from": None, "to": order.row.status.value, "reason": order.row.reason},
    }
    await write_events(cursor, order.subscription_id, order.at, order.actor, [created, first])
    return Opened(outcome="opened", subscription_id=order.subscription_id)


def _shown(spec: dict[str, Any]) -> dict[str, Any]:
    """The creation's arguments as history shows them: what was given, without what was left out."""
    return {name: value for name, value in spec.items() if value not in (None, {}, [])}
