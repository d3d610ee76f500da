"""An order that was paid by card and given back in part, for the auditor's world, and the breaks in its books."""

from __future__ import annotations

from activities.contracts.billing import ChargeInput, RefundInput
from activities.contracts.credits import OpenCredit
from activities.contracts.orders import RecordOrderInput
from db import credit_rows
from db.credit_shapes import CreditGateway
from domain import order_credits
from domain.credit import CreditFact, CreditStatus
from domain.money import Money
from domain.order_projection import changes, row_of
from tests.activities.order_desk import OrderDesk
from tests.db.house import NOW

_PART = Money(minor=300, currency="JPY")


async def sold(shop: OrderDesk) -> str:
    """A membership with a number, of which 300 yen went back; answers the order's id."""
    state = await shop.placed("card", type="membership", membership_numbers=True, usage_period="P30D")
    charge = ChargeInput(
        object_id=state.id,
        number=1,
        attempt=1,
        due_at=NOW,
        amount_minor=1000,
        currency="JPY",
        at=NOW,
        row={},
    )
    assert (await shop.run(shop.billing.charge, charge)).outcome == "settled"
    assert (await shop.run(shop.orders.record, shop.completed(state))).outcome == "recorded"
    of_credit = {"object_id": state.id, "number": 1, "at": NOW, "credit_id": f"crd_{state.id}"}
    credit = OpenCredit(amount=_PART, request_id=f"credit {state.id}", actor="operator:desk", **of_credit)
    returns = CreditGateway(partial=True, konbini=True)
    assert (await credit_rows.open_credit(shop.db, credit, returns)).outcome == "opened"
    refund = RefundInput(reason="credit", **of_credit)
    assert (await shop.run(shop.billing.refund, refund)).outcome == "settled"
    fact = CreditFact(
        credit_id=credit.credit_id,
        object_id=state.id,
        number=1,
        amount_minor=_PART.minor,
        status=CreditStatus.RETURNED,
    )
    before = row_of(state, NOW)
    order_credits.credit_changed(state, fact)
    events, credit_ids = order_credits.count_credits(state)
    counted = RecordOrderInput(
        order_id=state.id,
        at=NOW,
        actor="system",
        row=changes(before, row_of(state, NOW)),
        events=tuple(events),
        payment=1,
        event_key=f"{state.id}:2",
        credit_ids=credit_ids,
    )
    assert (await shop.run(shop.orders.record, counted)).outcome == "recorded"
    return state.id


_LONG_AGO = "UPDATE attempts SET recorded_at = recorded_at - interval '1 day' WHERE object_id = '{sold}'"
SHOP_BREAKS = {
    "a membership number was left out": ({"I1"}, "UPDATE permissions SET membership_number = 2"),
    "access that nobody paid": (
        {"I1", "I2", "I3", "I6"},
        "DELETE FROM attempts WHERE object_id = '{sold}' AND purpose = 'charge'",
    ),
    "one request placed two orders": (
        {"I1"},
        (
            "INSERT INTO history (subject_id, kind, at, actor, data) SELECT 'ord_other', kind, at, actor, data"
            " FROM history WHERE subject_id = '{sold}' AND data->>'do' = 'place'"
        ),
    ),
    "an order says that more was paid": (
        {"I3"},
        _LONG_AGO,
        "UPDATE orders SET paid_minor = 1001 WHERE id = '{sold}'",
    ),
    "an order says that less went back": (
        {"I3"},
        _LONG_AGO,
        "UPDATE orders SET refunded_minor = 0 WHERE id = '{sold}'",
    ),
    "an order was not confirmed in time": (
        {"I4"},
        "UPDATE orders SET next_at = next_at - interval '8 days' WHERE id = '{sold}'",
    ),
    "a credit was accepted and never sent": (
        {"I4", "I8"},
        (
            "INSERT INTO credits (id, object_id, number, amount_minor, currency, status, reason, accept_risk,"
            " block_all, actor, created_at) SELECT 'crd_idle', object_id, number, 1, currency, 'open', 'asked', false,"
            " false, actor, created_at FROM credits WHERE object_id = '{sold}'"
        ),
    ),
    "an order does not count a credit": ({"I4"}, "UPDATE credits SET counted_at = NULL"),
    "an order's change was announced to nobody": (
        {"I6"},
        "DELETE FROM outbox WHERE topic = 'order.status' AND payload->>'to' = 'complete'",
    ),
    "an order ended without an event": (
        {"I6"},
        "UPDATE orders SET status = 'expired', next_kind = NULL, next_at = NULL WHERE id = '{sold}'",
    ),
    "a credit that went back has no event": (
        {"I6"},
        "DELETE FROM history WHERE subject_id = '{sold}' AND kind = 'refund'",
    ),
    "a credit failed and its money went back": ({"I6"}, "UPDATE credits SET status = 'failed'"),
    "a customer's order was charged after the block": (
        {"I7"},
        (
            "INSERT INTO history (subject_id, kind, at, recorded_at, actor, data)"
            " SELECT customer_id, 'operation', created_at, '2026-01-01', 'operator:desk', '{{\"do\": \"block\"}}'"
            " FROM orders WHERE id = '{sold}'"
        ),
    ),
    "an order that was placed left no trace": (
        {"I8"},
        "DELETE FROM history WHERE subject_id = '{sold}' AND data->>'do' = 'place'",
    ),
    "an order's request id was not kept": ({"I8"}, "DELETE FROM requests WHERE scope = 'order.place'"),
}
