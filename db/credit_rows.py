"""Accepting a credit, and writing down what becomes of it (spec: customers.md §3).

A credit is accepted in one transaction that holds the payment's lock: what is left is counted, and the credit's row
takes its part of it. From then on nobody else can have that part, also while the payment company's answer is unknown.
Each call can run twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal, LiteralString, Protocol

from db.balances import lock_payment
from db.columns import CHARGED_BACK_STATES
from db.credit_shapes import CreditGateway, CreditOpened, CreditOpening, CreditOutcome
from db.engine import Database
from db.requests import Cursor, claim
from db.shapes import Refused
from db.steps import conflict, write_events
from domain.credit import Creditable, CreditStatus, agreed_amount, is_returned_whole
from domain.errors import ErrorCode, TeikiError
from domain.identifiers import order_of_subscription
from domain.money import Money

SCOPE: Final = "credit"

_BALANCE: Final[LiteralString] = """
SELECT b.settled_minor, b.balance_minor, b.currency, m.kind AS method, p.customer_id,
    (SELECT o.id FROM orders o WHERE o.id = %(object_id)s
        OR o.id = %(order_id)s AND o.subscription_id = %(object_id)s) AS order_id
FROM payment_balances b
JOIN payment_methods m ON m.id = b.payment_method_id
JOIN payers p ON p.id = b.object_id
WHERE b.object_id = %(object_id)s AND b.number = %(number)s
"""
_ACCEPT: Final[LiteralString] = """
INSERT INTO credits (id, object_id, number, order_id, amount_minor, currency, status, reason, accept_risk, block_all,
                     actor, comment, created_at)
VALUES (%(id)s, %(object_id)s, %(number)s, %(order_id)s, %(amount_minor)s, %(currency)s, 'open', 'asked',
        %(accept_risk)s, %(block_all)s, %(actor)s, %(comment)s, %(at)s)
"""
_ACCEPTED: Final[LiteralString] = """
SELECT k.amount_minor, k.currency, k.order_id, p.customer_id
FROM credits k JOIN payers p ON p.id = k.object_id WHERE k.id = %(id)s
"""
_LOCK: Final[LiteralString] = """
SELECT status, object_id, number, order_id, amount_minor, counted_at FROM credits WHERE id = %(id)s FOR NO KEY UPDATE
"""
_END: Final[LiteralString] = """
UPDATE credits SET status = %(status)s, reason = %(reason)s, ended_at = %(at)s
WHERE id = %(id)s AND status = 'open'
"""
_COUNTED: Final[LiteralString] = "UPDATE credits SET counted_at = %(at)s WHERE id = %(id)s"
_ORDER: Final[LiteralString] = """
SELECT pay, paid_minor, refunded_minor, payment_status FROM orders WHERE id = %(order_id)s FOR NO KEY UPDATE
"""
_COUNT: Final[LiteralString] = """
UPDATE orders SET refunded_minor = %(refunded_minor)s, payment_status = %(payment_status)s, updated_at = %(at)s
WHERE id = %(order_id)s
"""


async def open_credit(db: Database, opening: CreditOpening, gateway: CreditGateway) -> CreditOpened:
    """Accept a credit and reserve its money, or say why not.

    Args:
        db: the database.
        opening: what was asked for; `activities.contracts.credits.OpenCredit` fits.
        gateway: what the payment company can return.

    Returns:
        `opened` (also when this very credit was accepted before); `duplicate` with the id of an earlier request's
        credit; `refused` with `payment_not_found`, `invalid_status` when nothing was settled, `request_id_conflict`,
        or what `domain.credit.agreed_amount` refuses. A refusal writes nothing.
    """
    try:
        async with db.transaction() as cursor:
            return await _open(cursor, opening, gateway)
    except Refused as refusal:
        code, message, facts = refusal.code, refusal.message, refusal.facts
    except TeikiError as error:
        if error.code is ErrorCode.DATABASE_UNAVAILABLE:
            raise
        code, message, facts = error.code.value, error.message, error.facts
    return CreditOpened(
        outcome="refused", credit_id=opening.credit_id, code=code, message=message, facts=facts
    )


async def _open(cursor: Cursor, opening: CreditOpening, gateway: CreditGateway) -> CreditOpened:
    claimed = await claim(
        cursor,
        scope=SCOPE,
        request_id=opening.request_id,
        content=_content(opening),
        subject_id=opening.credit_id,
        at=opening.at,
    )
    if claimed.kind == "conflict":
        raise conflict(opening.request_id)
    if claimed.kind == "repeated":
        outcome: Literal["opened", "duplicate"] = (
            "opened" if claimed.subject_id == opening.credit_id else "duplicate"
        )
        return await _accepted(cursor, claimed.subject_id, outcome)
    locked = await lock_payment(cursor, opening.object_id, opening.number)
    if locked is None:
        raise Refused(
            ErrorCode.PAYMENT_NOT_FOUND,
            "There is no such payment.",
            object_id=opening.object_id,
            number=opening.number,
        )
    payment = await _payment(cursor, opening, locked[0])
    amount = agreed_amount(
        Creditable(
            settled_minor=payment["settled_minor"],
            balance_minor=payment["balance_minor"],
            currency=payment["currency"],
            method=payment["method"],
            partial=gateway.partial,
            konbini=gateway.konbini,
        ),
        opening.amount,
        accept_risk=opening.accept_risk,
    )
    await _accept(cursor, opening, amount, payment["order_id"])
    return await _accepted(cursor, opening.credit_id, "opened")


def _content(opening: CreditOpening) -> dict[str, Any]:
    return {
        "object_id": opening.object_id,
        "number": opening.number,
        "amount": None if opening.amount is None else opening.amount.model_dump(),
        "accept_risk": opening.accept_risk,
        "block_all": opening.block_all,
    }


async def _payment(cursor: Cursor, opening: CreditOpening, state: str) -> dict[str, Any]:
    """The settled payment with what is left of it. Read after the lock, by a statement of its own."""
    if state in CHARGED_BACK_STATES:
        raise Refused(
            ErrorCode.INVALID_STATUS, "The customer's bank took this payment back already.", status=state
        )
    order_id = order_of_subscription(opening.object_id)
    await cursor.execute(
        _BALANCE, {"object_id": opening.object_id, "number": opening.number, "order_id": order_id}
    )
    payment = await cursor.fetchone()
    if payment is None:
        raise Refused(
            ErrorCode.INVALID_STATUS,
            f"This payment is {state}: nothing was paid that could be returned.",
            status=state,
        )
    return payment


async def _accept(cursor: Cursor, opening: CreditOpening, amount: Money, order_id: str | None) -> None:
    await cursor.execute(
        _ACCEPT,
        {
            "id": opening.credit_id,
            "object_id": opening.object_id,
            "number": opening.number,
            "order_id": order_id,
            "amount_minor": amount.minor,
            "currency": amount.currency,
            "accept_risk": opening.accept_risk,
            "block_all": opening.block_all,
            "actor": opening.actor,
            "comment": opening.comment,
            "at": opening.at,
        },
    )
    arguments: dict[str, Any] = {"credit_id": opening.credit_id, "amount": amount.model_dump()}
    arguments |= {name: True for name in ("accept_risk", "block_all") if getattr(opening, name)}
    await _tell(cursor, opening, "credit", arguments)


class _Said(Protocol):
    """A person's operation on a credit: who, when, why, about which payment."""

    @property
    def object_id(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def at(self) -> datetime: ...
    @property
    def actor(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def comment(self) -> str: ...


async def _tell(
    cursor: Cursor, said: _Said, do: str, arguments: dict[str, Any], *, event_key: str | None = None
) -> None:
    data = {"do": do, "arguments": arguments, "request_id": said.request_id}
    await write_events(
        cursor,
        said.object_id,
        said.at,
        said.actor,
        [{"kind": "operation", "comment": said.comment, "data": data}],
        number=said.number,
        event_key=event_key,
        noun="order" if said.object_id.startswith("ord_") else "subscription",
    )


async def _accepted(cursor: Cursor, credit_id: str, outcome: Literal["opened", "duplicate"]) -> CreditOpened:
    await cursor.execute(_ACCEPTED, {"id": credit_id})
    row = await cursor.fetchone()
    assert row is not None, "a claimed request id has its credit"
    return CreditOpened(
        outcome=outcome,
        credit_id=credit_id,
        amount=Money(minor=row["amount_minor"], currency=row["currency"]),
        order_id=row["order_id"],
        customer_id=row["customer_id"],
    )


async def record_credit(db: Database, outcome: CreditOutcome) -> bool:
    """Write down a person's word on a credit, and that it has failed, if it has. `returned` writes itself.

    Args:
        db: the database.
        outcome: what was said; `activities.contracts.credits.RecordCredit` fits.

    Returns:
        False, and nothing changes, when it was written before.
    """
    async with db.transaction() as cursor:
        await cursor.execute(_LOCK, {"id": outcome.credit_id})
        claimed = await claim(
            cursor,
            scope=f"credit:{outcome.credit_id}",
            request_id=outcome.request_id,
            content={"arguments": dict(outcome.arguments)},
            subject_id=outcome.credit_id,
            at=outcome.at,
        )
        if claimed.kind != "new":
            return False
        if outcome.status is CreditStatus.FAILED:
            await cursor.execute(
                _END,
                {
                    "id": outcome.credit_id,
                    "status": outcome.status.value,
                    "reason": outcome.reason,
                    "at": outcome.at,
                },
            )
        arguments = {"credit_id": outcome.credit_id, **outcome.arguments}
        await _tell(cursor, outcome, "settle_attention", arguments)
        return True


# ---------------------------------------------------------------------- the order concerned


async def mark_counted(cursor: Cursor, credit_ids: tuple[str, ...], at: datetime) -> None:
    """The order counts these as refunded: in the transaction that writes its new sums."""
    for credit_id in credit_ids:
        await cursor.execute(_COUNTED, {"id": credit_id, "at": at})


async def count_on_ended_order(db: Database, credit_id: str, *, at: datetime) -> bool:
    """The order concerned has ended and can be told nothing: its sums and its history are brought up to date here.

    Returns:
        False, and nothing changes, when it counted this credit before, or none was returned.
    """
    async with db.transaction() as cursor:
        await cursor.execute(_LOCK, {"id": credit_id})
        credit = await cursor.fetchone()
        if credit is None or credit["status"] != CreditStatus.RETURNED or credit["counted_at"] is not None:
            return False
        parameters: dict[str, Any] = {"order_id": credit["order_id"], "at": at}
        await cursor.execute(_ORDER, parameters)
        order = await cursor.fetchone()
        if order is None:
            return False
        refunded = min(order["paid_minor"], order["refunded_minor"] + credit["amount_minor"])
        status = order["payment_status"]
        if is_returned_whole(
            pay_is_recurring=order["pay"] == "recurring",
            paid_minor=order["paid_minor"],
            refunded_minor=refunded,
        ):
            status = "refunded"
        await cursor.execute(_COUNT, {**parameters, "refunded_minor": refunded, "payment_status": status})
        await mark_counted(cursor, (credit_id,), at)
        if status != order["payment_status"]:
            moved = {
                "object": "payment",
                "from": order["payment_status"],
                "to": status,
                "reason": "credited",
            }
            await write_events(
                cursor,
                credit["order_id"],
                at,
                "system",
                [{"kind": "status", "data": moved}],
                number=credit["number"],
                noun="order",
            )
        return True
