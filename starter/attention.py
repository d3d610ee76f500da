"""What waits for a person, and the person's word (spec: charging.md §2.4).

Two things wait: attempts whose outcome nobody could find out (`attention`), named by their reference, and incidents,
named `inc_…`. A word on an attempt is checked at the gateway before it changes anything; an incident is closed with a
comment and changes no money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from activities.contracts.records import CloseIncident
from db.reads.attention import Waiting, WaitingAttempt, waiting, waiting_attempt
from db.reads.order_names import order_paid_by
from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable, require_free_text
from domain.identifiers import deposit_id, repayment_of
from domain.operations import PAYMENT_ITSELF
from starter.catalogue import Entries
from starter.subscriptions import DEFAULT_ACTOR
from workflows.catalogue import CloseIncidentEntry

if TYPE_CHECKING:
    from db.reads.credits import CreditItem
    from db.reads.deposits import DepositItem
    from db.reads.repayments import RepaymentItem
    from domain.order_projection import OrderView
    from domain.projection import SubscriptionView
    from starter.orders import Order

    Settled = SubscriptionView | OrderView | DepositItem | CreditItem | RepaymentItem

Word = Literal["charged", "not_charged", "returned", "not_returned", "again"]
WORDS: Final[dict[str, tuple[Word, ...]]] = {
    "charge": ("charged", "not_charged"),
    "refund": ("returned", "not_returned", "again"),
    "twin": ("returned", "not_returned", "again"),
    "repayment": ("charged", "not_charged"),
}
"""What may be said of an attempt, by its purpose. `again`: it was not returned, ask the gateway under a new key."""


class Attention(Entries):
    """`teiki.attention`."""

    async def list(self, *, limit: int = 200) -> Waiting:
        """Attempts in `attention` and open incidents."""
        return await waiting(await self._teiki.database(), limit=limit)

    async def settle(
        self,
        reference: str,
        word: Word,
        *,
        gateway_id: str | None = None,
        comment: str,
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
    ) -> Settled:
        """Say what became of an attempt; the gateway is asked first and knows better.

        Args:
            reference: of the attempt, as `list` shows it: `<subscription or order>/<payment>/<attempt>`, `…/refund`,
                `…/twin/…`, `…/credit/…`.
            word: one of `WORDS` for the attempt's purpose.
            gateway_id: with `charged` and `returned`: where the gateway shows it; it is checked there.
            comment: how you know; for operators.
            request_id: repeating the call with it changes nothing more.
            actor: who says so.

        Raises:
            TeikiError: `nothing_to_settle`; `gateway_disagrees` when the gateway does not confirm it;
                `invalid_input` for a word that does not fit; `engine_unavailable`.
        """
        attempt = await waiting_attempt(await self._teiki.database(), reference)
        if attempt is None:
            raise TeikiError(
                ErrorCode.NOTHING_TO_SETTLE,
                "No attempt of this reference waits for a person.",
                reference=repeatable(reference, 200),
            )
        if word not in WORDS[attempt.purpose]:
            raise TeikiError(
                ErrorCode.INVALID_INPUT,
                f"Of a {attempt.purpose} one can say: {', '.join(WORDS[attempt.purpose])}.",
                word=repeatable(word),
            )
        moved = word in ("charged", "returned")
        if moved and not gateway_id:
            raise TeikiError(
                ErrorCode.INVALID_INPUT, "Say where the gateway shows it (its id there).", word=word
            )
        said = {
            "number": attempt.number,
            "returns": None if attempt.purpose in ("charge", "repayment") else _returned(attempt),
            "moved": moved,
            "gateway_id": gateway_id if moved else None,
            "again": word == "again",
            "request_id": request_id or self._teiki.new_id("req"),
            "actor": actor,
            "comment": comment,
        }
        return await self._tell(attempt, said)

    async def _tell(self, attempt: WaitingAttempt, said: dict[str, Any]) -> Settled:
        """Tell whoever remembers the attempt: a subscription, an order or one of its slips.

        What a slip's payment brought twice or too late goes back from the slip; a payment of a recurring order that
        was canceled goes back from the order, though it is its subscription's. A repayment looks after its own charges.
        """
        teiki = self._teiki
        if attempt.credit_id is not None:
            return await teiki.credits.settle_attention(attempt.credit_id, **said)
        if (repayment_id := repayment_of(attempt.reference)) is not None:
            return await teiki.repayments.settle_attention(repayment_id, **said)
        if attempt.object_id.startswith("ord_"):
            slip = await teiki.deposits.find(deposit_id(attempt.object_id, attempt.number))
            of_slip = slip is not None and attempt.purpose != "refund"
            order = teiki.orders.get(attempt.object_id)
            return await order.settle_attention(slip=attempt.number if of_slip else None, **said)
        if attempt.purpose == "refund":
            order_id = await order_paid_by(await teiki.database(), attempt.object_id)
            answer = await _told(teiki.orders.get(order_id), said) if order_id is not None else None
            if answer is not None:
                return answer
        return await teiki.subscriptions.get(attempt.object_id).settle_attention(**said)

    async def close(
        self, incident_id: str, *, comment: str, request_id: str | None = None, actor: str = DEFAULT_ACTOR
    ) -> str:
        """Close an incident that somebody has looked into; answers its id. Closing it twice changes nothing.

        Raises:
            TeikiError: `incident_not_found`, `engine_unavailable`.
        """
        return await self._enter(
            CloseIncidentEntry,
            CloseIncident(
                id=incident_id,
                request_id=request_id or self._teiki.new_id("req"),
                actor=actor,
                comment=require_free_text(comment, what="comment"),
                at=self._teiki.now(),
            ),
        )


async def _told(order: Order, said: dict[str, Any]) -> Settled | None:
    """The order's answer; None: it was not the order's to settle."""
    try:
        return await order.settle_attention(slip=None, **said)
    except TeikiError as error:
        if error.code in (ErrorCode.NOTHING_TO_SETTLE, ErrorCode.INVALID_STATUS):
            return None
        raise


def _returned(attempt: WaitingAttempt) -> str:
    """What a refund gives back, in the command's word."""
    return attempt.returns if attempt.purpose == "twin" and attempt.returns else PAYMENT_ITSELF
