"""Writing down what becomes of a slip (spec: orders.md §4). One transaction, recognised when it runs twice."""

from __future__ import annotations

from typing import Any, Final, LiteralString

from db.contacts import link_contact, lock_contact
from db.engine import Database
from db.order_shapes import DepositHappening
from db.steps import write_events
from domain.customer_details import DetailKind

_IS_RECORDED: Final[LiteralString] = "SELECT 1 AS yes FROM history WHERE event_key = %(event_key)s"
_PUT: Final[LiteralString] = """
INSERT INTO deposits AS d (id, order_id, number, status, reason, store, customer_name, phone, payment_number,
    confirmation_number, gateway_id, amount_minor, currency, deadline_at, final_at, paid_at, created_at, updated_at)
VALUES (%(deposit_id)s, %(order_id)s, %(number)s, %(status)s, %(reason)s, %(store)s, %(customer_name)s, %(phone)s,
    %(payment_number)s, %(confirmation_number)s, %(gateway_id)s, %(amount_minor)s, %(currency)s, %(deadline_at)s,
    %(final_at)s, %(paid_at)s, %(at)s, %(at)s)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, reason = excluded.reason,
    payment_number = COALESCE(NULLIF(excluded.payment_number, ''), d.payment_number),
    confirmation_number = COALESCE(NULLIF(excluded.confirmation_number, ''), d.confirmation_number),
    gateway_id = COALESCE(excluded.gateway_id, d.gateway_id), paid_at = COALESCE(excluded.paid_at, d.paid_at),
    updated_at = excluded.updated_at
"""


async def record_deposit(db: Database, happening: DepositHappening) -> None:
    """Put the slip as it stands, with the changes of its status in its order's history.

    `activities.contracts.orders.RecordDepositInput` fits. A second run changes nothing.
    """
    async with db.transaction() as cursor:
        await cursor.execute(
            "SELECT customer_id FROM orders WHERE id = %s FOR NO KEY UPDATE", (happening.order_id,)
        )
        order = await cursor.fetchone()
        await cursor.execute(_IS_RECORDED, {"event_key": happening.event_key})
        if await cursor.fetchone() is not None:
            return
        phone = await lock_contact(cursor, DetailKind.PHONE, happening.konbini.phone, happening.at)
        if order is not None:
            await link_contact(cursor, order["customer_id"], phone, happening.at)
        await cursor.execute(_PUT, _row(happening))
        events = [
            {
                "kind": "status",
                "data": {
                    "object": "deposit",
                    "deposit_id": happening.deposit_id,
                    "from": move.from_.value,
                    "to": move.to.value,
                    "reason": move.reason,
                },
            }
            for move in happening.moves
        ]
        await write_events(
            cursor,
            happening.order_id,
            happening.at,
            "system",
            events,
            number=happening.number,
            event_key=happening.event_key,
            noun="order",
        )


def _row(happening: DepositHappening) -> dict[str, Any]:
    konbini, slip = happening.konbini, happening.slip
    return {
        "deposit_id": happening.deposit_id,
        "order_id": happening.order_id,
        "number": happening.number,
        "status": happening.status.value,
        "reason": happening.reason,
        "store": konbini.store.value,
        "customer_name": konbini.customer_name,
        "phone": konbini.phone,
        "payment_number": slip.payment_number if slip else "",
        "confirmation_number": slip.confirmation_number if slip else "",
        "gateway_id": happening.gateway_id,
        "amount_minor": happening.amount.minor,
        "currency": happening.amount.currency,
        "deadline_at": happening.deadline_at,
        "final_at": happening.final_at,
        "paid_at": happening.paid_at,
        "at": happening.at,
    }
