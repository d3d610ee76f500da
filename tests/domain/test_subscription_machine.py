"""Any sequence of operations, outcomes and waiting: the promises of subscriptions.md §8, held by a state machine.

Hypothesis agrees random terms, lets time pass, does what operators may do at any moment and lets the gateway answer as
it likes; after each step the invariants are checked, and at the end everything succeeds and the plan must be fulfilled.
"""

from __future__ import annotations

import copy
from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.declines import DeclineCategory
from domain.errors import TeikiError
from domain.projection import row_of
from domain.subscription import State, Status, StepKind, declined, next_charge, next_step, settled
from domain.terms import agree
from tests.domain.driver import Gateway, Story, opened, spec

ZONES = ("Asia/Tokyo", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca")
PERIODS = ("daily", "weekly", "monthly", "monthly", "P10D", "quarterly")
RETRIES: tuple[Any, ...] = (
    {}, {"attempts": 1}, {"attempts": 3}, {"intervals": ["PT5H", "PT6H"]}, {"interval": "PT10H", "attempts": 2},
)  # fmt: skip
ANSWERS = (
    "ok", "ok", "insufficient_funds", "insufficient_funds", "lost_card", "customer_blocked", "unsent", "lost",
    "late>ok@20", "late>ok@500", "late>do_not_honor@100", "pending>ok@4000", "pending>issuer_unavailable@90000",
    "pending",
)  # fmt: skip
# The spec's own table (§3), written down a second time on purpose; and what a block suspends at any status, an unblock
# gives back.
ALLOWED = {
    "unverified": {"current", "unconfirmed", "suspended", "canceled"},
    "unconfirmed": {"current", "suspended", "canceled"},
    "current": {"unpaid", "suspended", "completed", "canceled"},
    "unpaid": {"current", "suspended", "canceled"},
    "suspended": {"current", "unpaid", "unverified", "unconfirmed", "canceled"},
}
REFUSALS = {
    "invalid_status", "resume_at_in_past", "already_scheduled_for_cancellation", "not_scheduled_for_cancellation",
    "invalid_money", "amount_fixed_by_total",
}  # fmt: skip
FINISH_ACTS_MAX = 100


class SubscriptionMachine(RuleBasedStateMachine):
    """One subscription and everybody who has a say in it."""

    life: Story

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[TeikiError] = []

    @initialize(
        period=st.sampled_from(PERIODS),
        zone=st.sampled_from(ZONES),
        retry=st.sampled_from(RETRIES),
        charges=st.sampled_from((None, 2, 3, 5)),
        total=st.sampled_from((None, None, 1000, 1003)),
        start_in_days=st.sampled_from((None, 0, 3, 40)),
        now=st.datetimes(
            datetime.fromisoformat("2023-01-01"), datetime.fromisoformat("2027-01-01"), timezones=st.just(UTC)
        ),
        answers=st.lists(st.sampled_from(ANSWERS), max_size=8),
    )
    def agree(
        self, period: str, zone: str, retry: Any, charges: int | None, total: int | None,
        start_in_days: int | None, now: datetime, answers: list[str],
    ) -> None:  # fmt: skip
        now = now.replace(microsecond=0)
        changes: dict[str, Any] = {"period": period, "zone": zone, "retry": retry, "total_charges": charges}
        if total is not None and charges is not None:
            changes |= {"amount": None, "total_amount": {"minor": total, "currency": "JPY"}}
        if start_in_days is not None:
            changes["start_on"] = (now + timedelta(days=start_in_days + 1)).date()
        terms = agree(spec(**changes), now=now)
        self.life = Story(opened(terms), now, Gateway(deque(answers)))

    # -- what may happen

    @rule(days=st.integers(0, 60), seconds=st.integers(0, 86_399))
    def time_passes(self, days: int, seconds: int) -> None:
        self.life.until(self.life.now + timedelta(days=days, seconds=seconds))

    @rule()
    def the_next_step_comes(self) -> None:
        step = next_step(self.life.state)
        if step is not None and step.at - self.life.now < timedelta(days=400):
            self.life.until(max(step.at, self.life.now))

    @rule(answers=st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=4))
    def the_gateway_will_answer(self, answers: list[str]) -> None:
        if len(self.life.gateway.script) < 20:
            self.life.gateway.script.extend(answers)

    @rule()
    def suspend(self) -> None:
        self.unless_refused(self.life.suspend)

    @rule(policy=st.sampled_from(("catch_up", "next_cycle")), named=st.none() | st.integers(-2, 90))
    def resume(self, policy: str, named: int | None) -> None:
        at = None if named is None else self.life.now + timedelta(days=named)
        if self.unless_refused(lambda: self.life.resume(policy=policy, next_at=at)):
            self.the_plan_is_what_happens()

    @rule()
    def block(self) -> None:
        if self.unless_refused(self.life.block):
            self.unblocked_at_once_it_is_as_it_was()

    @rule()
    def unblock(self) -> None:
        if self.unless_refused(self.life.unblock):
            step = next_step(self.life.state)
            assert (
                step is None or step.kind not in (StepKind.PAYMENT, StepKind.RETRY) or step.at > self.life.now
            )

    def unblocked_at_once_it_is_as_it_was(self) -> None:
        """Whatever it was, unless a charge was due at this very instant: that one is missed."""
        back = copy.deepcopy(self.life)
        before = copy.deepcopy(self.before)
        step = next_charge(before)
        is_due = before.in_flight is None and step is not None and step.at <= back.now
        back.unblock()
        assert (back.state == before) != is_due
        assert (back.state.status, back.state.reason) == (before.status, before.reason)

    @rule(mode=st.sampled_from(("period_end", "period_end", "period_end", "now")))
    def cancel(self, mode: str) -> None:
        self.unless_refused(lambda: self.life.cancel(mode=mode))

    @rule()
    def recover(self) -> None:
        self.unless_refused(self.life.recover)

    @rule()
    def change_card(self) -> None:
        self.unless_refused(self.life.change_card)

    @rule(minor=st.integers(-1, 5000), next_only=st.booleans())
    def change_amount(self, minor: int, next_only: bool) -> None:
        self.unless_refused(lambda: self.life.change_amount(minor, next_only=next_only))

    @rule(paid=st.booleans())
    def the_gateway_goes_dark_for_days_and_a_person_settles_it(self, paid: bool) -> None:
        self.life.gateway.script.extendleft(["lost"] * 60)
        self.life.until(self.life.now + timedelta(days=3))
        self.life.gateway.script.clear()
        if self.needs_attention():
            self.settle_by_hand(paid)

    # -- what must always be true

    def unless_refused(self, act: Any) -> bool:
        before = self.before = self.life.state.model_copy(deep=True)
        try:
            act()
        except TeikiError as error:
            self.refusals.append(error)
            assert self.life.state == before
            return False
        return True

    @invariant()
    def every_refusal_has_a_code_of_the_operations(self) -> None:
        assert {error.code.value for error in self.refusals} <= REFUSALS

    @invariant()
    def nothing_is_sent_while_suspended_or_ended(self) -> None:
        step = next_step(self.life.state)
        if self.life.state.is_final or self.life.state.status is Status.SUSPENDED:
            assert step is None or step.kind not in (StepKind.PAYMENT, StepKind.RETRY)

    @invariant()
    def each_payment_settles_at_most_once(self) -> None:
        settled_numbers = Counter(entry.number for entry in self.life.gateway.settled())
        assert all(count == 1 for count in settled_numbers.values()), settled_numbers
        assert not self.life.skipped & set(settled_numbers)

    @invariant()
    def our_count_is_the_gateways(self) -> None:
        if self.life.state.in_flight is None:
            entries = self.life.gateway.settled()
            assert self.life.state.charges == len(entries)
            assert self.life.state.charged_minor == sum(entry.amount_minor for entry in entries)
        total = self.life.state.terms.total_charges
        assert total is None or self.life.state.charges <= total

    @invariant()
    def every_change_of_status_is_in_the_table(self) -> None:
        status = "unverified"
        for move in self.life.transitions:
            assert move.from_.value == status
            assert move.to.value in ALLOWED[status]
            assert move.reason
            status = move.to.value
        assert self.life.state.status.value == status

    @invariant()
    def the_state_survives_json(self) -> None:
        state = self.life.state
        again = State.model_validate_json(state.model_dump_json())
        assert again == state
        assert next_step(again) == next_step(state)
        assert row_of(again) == row_of(state)

    @invariant()
    def somebody_acts_next_unless_it_has_ended_or_is_suspended(self) -> None:
        state = self.life.state
        if not state.is_final and state.status is not Status.SUSPENDED:
            assert next_step(state) is not None

    @invariant()
    def a_failing_payment_shows_in_the_status(self) -> None:
        state = self.life.state
        if state.open is not None and state.open.attempts and state.status is Status.CURRENT:
            raise AssertionError("a declined payment is being collected while the status says current")

    def the_plan_is_what_happens(self) -> None:
        """Right after a resume, when every charge succeeds."""
        if self.life.state.in_flight is not None:
            return
        plan = self.life.plan()
        promised = self.life.planned()
        future = copy.deepcopy(self.life)
        future.told()
        future.gateway.script.clear()
        if plan.payments:
            future.until(plan.payments[-1].at)
        kept = [line.split(" ") for line in future.charges]
        for words in kept:  # the attempt's number goes on counting; a plan knows none
            words[3] = words[3].split(".")[0] + ".1"
        assert [" ".join(words) for words in kept] == promised
        if not plan.goes_on:
            future.until(future.now + timedelta(days=4_000))
            assert len(future.charges) == len(kept)
            assert future.state.is_final

    # -- the end

    def needs_attention(self) -> bool:
        flight = self.life.state.in_flight
        return flight is not None and flight.state == "attention"

    def settle_by_hand(self, paid: bool) -> None:
        life, payment = self.life, self.life.state.open
        assert payment is not None
        if paid:
            life.gateway.script.clear()
            assert (
                life.gateway.send(life._key(), payment.number, payment.amount_minor, life.now).kind
                == "settled"
            )
            life._note(settled(life.state, life.now))
        else:
            life._note(declined(life.state, DeclineCategory.RETRYABLE, life.now))

    def teardown(self) -> None:
        """From here on everything succeeds: a fixed plan ends completed with exactly its charges."""
        if not hasattr(self, "life"):
            return
        life, total = self.life, self.life.state.terms.total_charges
        life.gateway.script.clear()
        if life.state.cancel_at is not None:
            life.recover()
        for turn in range(FINISH_ACTS_MAX):
            if life.state.is_final or (total is None and turn == 20):
                break
            if self.needs_attention():
                self.settle_by_hand(paid=True)
            elif life.state.status is Status.SUSPENDED and life.state.in_flight is None:
                life.resume(policy="catch_up" if turn % 2 else "next_cycle")
            life.until(life.now + timedelta(days=50))
        life.until(life.now + timedelta(days=2))  # whatever was in flight at the end
        self.each_payment_settles_at_most_once()
        self.our_count_is_the_gateways()
        self.every_change_of_status_is_in_the_table()
        if life.state.status is Status.CANCELED:
            return
        if total is None:
            assert life.state.status is Status.CURRENT
            return
        assert life.state.status is Status.COMPLETED
        assert life.state.charges == total
        if life.state.terms.total_amount_minor is not None:
            assert life.state.charged_minor == life.state.terms.total_amount_minor


SubscriptionMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnySequence = pytest.mark.filterwarnings("error")(SubscriptionMachine.TestCase)
