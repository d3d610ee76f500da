"""What set an attempt off, and which operation or change of status came before it: the reading of a history.

Pure, over the read model only. Causes are found by comparing an attempt's instant with its due date and with the
operations before it, as a person would who reads the page (spec: subscriptions.md §§4–5, 9).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from db.reads.subscription import AttemptDetail, EventDetail, PaymentDetail, SubscriptionDetail
from domain.subscription import Status
from domain.terms import Terms

_AT_ONCE: Final = timedelta(minutes=2)
"""An attempt this close to its cause was set off by it; timers and queues take their moment."""

Cause = Literal["due", "resume", "card", "retry", "queue", "late"]


class Story:
    """A subscription's history, to be asked."""

    def __init__(self, detail: SubscriptionDetail) -> None:
        self.detail = detail
        self.payments = {payment.number: payment for payment in detail.payments}
        self.numbers = sorted({*self.payments, *(e.payment for e in detail.history if e.payment is not None)})

    @property
    def terms(self) -> Terms:
        return self.detail.terms

    @property
    def next_number(self) -> int:
        """The first number nothing has happened to yet."""
        return max(self.numbers, default=0) + 1

    def cause(
        self, payment: PaymentDetail, tries: list[AttemptDetail], index: int
    ) -> tuple[Cause, EventDetail | None]:
        """What set the attempt off, and the operation if a person did.

        `queue`: it waited for the payment before it; `late`: nobody could send on its due date.
        """
        sent_at = tries[index].sent_at
        if index:
            return self._cause_of_another(sent_at, since=tries[index - 1].sent_at)
        if abs(sent_at - payment.due_at) < _AT_ONCE:
            return "due", None
        resume = self.last("resume", before=sent_at)
        if resume is not None and (sent_at < payment.due_at or resume.at >= payment.due_at):
            return "resume", resume
        before = self.payments.get(payment.number - 1)
        waited = before is not None and any(
            (attempt.resolved_at or attempt.sent_at) > payment.due_at for attempt in charges(before)
        )
        return ("queue", None) if waited else ("late", None)

    def _cause_of_another(self, sent_at: datetime, *, since: datetime) -> tuple[Cause, EventDetail | None]:
        operation = self.last("resume", "change_card", before=sent_at, after=since)
        if operation is None:
            return "retry", None
        if operation.data["do"] == "resume":
            return "resume", operation
        return ("card", operation) if sent_at - operation.at <= _AT_ONCE else ("retry", None)

    def counted(self, payment: PaymentDetail, until: datetime) -> int:
        """Attempts of the retry policy used up since the last resume; a new card's immediate one is none."""
        counted, tries = 0, charges(payment)
        for index, attempt in enumerate(tries):
            if attempt.sent_at > until:
                break
            cause, _ = self.cause(payment, tries, index)
            counted = 1 if cause == "resume" else counted + (cause != "card")
        return counted

    def policy(self, resume: EventDetail) -> str:
        """`next_cycle`, `catch_up` or `at`: what this resume went by."""
        arguments = resume.data.get("arguments", {})
        return "at" if "at" in arguments else str(arguments.get("policy", self.terms.resume_policy.value))

    def last(
        self, *names: str, before: datetime | None = None, after: datetime | None = None
    ) -> EventDetail | None:
        """The last operation of these names within the time given."""
        found = [
            event
            for event in self.detail.operations
            if event.data["do"] in names
            and (before is None or event.at <= before)
            and (after is None or event.at >= after)
        ]
        return found[-1] if found else None

    def last_move(self, *to: Status, before: datetime | None = None) -> EventDetail | None:
        """The last change to one of these statuses."""
        found = [
            event
            for event in self.detail.history
            if event.kind == "status" and event.data["to"] in to and (before is None or event.at <= before)
        ]
        return found[-1] if found else None

    def of_payment(self, kind: str, number: int) -> list[EventDetail]:
        """Events of a kind that belong to a payment."""
        return [event for event in self.detail.history if event.kind == kind and event.payment == number]


def charges(payment: PaymentDetail) -> list[AttemptDetail]:
    """Its charge attempts, in order; refunds are attempts too."""
    return [attempt for attempt in payment.attempts if attempt.purpose == "charge"]
