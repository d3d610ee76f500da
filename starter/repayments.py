"""Repayments: getting money back for a payment that was charged back (spec: customers.md §4).

By a link that the customer pays by, or as money that came otherwise. Never more than is owed, however many ask at once.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from db.reads import repayments as reads
from db.reads.repayments import RepaymentItem, RepaymentPage
from domain.errors import ErrorCode, TeikiError
from domain.identifiers import repayment_workflow_id, require_id
from domain.money import Money
from domain.repayment import LINK_LIFE, REMIND_AFTER, RepaymentStatus, require_link_terms
from starter.engine import NotRunning
from starter.payments import payment_named
from starter.subscriptions import DEFAULT_ACTOR
from workflows.messages import Command, SettleAttention
from workflows.repayment import Repayment as RepaymentWorkflow
from workflows.repayment_messages import (
    AddRepayment,
    CancelRepayment,
    Link,
    Pay,
    Received,
    RepaymentAdded,
    RepaymentInput,
    RepaymentView,
)
from workflows.visibility import KIND, STATUS

if TYPE_CHECKING:
    from starter.teiki import Teiki


class Added(NamedTuple):
    """A repayment, and its link's URL: only this caller ever has it. None: for money that came otherwise, and when the
    call repeats an earlier one.
    """

    repayment: RepaymentItem
    url: str | None = None


class Repayments:
    """`teiki.repayments`."""

    def __init__(self, teiki: Teiki) -> None:
        self._teiki = teiki

    async def add(
        self,
        payment: str,
        *,
        link: bool = False,
        manual: Received | None = None,
        amount: Money | None = None,
        life: timedelta = LINK_LIFE,
        remind_after: Sequence[timedelta] = REMIND_AFTER,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
    ) -> Added:
        """Ask the customer for the money, or write down money that came.

        Args:
            payment: `OBJECT/NUMBER`: a subscription's or an order's id (or an order number), and the payment's number.
            link: make a link, single payment, expiring; an open one of the same payment ends.
            manual: money that came otherwise; less than all that is owed is allowed.
            amount: of a link: what it asks for; all that is owed, unless said.
            life: of a link, from a minute to 180 days.
            remind_after: so long after its opening a link's reminders go to the outbox (`repayment.reminder`).
            request_id: repeating the call with it answers with the same repayment.
            actor: who asks.
            comment: for operators.

        Raises:
            TeikiError: `payment_not_found`; `invalid_status` when the payment was not charged back;
                `repayment_exceeds_balance`, with the balance; `currency_mismatch`; `live_attempt_exists` while an
                earlier link is being paid; `invalid_duration`; `request_id_conflict`; `engine_unavailable`.
        """
        if link == (manual is not None):
            raise TeikiError(ErrorCode.INVALID_INPUT, "Either a link, or money that came otherwise.")
        require_link_terms(life, remind_after)
        object_id, number = await payment_named(self._teiki, payment)
        token = secrets.token_urlsafe(32)
        terms = Link(
            amount=amount,
            token_hash=hashlib.sha256(token.encode()).hexdigest(),
            life=life,
            remind_after=tuple(remind_after),
        )
        command = AddRepayment(
            request_id=request_id or self._teiki.new_id("req"),
            actor=actor,
            comment=comment,
            object_id=object_id,
            number=number,
            link=terms if link else None,
            received=manual,
        )
        added = await self._started(command)
        is_mine = link and added.outcome == "opened"
        url = f"{self._teiki.settings.public_url.rstrip('/')}/repayment/{token}" if is_mine else None
        return Added(await self.show(added.repayment_id), url)

    async def _started(self, command: AddRepayment) -> RepaymentAdded:
        repayment_id = self._teiki.new_id("rep")
        added: RepaymentAdded = await self._teiki.engine.start_and_update(
            RepaymentWorkflow,
            RepaymentInput(id=repayment_id, add=command),
            RepaymentWorkflow.await_added,
            workflow_id=repayment_workflow_id(repayment_id),
            shown={STATUS: RepaymentStatus.OPEN.value, KIND: "repayment"},
            summary=f"repayment of payment {command.number}",
        )
        if added.outcome == "refused":
            raise TeikiError(ErrorCode(added.code or ErrorCode.INVALID_INPUT), added.message, **added.facts)
        return added

    async def show(self, repayment_id: str) -> RepaymentItem:
        """A repayment as the books show it.

        Raises:
            TeikiError: `repayment_not_found`.
        """
        found = await reads.find_repayment(await self._teiki.database(), require_id(repayment_id, "rep"))
        if found is None:
            raise TeikiError(
                ErrorCode.REPAYMENT_NOT_FOUND, "There is no such repayment.", repayment_id=repayment_id
            )
        return found

    async def list(
        self,
        payment: str | None = None,
        *,
        status: RepaymentStatus | str | None = None,
        cursor: str | None = None,
        limit: int = reads.LIMIT_DEFAULT,
    ) -> RepaymentPage:
        """One page, newest first: of one payment (`OBJECT/NUMBER`), or of all."""
        object_id, number = await payment_named(self._teiki, payment) if payment else (None, None)
        return await reads.list_repayments(
            await self._teiki.database(),
            object_id=object_id,
            number=number,
            status=_known_status(status),
            cursor=cursor,
            limit=limit,
        )

    async def cancel(
        self,
        repayment_id: str,
        *,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
    ) -> RepaymentItem:
        """Nobody can pay by this link any more.

        Raises:
            TeikiError: `repayment_not_found`; `invalid_status` when it has ended; `live_attempt_exists` while it is
                being paid.
        """
        request = request_id or self._teiki.new_id("req")
        command = CancelRepayment(request_id=request, actor=actor, comment=comment)
        await self._send(repayment_id, RepaymentWorkflow.cancel, command)
        return await self.show(repayment_id)

    async def pay(
        self, repayment_id: str, payment_method_id: str, *, request_id: str, actor: str
    ) -> RepaymentView:
        """Charge the card the customer chose: what the link's page does; once, however often it is asked.

        Raises:
            TeikiError: `link_not_usable`, `live_attempt_exists`, `repayment_not_found`, `engine_unavailable`.
        """
        command = Pay(request_id=request_id, actor=actor, payment_method_id=payment_method_id)
        return await self._send(repayment_id, RepaymentWorkflow.pay, command)

    async def settle_attention(self, repayment_id: str, **said: Any) -> RepaymentItem:
        """A person's word on a charge in `attention`; see `teiki.attention.settle`, which reads the rest."""
        await self._send(repayment_id, RepaymentWorkflow.settle_attention, SettleAttention(**said))
        return await self.show(repayment_id)

    async def _send(self, repayment_id: str, update: Any, command: Command) -> RepaymentView:
        workflow_id = repayment_workflow_id(require_id(repayment_id, "rep"))
        update_id = f"{command.request_id}:{command.fingerprint()}"
        try:
            answer = await self._teiki.engine.update(workflow_id, update, command, update_id=update_id)
        except NotRunning as error:
            found = await self.show(repayment_id)
            if found.status is RepaymentStatus.OPEN:
                raise TeikiError(
                    ErrorCode.ENGINE_UNAVAILABLE,
                    "Its workflow is not running although the books say it is; ask an operator (docs/operations.md).",
                    repayment_id=repayment_id,
                ) from error
            raise TeikiError(
                ErrorCode.INVALID_STATUS,
                "This repayment has ended.",
                status=found.status.value,
                allowed="open",
            ) from error
        return cast("RepaymentView", answer)


def _known_status(given: RepaymentStatus | str | None) -> RepaymentStatus | None:
    try:
        return None if given is None else RepaymentStatus(given)
    except ValueError as error:
        known = [status.value for status in RepaymentStatus]
        raise TeikiError(
            ErrorCode.INVALID_INPUT, "There is no such status.", status=str(given)[:40], known=known
        ) from error
