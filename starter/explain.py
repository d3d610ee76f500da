"""Why each payment was or was not charged, in sentences, from history alone (spec: subscriptions.md §8.4, §9).

A pure function over the read model: it never asks the workflow, the gateway or the clock. Each sentence names the rule
(calendar, retry, resume, cancellation), the policy and the person.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from db.reads.subscription import AttemptDetail, EventDetail, PaymentDetail, SubscriptionDetail
from domain.declines import DeclineCategory, DeclineCode, category_of
from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from domain.subscription import Status
from starter.story import Story, charges
from starter.wording import (
    calendar_words,
    due_words,
    local,
    next_sentence,
    reason_words,
    retry_words,
    status_sentence,
)

_LEARNED_LATE: Final = timedelta(seconds=10)
"""An answer later than this came by asking, not with the request."""

_CHARGED_TWICE: Final = "The gateway charged it twice under one reference; the second charge"
_OPEN_ATTEMPTS: Final = {
    "sent": "it is on its way, its outcome is not known yet",
    "unsent": "the gateway would not take it, so nothing happened, and it is sent again later",
    "unknown": "its outcome is not known: the gateway is asked under the same key, and nothing else is charged for "
    "this payment until it is known",
    "pending": "the gateway is still working on it (pending); after 24 hours it counts as failed",
    "attention": "its outcome could not be found out: a person must settle it, nothing is sent again",
}

_SKIP_RULES: Final = {
    "policy_next_cycle": "the policy next_cycle, which skips what was missed and goes on with the nearest cycle date "
    "that is today or later",
    "policy_at": "an instant named for the next payment, which skips what is older",
    "blocked": "what fell due meanwhile skipped, since an unblock charges nothing by itself",
}


def explain(detail: SubscriptionDetail, *, payment: int | None = None) -> list[str]:
    """Sentences about every payment and the end, or about one payment.

    Args:
        detail: the subscription, whole.
        payment: a number from 1; one that has no row yet is explained too.

    Raises:
        TeikiError: `payment_not_found` for a number below 1, or beyond a plan that is complete.
    """
    teller = _Teller(Story(detail))
    if payment is not None:
        return list(teller.of(payment))
    sentences = [sentence for number in teller.story.numbers for sentence in teller.of(number)]
    return [*sentences, teller.ending()]


class _Teller:
    def __init__(self, story: Story) -> None:
        self.story = story
        self.detail = story.detail
        self.terms = story.terms

    def of(self, number: int) -> Iterator[str]:
        """One payment's sentences."""
        payment = self.story.payments.get(number)
        if payment is None:
            yield self._without_row(number)
            return
        yield self._opening(payment)
        # In the order in which it happened: a suspension stands between the attempts before and after it.
        happened = [*self._attempts(payment), *self._changes(payment)]
        yield from (sentence for _, sentence in sorted(happened, key=lambda told: told[0]))
        if payment.state in ("collecting", "failed"):
            yield from self._not_collected(payment)
        yield from self._refund(payment)
        yield from self._bank(payment)

    def _opening(self, payment: PaymentDetail) -> str:
        due, rule = self._at(payment.due_at), calendar_words(self.terms)
        shifted = due_words(self.terms, payment.due_at)
        amount = self._amount_rule(payment)
        return f"Payment {payment.number} ({payment.amount}) was due on {due}: {rule}{shifted}.{amount}"

    def _amount_rule(self, payment: PaymentDetail) -> str:
        if payment.state == "skipped" or payment.amount.minor == self.terms.amount_minor:
            return ""
        if self.terms.total_amount_minor is not None:
            return " It takes what is left of the agreed total."
        until = payment.attempts[0].sent_at if payment.attempts else payment.due_at
        change = self.story.last("change_amount", before=until)
        if change is None:
            return ""
        once = " for the next payment only" if change.data["arguments"].get("next_only") else ""
        return f" {_who(change)} changed the amount{once} on {self._at(change.at)}."

    # ------------------------------------------------------------------ attempts

    def _attempts(self, payment: PaymentDetail) -> Iterator[tuple[datetime, str]]:
        tries = charges(payment)
        for index, attempt in enumerate(tries):
            name = f"Payment {payment.number}, attempt {attempt.attempt}"
            if attempt.state == "abandoned":
                yield attempt.sent_at, f"{name}: given up before it left."
                continue
            because, outcome = self._because(payment, tries, index), self._outcome(attempt)
            yield attempt.sent_at, f"{name}: sent on {self._at(attempt.sent_at)}{because}; {outcome}."

    def _changes(self, payment: PaymentDetail) -> Iterator[tuple[datetime, str]]:
        """What the attempts brought about: a suspension, the end; and a skip."""
        for event in self.story.of_payment("status", payment.number):
            if event.data["to"] == Status.SUSPENDED:
                yield event.at, self._suspension(payment, event)
            elif event.data["to"] == Status.COMPLETED:
                yield event.at, f"It was the last of {self.terms.total_charges} agreed charges: completed."
        if payment.state == "skipped":
            yield self._skip(payment)

    def _because(self, payment: PaymentDetail, tries: list[AttemptDetail], index: int) -> str:
        cause, operation = self.story.cause(payment, tries, index)
        if cause == "due":
            return ", on its due date"
        if cause == "queue":
            return (
                ", once the payment before it was out of the way (overdue payments follow 20 minutes apart)"
            )
        if cause == "late":
            return ", later than planned because nothing could be sent before (it was not doubled for that)"
        if cause == "retry":
            return f", by the retry policy ({self._retries()}, the first one counted)"
        assert operation is not None
        if cause == "card":
            return (
                f", at once because {_who(operation)} stored a new card on {self._at(operation.at)} "
                "(such an attempt does not use up the retry policy's count)"
            )
        return f", because {self._resume_rule(operation, again=index > 0)}"

    def _resume_rule(self, resume: EventDetail, *, again: bool) -> str:
        resumed = f"{_who(resume)} resumed the subscription on {self._at(resume.at)}"
        policy = self.story.policy(resume)
        if policy == "at":
            return f"{resumed} and named this instant for the next payment"
        if policy == "catch_up" and again:
            return (
                f"{resumed} with the policy catch_up: a payment whose attempts had ended is charged again first, "
                "and its count starts anew"
            )
        if policy == "catch_up":
            return f"{resumed} with the policy catch_up: the oldest missed payment at once, then one every 20 minutes"
        return (
            f"{resumed} on the very day of its cycle date: the policy {policy} charges it upon resumption"
            if not again
            else f"{resumed} with the policy {policy}"
        )

    def _outcome(self, attempt: AttemptDetail) -> str:
        late = ""
        if attempt.resolved_at is not None and attempt.resolved_at - attempt.sent_at > _LEARNED_LATE:
            late = (
                f", which was learned only on {self._at(attempt.resolved_at)}: the gateway was asked under the same "
                "key until it was known, and nothing was charged meanwhile"
            )
        if attempt.state == "settled":
            return "it succeeded" + late
        if attempt.decline is not None:
            return f"it failed ({attempt.decline}): {_decline_words(attempt.decline)}{late}"
        return _OPEN_ATTEMPTS.get(attempt.state, attempt.state)

    # ------------------------------------------------------------------ what followed

    def _suspension(self, payment: PaymentDetail, event: EventDetail) -> str:
        suspended = f"So the subscription was suspended on {self._at(event.at)}"
        if event.data["reason"] != "attempts_exhausted":
            return f"{suspended}, without any retry: {reason_words(event.data['reason'])}."
        counted = self.story.counted(payment, event.at)
        allowed = len(self.terms.retry.ladder(self.terms.period))
        if counted >= allowed:
            return (
                f"{suspended}: attempt {counted} of {allowed} was the retry policy's last: {self._retries()}."
            )
        return (
            f"{suspended}: the next attempt would have fallen on or after the next due date, where none is made "
            f"(attempt {counted} of the policy: {self._retries()})."
        )

    def _not_collected(self, payment: PaymentDetail) -> Iterator[str]:
        """A failed payment: its next attempt, or who cut the retries short."""
        tries = charges(payment)
        last = tries[-1] if tries else None
        if last is not None and last.state in _OPEN_ATTEMPTS:
            return
        if self.detail.next_kind == "retry" and self.detail.next_at is not None:
            yield f"The next attempt is planned for {self._at(self.detail.next_at)}, by the same policy."
            return
        cut = self.story.last("suspend", after=last.sent_at if last else payment.due_at)
        if cut is not None:
            yield (
                f"{_who(cut)} suspended the subscription on {self._at(cut.at)}, which cut its retries short: it "
                "counts as missed, and a resume decides about it by its policy."
            )
        end = self.story.last_move(Status.CANCELED)
        if end is not None:
            yield f"It was never collected: {self._end_words(end)}."

    def _skip(self, payment: PaymentDetail) -> tuple[datetime, str]:
        skips = self.story.of_payment("skip", payment.number)
        if not skips:
            return self.detail.updated_at, f"It was skipped, not charged ({payment.skip_reason})."
        skip = skips[-1]
        resume = self.story.last("resume", "unblock", "unblock_all", before=skip.at) or skip
        did = "unblocked" if skip.data["reason"] == "blocked" else "resumed"
        rule = _SKIP_RULES.get(skip.data["reason"], skip.data["reason"])
        kept = self.terms.total_charges is not None
        tail = " The number of charges is kept, so it moves to the end of the plan." if kept else ""
        return skip.at, (
            f"It was skipped, not charged: {self._missed(payment, skip.at)}, and {_who(resume)} {did} it on "
            f"{self._at(skip.at)} with {rule}.{tail}"
        )

    def _missed(self, payment: PaymentDetail, until: datetime) -> str:
        suspension = self.story.last_move(Status.SUSPENDED, before=until)
        if suspension is None:
            return "it was missed"
        how = "its attempts had ended and" if charges(payment) else "it fell due while"
        return f"{how} the subscription was suspended ({self._why_suspended(suspension)})"

    def _refund(self, payment: PaymentDetail) -> Iterator[str]:
        for event in self.story.of_payment("refund", payment.number):
            yield self._refund_words(event)
        for attempt in payment.attempts:
            if attempt.purpose in ("refund", "twin") and attempt.resolved_at is None:
                if attempt.credit_id is not None:
                    since, state = self._at(attempt.sent_at), attempt.state
                    yield (
                        f"{attempt.amount} of it are being returned since {since} (the refund is {state}), as"
                        f" credit {attempt.credit_id} asked for."
                    )
                    continue
                late = "Its money came after the end and" if attempt.purpose == "refund" else _CHARGED_TWICE
                since, state = self._at(attempt.sent_at), attempt.state
                yield f"{late} is being returned since {since} (the refund is {state})."

    def _bank(self, payment: PaymentDetail) -> Iterator[str]:
        """What the customer's bank took back, and what came for it."""
        for event in self.story.of_payment("chargeback", payment.number):
            who = "" if event.actor == "system" else f", as {_who(event)} entered"
            amount = _amount_of(event)
            yield f"The customer's bank took {amount} back: known since {self._at(event.at)}{who}."
        for event in self.story.of_payment("repayment", payment.number):
            if event.data["outcome"] == "succeeded":
                yield f"{_amount_of(event)} of it came back on {self._at(event.at)} ({event.data['method']})."

    def _refund_words(self, event: EventDetail) -> str:
        if event.data["outcome"] != "succeeded":
            why = event.data.get("decline", event.data["outcome"])
            return f"Its refund did not succeed ({why}): a person must see to it."
        amount = _amount_of(event)
        returned = f"The {amount} went back on {self._at(event.at)}"
        if (credit_id := event.data.get("credit_id")) is not None:
            return f"{amount} of it went back on {self._at(event.at)}: credit {credit_id}."
        if event.data.get("reason") == "double_charge":
            return f"The gateway had charged it twice under one reference. {returned}; the payment itself stays paid."
        if event.data.get("reason") != "settled_after_the_end":
            return f"{returned} ({event.data.get('reason', 'refunded')})."
        end = self.story.last_move(Status.CANCELED, Status.COMPLETED)
        ended = f": {self._end_words(end)}" if end is not None else ""
        return (
            f"{returned} by themselves: its success became known only after the subscription had ended, and a late "
            f"success revives nothing{ended}."
        )

    # ------------------------------------------------------------------ payments without a row, and the end

    def _without_row(self, number: int) -> str:
        detail, terms = self.detail, self.terms
        if number < 1:
            raise _no_payment(number, "payments count from 1")
        blocked = self.story.of_payment("payment", number)
        if not blocked and detail.status is Status.COMPLETED:
            raise _no_payment(number, f"it was completed with {detail.charges} charges")
        due = f"Payment {number}, due on {self._at(terms.calendar.due(number - 1))},"
        if blocked:
            when, decline = self._at(blocked[-1].at), blocked[-1].data.get("decline", "blocked")
            return (
                f"{due} was not charged: on {when} the customer or the card was blocked here ({decline}), so nothing "
                "was sent to the gateway, and the subscription was suspended."
            )
        if detail.status is Status.CANCELED:
            end = self.story.last_move(Status.CANCELED)
            return f"{due} was not charged: {self._end_words(end) if end else 'it was canceled'}."
        if detail.status is Status.SUSPENDED:
            suspension = self.story.last_move(Status.SUSPENDED)
            why = self._why_suspended(suspension) if suspension else reason_words(detail.reason)
            return (
                f"{due} is not charged while the subscription is suspended ({why}). A resume decides: its own policy "
                f"is {terms.resume_policy.value}."
            )
        if detail.next_kind == "payment" and detail.next_at is not None and number == self.story.next_number:
            return f"{due} has not been charged yet: it is planned for {self._at(detail.next_at)}."
        return f"{due} has not been reached yet: {calendar_words(terms)}."

    def ending(self) -> str:
        """What comes after the last payment that has a row."""
        detail = self.detail
        if detail.status is Status.COMPLETED:
            return status_sentence(detail.status, detail.reason)
        if detail.status in (Status.CANCELED, Status.SUSPENDED):
            return self._without_row(self.story.next_number)
        asked = self.story.last("cancel") if detail.cancel_at is not None else None
        who = f" {_who(asked)} scheduled the cancellation on {self._at(asked.at)}." if asked else ""
        return next_sentence(detail) + who

    def _end_words(self, end: EventDetail) -> str:
        """Who ended it, and by which rule."""
        asked = self.story.last("cancel", before=end.at)
        if end.data["reason"] == "period_ended":
            who = f"{_who(asked)} had asked for it on {self._at(asked.at)}" if asked else "as scheduled"
            return (
                f"the scheduled cancellation came on {self._at(end.at)} and ends it without charging that date "
                f"(mode period_end; {who})"
            )
        if end.data["reason"] == "canceled_in_the_engine":
            return f"somebody canceled it in Temporal itself on {self._at(end.at)}"
        return f"{_who(asked or end)} canceled it on {self._at(end.at)} (mode now)"

    def _why_suspended(self, suspension: EventDetail) -> str:
        if suspension.data["reason"] == "suspended_by_operator":
            by = self.story.last("suspend", before=suspension.at) or suspension
            return f"by {_who(by)} on {self._at(suspension.at)}"
        return f"on {self._at(suspension.at)}, because {reason_words(suspension.data['reason'])}"

    def _retries(self) -> str:
        return retry_words(self.terms.retry, self.terms.period)

    def _at(self, instant: datetime) -> str:
        return local(instant, self.detail.zone)


def _no_payment(number: int, why: str) -> TeikiError:
    return TeikiError(ErrorCode.PAYMENT_NOT_FOUND, f"There is no payment {number}: {why}.", payment=number)


def _amount_of(event: EventDetail) -> Money:
    return Money(minor=event.data["amount_minor"], currency=event.data["currency"])


def _who(event: EventDetail) -> str:
    return event.actor + (f" (“{event.comment}”)" if event.comment else "")


def _decline_words(decline: str) -> str:
    if decline == DeclineCode.PENDING_EXPIRED:
        return "it stayed pending for 24 hours, was given up at the gateway and counts as failed"
    if decline == DeclineCode.NEVER_ARRIVED:
        return "the gateway never received it, so nothing was charged"
    if decline not in set(DeclineCode):
        return "declined by the gateway"
    return {
        DeclineCategory.RETRYABLE: "a decline that may be tried again",
        DeclineCategory.NEEDS_NEW_CARD: "a decline that no retry can mend, a new card is needed",
        DeclineCategory.BLOCKED: "blocked here, nothing was sent to the gateway",
    }[category_of(DeclineCode(decline))]
