"""Chargebacks, where no webhook tells of them: an operator enters one (spec: customers.md §4)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from activities.contracts.chargebacks import ChargebackOrder, ChargebackTaken
from domain.errors import ErrorCode, TeikiError
from domain.free_text import require_free_text
from domain.identifiers import chargeback_workflow_id
from starter.payments import payment_named
from starter.subscriptions import DEFAULT_ACTOR
from workflows.chargeback import Chargeback

if TYPE_CHECKING:
    from starter.teiki import Teiki


class Chargebacks:
    """`teiki.chargebacks`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def enter(
        self, payment: str, *, comment: str = "", request_id: str | None = None, actor: str = DEFAULT_ACTOR
    ) -> ChargebackTaken:
        """Say that a payment was charged back. The payment company's book is asked, and decides about the money.

        Args:
            payment: `OBJECT/NUMBER`: a subscription's or an order's id (or an order number), and the payment's number.
            comment: for operators.
            request_id: repeating the call with it changes nothing more; neither does another call.
            actor: who says so.

        Returns:
            `booked` when the payment company's book shows it; `entered` while it does not: the payment is a chargeback
            now, and the ledger follows when the book does; `known` when it was one before.

        Raises:
            TeikiError: `payment_not_found`; `invalid_status` when nothing was paid, or all of it went back;
                `gateway_disagrees`; `engine_unavailable`.
        """
        require_free_text(comment, what="comment")
        object_id, number = await payment_named(self._teiki, payment)
        order = ChargebackOrder(
            object_id=object_id,
            number=number,
            at=self._teiki.now(),
            actor=actor,
            entered=True,
            comment=comment,
        )
        said = hashlib.sha256(f"{actor}:{comment}".encode()).hexdigest()[:16]
        request = request_id or self._teiki.new_id("req")
        # Beside the workflow of a notice, which may be waiting for the book: the books know the second of the two.
        workflow_id = f"{chargeback_workflow_id(object_id, number)}/{request}/{said}"
        taken: ChargebackTaken = await self._teiki.engine.run(Chargeback, order, workflow_id=workflow_id)
        if taken.outcome == "refused":
            raise TeikiError(
                ErrorCode(taken.code or ErrorCode.INVALID_STATUS),
                taken.message,
                object_id=object_id,
                number=number,
            )
        return taken
