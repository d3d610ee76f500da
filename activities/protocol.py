"""Moving money once, whatever breaks: the one protocol of charges, refunds and the return of twins.

A movement is one row written before the call, one key for ever, and an answer that may be "we don't know". It can be
brought forward twice at any point: a second run finds the row and asks the gateway instead of sending again. Only the
workflow decides, after the gateway's in-flight horizon, that the same key may be sent once more, and each such turn
is claimed in the row before it goes out. What was in doubt on the way is verified later (spec: charging.md §2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from activities.contracts.billing import ChargeInput, Outcome, RefundInput, Verdict
from db import attempts
from db.engine import Database
from domain.declines import DeclineCode
from domain.identifiers import idempotency_key
from domain.money import Money
from domain.unresolved import Mode
from gateways.port import (
    ChargeOutcome,
    Declined,
    GatewayCharge,
    GatewayUnavailable,
    PaymentGateway,
    Pending,
    Settled,
    Unavailable,
    Unknown,
)

_DOUBTFUL = frozenset({"sent", "unknown", "attention"})
"""States in which an earlier request may have done more than we know."""


@dataclass(frozen=True)
class Disputed:
    """The gateway's book contradicts ours or itself: nothing is sent or booked until a person has looked."""

    hint: str


Found = ChargeOutcome | Disputed


@dataclass(frozen=True, kw_only=True)
class Movement(ABC):
    """One movement of money: how it begins in the books, goes out, and is written down.

    Attributes:
        reference: names the movement for ever, and with `purpose` its key.
        at: the instant of this question, in the subscription's time; what is written is dated by it.
        order: what the workflow asks for.
    """

    db: Database
    gateway: PaymentGateway
    reference: str
    at: datetime
    order: ChargeInput | RefundInput

    purpose: ClassVar[str]
    refusal_waits: ClassVar[bool] = False
    """A refused refund waits for a person; a declined charge is simply declined."""
    is_verified_later: ClassVar[bool] = False
    """Whether a doubt asks for a second look. A refund of all that is left needs none: a gateway returns no charge
    twice. A credit does: of a charge that is returned in part, the same part can be returned twice."""

    @property
    def key(self) -> str:
        return idempotency_key(self.purpose, self.reference)

    @abstractmethod
    async def begin(self) -> attempts.Begun:
        """Write the row, or find it."""

    @abstractmethod
    async def transmit(self, begun: attempts.Begun) -> ChargeOutcome:
        """The request itself."""

    async def give_up(self, gateway_id: str) -> ChargeOutcome:
        """Ask the gateway to let go of what it has not decided."""
        return await self.gateway.void(
            charge_id=gateway_id,
            reference=self.reference,
            idempotency_key=idempotency_key("void", self.reference),
        )

    async def told(self, pending: Pending) -> dict[str, Any]:
        """What the workflow is told of a pending movement beyond that it is pending."""
        return {}

    @abstractmethod
    async def write_settled(self, settled: Settled, *, doubtful: bool) -> None: ...

    @abstractmethod
    async def write_declined(self, declined: Declined, *, doubtful: bool) -> None: ...

    async def write_refused(self, declined: Declined) -> None:  # noqa: B027 - most have nothing to write
        """A refusal that waits for a person may have cost something already."""

    # ------------------------------------------------------------------ the protocol

    async def bring_forward(self) -> Outcome:
        """Send it, ask about it, send it again, or give it up, as `mode` says and the row allows."""
        begun = await self.begin()
        if begun.outcome == "blocked":
            return await self._held_back(begun)
        if begun.outcome == "nothing_left":
            return Outcome(outcome="settled")
        if begun.state == "settled":
            return Outcome(outcome="settled", verify_in_s=self._verify_in_s(begun.needs_verification))
        if begun.state in ("declined", "abandoned"):
            return Outcome(
                outcome="declined",
                decline=DeclineCode(begun.decline or DeclineCode.NEVER_ARRIVED),
                verify_in_s=self._verify_in_s(begun.needs_verification),
            )
        if begun.outcome == "new" and self.order.mode in (Mode.SEND, Mode.RESEND):
            return await self._send(begun)
        return await self._ask_then(begun)

    async def _held_back(self, begun: attempts.Begun) -> Outcome:
        """Nothing is sent for who is blocked; what never left before the block is let go of."""
        assert begun.decline is not None
        if begun.state == "unsent":
            await attempts.abandon_attempt(self.db, key=self.key, at=self.at, decline=begun.decline)
        return Outcome(outcome="declined", decline=DeclineCode(begun.decline))

    async def _send(self, begun: attempts.Begun) -> Outcome:
        answer = await self.transmit(begun)
        is_unsure = isinstance(answer, Unknown) or (_is_doubtful(begun) and isinstance(answer, Declined))
        # Often the gateway has it in its book already and only the answer was lost. And a "no" to a request that was
        # sent before is no proof: the first one may have been a "yes".
        outcome = await self._found_or(begun, answer) if is_unsure else answer
        return await self._conclude(begun, outcome, sent=True, ambiguous=is_unsure)

    async def _found_or(self, begun: attempts.Begun, outcome: ChargeOutcome) -> Found:
        try:
            return await self._found(begun) or outcome
        except GatewayUnavailable as error:
            return outcome if isinstance(outcome, Unknown) else Unknown(hint=str(error))

    async def _ask_then(self, begun: attempts.Begun) -> Outcome:
        """Ask first, whatever the mode: what is found needs no sending and no giving up."""
        try:
            outcome = await self._asked(begun)
        except GatewayUnavailable as error:
            # Not to be able to ask proves nothing: neither another request nor "it never arrived" follows from it.
            return await self._conclude(begun, Unknown(hint=str(error)))
        if self.order.verdict is not None:
            return await self._judged(begun, outcome, self.order.verdict)
        if isinstance(outcome, Pending) and self.order.mode is Mode.GIVE_UP:
            return await self._void(begun, outcome)
        if isinstance(outcome, Unknown):
            return await self._not_found(begun, outcome)
        return await self._conclude(begun, outcome)

    async def _not_found(self, begun: attempts.Begun, outcome: Unknown) -> Outcome:
        if begun.state == "attention":
            return Outcome(outcome="attention")
        if self.order.mode in (Mode.ASK, Mode.SEND):
            return await self._conclude(begun, outcome)
        if begun.gateway_id is not None:
            disputed = Disputed("the gateway acknowledged it and now denies knowing it")
            return await self._conclude(begun, disputed)
        if self.order.mode is Mode.GIVE_UP:
            # Not in the gateway's book after the horizon, or never sent: it did not happen.
            never = Declined(code=DeclineCode.NEVER_ARRIVED, gateway_code=begun.state or "")
            return await self._conclude(begun, never)
        return await self._send_again(begun, outcome)

    async def _send_again(self, begun: attempts.Begun, outcome: Unknown) -> Outcome:
        # A second run of this activity must not send a second time: the first may still be in flight.
        claim = await attempts.claim_resend(self.db, key=self.key, turn=self.order.turn)
        if claim.blocked is not None:
            blocked = Declined(code=DeclineCode(claim.blocked), gateway_code="blocked")
            return await self._conclude(begun, blocked)
        if claim.taken:
            return await self._send(begun)
        return await self._conclude(begun, outcome, sent=True)

    async def _asked(self, begun: attempts.Begun) -> Found:
        if begun.gateway_id is None:
            return await self._found(begun) or Unknown(hint="not found")
        try:
            entry = await self.gateway.get(begun.gateway_id)
        except GatewayUnavailable:
            if begun.state != "pending":
                raise
            return Pending(gateway_id=begun.gateway_id)
        return _read(begun, entry) if entry else Unknown(hint="the gateway lost it")

    async def _found(self, begun: attempts.Begun) -> Found | None:
        """What the gateway's book shows under our reference; None: nothing.

        Raises:
            GatewayUnavailable: it could not be asked, which is no answer: never take it for "nothing".
        """
        entries = await self.gateway.lookup(self.reference)
        if not entries:
            return None
        # Several entries mean trouble, which the verification clears up; money that moved is what counts here.
        settled = [entry for entry in entries if entry.state == "settled"]
        pending = [entry for entry in entries if entry.state == "pending"]
        return _read(begun, (settled or pending or entries)[0])

    async def _void(self, begun: attempts.Begun, pending: Pending) -> Outcome:
        voided = await self.give_up(pending.gateway_id)
        if not isinstance(voided, Settled | Declined):
            return await self._conclude(begun, pending)
        if isinstance(voided, Declined):
            voided = voided.model_copy(update={"code": DeclineCode.PENDING_EXPIRED})
        return await self._conclude(begun, voided)

    async def _judged(self, begun: attempts.Begun, outcome: Found, verdict: Verdict) -> Outcome:
        """A person's word, where the gateway's book says nothing better."""
        if isinstance(outcome, Settled) or (isinstance(outcome, Declined) and not self.refusal_waits):
            return await self._conclude(begun, outcome)
        if isinstance(outcome, Pending):
            return Outcome(outcome="pending", hint="the gateway still works on it")
        if not verdict.moved:
            code = outcome.code if isinstance(outcome, Declined) else DeclineCode.NEVER_ARRIVED
            return await self._conclude(begun, Declined(code=code, gateway_code="by_a_person"), final=True)
        try:
            entry = await self.gateway.get(verdict.gateway_id or "")
        except GatewayUnavailable as error:
            return Outcome(outcome="unknown", hint=str(error))
        shown = _read(begun, entry) if entry is not None else None
        if not isinstance(shown, Settled):
            return Outcome(
                outcome="attention", hint="the gateway shows no such settled movement of this amount"
            )
        return await self._conclude(begun, shown)

    async def _conclude(
        self,
        begun: attempts.Begun,
        outcome: Found,
        *,
        sent: bool = False,
        ambiguous: bool = False,
        final: bool = False,
    ) -> Outcome:
        """Write the outcome down, all of it in one transaction, and tell the workflow."""
        doubtful = ambiguous or _is_doubtful(begun)
        if isinstance(outcome, Settled | Declined | Pending):
            doubtful = doubtful or outcome.idempotency_check_failed
        if isinstance(outcome, Settled):
            await self.write_settled(outcome, doubtful=doubtful)
            return Outcome(outcome="settled", verify_in_s=self._verify_in_s(doubtful))
        if isinstance(outcome, Declined) and (final or not self.refusal_waits):
            await self.write_declined(outcome, doubtful=doubtful)
            return Outcome(outcome="declined", decline=outcome.code, verify_in_s=self._verify_in_s(doubtful))
        if isinstance(outcome, Declined | Disputed):
            if isinstance(outcome, Declined):
                await self.write_refused(outcome)
            hint = outcome.hint if isinstance(outcome, Disputed) else outcome.gateway_code
            await attempts.note_attempt(self.db, key=self.key, state="attention", hint=hint)
            return Outcome(outcome="attention")
        if isinstance(outcome, Pending):
            await attempts.note_attempt(
                self.db, key=self.key, state="pending", gateway_id=outcome.gateway_id, doubtful=doubtful
            )
            return Outcome(outcome="pending", **await self.told(outcome))
        if isinstance(outcome, Unavailable) and self.order.mode is not Mode.RESEND:
            await attempts.note_attempt(self.db, key=self.key, state="unsent", hint=outcome.hint)
            wait = outcome.retry_after
            return Outcome(
                outcome="unsent", retry_after_s=None if wait is None else int(wait.total_seconds())
            )
        if isinstance(outcome, Unavailable):
            # The re-send did not leave; that says nothing about the first request, which is still unknown.
            outcome, sent = Unknown(hint=outcome.hint), False
        await attempts.note_attempt(self.db, key=self.key, state="unknown", hint=outcome.hint)
        promises = self.gateway.capabilities
        return Outcome(
            outcome="unknown",
            horizon_s=self._horizon_s,
            key_ttl_s=_usable_key_life_s(promises.idempotency_key_ttl.total_seconds()),
            # In a second run we cannot tell when the first one sent: count the horizon from now.
            resent=sent or self.order.mode is Mode.SEND,
        )

    @property
    def _horizon_s(self) -> int:
        return int(self.gateway.capabilities.inflight_horizon.total_seconds())

    def _verify_in_s(self, doubtful: bool) -> int | None:
        # A tenth more: what arrives at the very end of its horizon must be in the book when we look.
        in_s = self._horizon_s + self._horizon_s // 10
        return in_s if doubtful and self.is_verified_later else None


def amount_of(begun: attempts.Begun) -> Money:
    """What the movement moves, as first written down."""
    assert begun.amount_minor is not None
    assert begun.currency is not None
    return Money(minor=begun.amount_minor, currency=begun.currency)


def _is_doubtful(begun: attempts.Begun) -> bool:
    return begun.needs_verification or (begun.outcome == "existing" and begun.state in _DOUBTFUL)


def _read(begun: attempts.Begun, entry: GatewayCharge) -> Found:
    """A record of the gateway's as an outcome; one about another amount is nobody's to decide."""
    if entry.amount != amount_of(begun):
        return Disputed(f"the gateway shows {entry.amount} under this reference")
    return entry.outcome()


def _usable_key_life_s(ttl_s: float) -> int:
    """An hour less than the gateway promises (23 h where it is 24 h): clocks differ, requests travel."""
    return max(0, int(ttl_s) - 3600)
