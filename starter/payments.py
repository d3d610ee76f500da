"""Payments of all subscriptions and orders: as a list, and given back (spec: exports.md, customers.md §3)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from db.reads import payments as reads
from db.reads.credits import CreditItem
from db.reads.order_names import paid_object
from db.reads.payments import PaymentFilter, PaymentItem, PaymentPage
from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable
from domain.identifiers import credit_workflow_id, require_id
from domain.money import Money
from domain.notices import is_number
from starter.subscriptions import DEFAULT_ACTOR
from workflows.credit import Credit
from workflows.credit_messages import AskCredit, CreditInput, CreditOpened
from workflows.visibility import KIND, STATUS

if TYPE_CHECKING:
    from starter.repayments import Added
    from starter.teiki import Teiki


async def payment_named(teiki: Teiki, name: str) -> tuple[str, int]:
    """`OBJECT/NUMBER` as object id and number; the object may be an order's number.

    Raises:
        TeikiError: `invalid_input`, `order_not_found`.
    """
    owner, _, number = name.rpartition("/")
    if not owner or not is_number(number):
        raise TeikiError(
            ErrorCode.INVALID_INPUT,
            "A payment is named OBJECT/NUMBER, as in sub_…/3.",
            payment=repeatable(name, 80),
        )
    return await payer_named(teiki, owner), int(number)


async def payer_named(teiki: Teiki, name: str) -> str:
    """Whose payments these are: a subscription's, an order's; a recurring order's are its subscription's.

    Raises:
        TeikiError: `invalid_input`, `order_not_found`.
    """
    if name.startswith("sub_"):
        return require_id(name, "sub")
    order = await teiki.orders.find(name)
    return await paid_object(await teiki.database(), order.id)


class Payments:
    """`teiki.payments`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def list(
        self,
        filter: PaymentFilter | None = None,  # noqa: A002 - the word the specification uses
        *,
        cursor: str | None = None,
        limit: int = reads.LIMIT_DEFAULT,
    ) -> PaymentPage:
        """One page, the latest due first; `next_cursor` asks for the next."""
        return await reads.list_payments(await self._teiki.database(), filter, cursor=cursor, limit=limit)

    async def credit(
        self,
        name: str,
        number: int,
        amount: Money | None = None,
        *,
        accept_risk: bool = False,
        block_all: bool = False,
        bank_account: str | None = None,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
        scenario_start: datetime | None = None,
    ) -> CreditItem:
        """Give back a settled payment, or a part of it; several parts up to what is left.

        Answers when the payment company has answered once. While nobody knows the outcome the credit is `open`; it goes
        on by itself, and its part of the payment is nobody else's.

        Args:
            name: whose payment: a subscription's id, or an order's id or number.
            number: of the payment.
            amount: None: everything that is left.
            accept_risk: "I understand the risk and want to proceed": for a part of a SEPA or other wire payment.
            block_all: block the customer as well.
            bank_account: the payment company's token for the account that a Konbini remittance goes to; None: it asks
                the customer.
            request_id: repeating the call with it answers with the same credit.
            actor: who asks.
            comment: for operators, never shown to customers.
            scenario_start: in simulations only, the present instant of the object's own clock.

        Raises:
            TeikiError: `payment_not_found`, `order_not_found`; `invalid_status` when nothing was paid;
                `credit_exceeds_balance` with the balance; `currency_mismatch`; `risk_not_accepted`;
                `refund_not_supported`, `partial_refund_not_supported`; `request_id_conflict`; `engine_unavailable`.
        """
        if block_all:
            await self._teiki.gate.admit("customer.block", actor=actor, subject_id=name)
        credit_id = self._teiki.new_id("crd")
        ask = AskCredit(
            object_id=await payer_named(self._teiki, name),
            number=number,
            amount=amount,
            accept_risk=accept_risk,
            block_all=block_all,
            bank_account=bank_account,
            request_id=request_id or self._teiki.new_id("req"),
            actor=actor,
            comment=comment,
        )
        opened: CreditOpened = await self._teiki.engine.start_and_update(
            Credit,
            CreditInput(id=credit_id, ask=ask, scenario_start=scenario_start),
            Credit.await_answer,
            workflow_id=credit_workflow_id(credit_id),
            shown={STATUS: "open", KIND: "credit"},
            summary="Credit",
        )
        if opened.outcome == "refused":
            raise TeikiError(
                ErrorCode(opened.code or ErrorCode.INVALID_INPUT), opened.message, **opened.facts
            )
        return await self._teiki.credits.show(opened.credit_id)

    async def add_repayment(self, name: str, **how: Any) -> Added:
        """Get money back for a payment that was charged back: `teiki.repayments.add`, by its other name."""
        return await self._teiki.repayments.add(name, **how)

    async def find(self, name: str) -> PaymentItem:
        """One payment, `OBJECT/NUMBER`.

        Raises:
            TeikiError: `payment_not_found`, `order_not_found`, `invalid_input`.
        """
        object_id, number = await payment_named(self._teiki, name)
        found = await reads.find_payment(await self._teiki.database(), object_id, number)
        if found is None:
            raise TeikiError(
                ErrorCode.PAYMENT_NOT_FOUND, "There is no such payment.", payment=repeatable(name, 80)
            )
        return found
