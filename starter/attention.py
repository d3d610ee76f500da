"""What waits for a person, and the person's word (spec: charging.md §2.4).

Two things wait: attempts whose outcome nobody could find out (`attention`), named by their reference, and incidents,
named `inc_…`. A word on an attempt is checked at the gateway before it changes anything; an incident is closed with a
comment and changes no money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from activities.contracts.records import CloseIncident
from db.reads.attention import Waiting, WaitingAttempt, waiting, waiting_attempt
from domain.errors import ErrorCode, TeikiError
from domain.free_text import require_free_text
from domain.operations import PAYMENT_ITSELF
from starter.catalogue import Entries
from starter.subscriptions import DEFAULT_ACTOR
from workflows.catalogue import CloseIncidentEntry

if TYPE_CHECKING:
    from domain.projection import SubscriptionView

Word = Literal["charged", "not_charged", "returned", "not_returned", "again"]
WORDS: Final[dict[str, tuple[Word, ...]]] = {
    "charge": ("charged", "not_charged"),
    "refund": ("returned", "not_returned", "again"),
    "twin": ("returned", "not_returned", "again"),
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
    ) -> SubscriptionView:
        """Say what became of an attempt; the gateway is asked first and knows better.

        Args:
            reference: of the attempt, as `list` shows it: `<subscription>/<payment>/<attempt>`, `…/refund`, `…/twin/…`.
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
                reference=reference[:200],
            )
        if word not in WORDS[attempt.purpose]:
            raise TeikiError(
                ErrorCode.INVALID_INPUT,
                f"Of a {attempt.purpose} one can say: {', '.join(WORDS[attempt.purpose])}.",
                word=str(word)[:60],
            )
        moved = word in ("charged", "returned")
        if moved and not gateway_id:
            raise TeikiError(
                ErrorCode.INVALID_INPUT, "Say where the gateway shows it (its id there).", word=word
            )
        return await self._teiki.subscriptions.get(attempt.object_id).settle_attention(
            number=attempt.number,
            returns=None if attempt.purpose == "charge" else _returned(attempt),
            moved=moved,
            gateway_id=gateway_id if moved else None,
            again=word == "again",
            request_id=request_id,
            actor=actor,
            comment=comment,
        )

    async def close(
        self, incident_id: str, *, comment: str, request_id: str | None = None, actor: str = DEFAULT_ACTOR
    ) -> str:
        """Close an incident that somebody has looked into; answers its id. Closing it twice changes nothing.

        Raises:
            TeikiError: `incident_not_found`, `engine_unavailable`.
        """
        require_free_text(comment, what="comment")
        return await self._enter(
            CloseIncidentEntry,
            CloseIncident(
                id=incident_id,
                request_id=request_id or self._teiki.new_id("req"),
                actor=actor,
                comment=comment,
                at=self._teiki.now(),
            ),
        )


def _returned(attempt: WaitingAttempt) -> str:
    """What a refund gives back, in the command's word."""
    return attempt.returns if attempt.purpose == "twin" and attempt.returns else PAYMENT_ITSELF
