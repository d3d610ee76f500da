"""Any sequence of payments, notices, uses, cancellations and waiting: the promises of orders.md, held by a machine.

Hypothesis chooses the acts and shrinks what breaks; a thousand random histories are played besides. The invariants
stand in `order_world`.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from domain.money import Money
from domain.order_state import OrderStatus
from domain.permission import PermissionStatus
from tests.domain.order_world import World, an_order

AMOUNTS = {"JPY": 3500, "USD": 1999, "BHD": 12345}
CARDS = ("ok", "ok", "no", "lost>ok", "lost>no")
WAITS = (
    timedelta(),
    timedelta(minutes=10),
    timedelta(hours=7),
    timedelta(days=1),
    timedelta(days=3, minutes=20),
    timedelta(days=8),
)
REFUSALS = {
    *("not_cancelable", "invalid_status", "refund_amount_mismatch", "partial_refund_not_supported"),
    *("refund_not_supported", "permission_not_active", "outside_usage_period", "already_processed"),
    *("not_a_ticket", "not_recurring", "not_konbini"),
}
WHAT = {
    "pay": st.sampled_from(["konbini", "konbini", "konbini", "card", "recurring", "none"]),
    "kind": st.sampled_from(["digital", "ticket"]),
    "currency": st.sampled_from(sorted(AMOUNTS)),
    "usage_period": st.sampled_from([None, "PT36H", "P10D"]),
    "preliminary_completes": st.booleans(),
    "refundable": st.sampled_from([True, True, True, False]),
    "card": st.lists(st.sampled_from(CARDS), max_size=1),
}
ACTS = {
    "wait": st.sampled_from(WAITS),
    "till": st.tuples(
        st.sampled_from([1, 1, 1, 2]), st.sampled_from(["pays", "pays", "announces", "takes_back"])
    ),
    "subscription": st.sampled_from(["pays", "pays", "fails", "ends"]),
    "cancel": st.tuples(
        st.sampled_from(["customer:cus_1", "operator:desk"]), st.sampled_from([None, 0, 1, -1])
    ),
    "people": st.sampled_from(["use", "process_access", "cancel_subscription", "issue_slip"]),
    "down": st.booleans(),
    "refuse": st.booleans(),
    "repeat": st.integers(0, 30),
}


def placed(pay, kind, currency, usage_period, preliminary_completes, refundable, card) -> World:
    currency = "JPY" if pay == "konbini" else currency
    kind = "digital" if pay == "recurring" else kind
    state = an_order(
        pay,
        type=kind,
        minor=AMOUNTS[currency],
        currency=currency,
        usage_period=usage_period,
        preliminary_completes=preliminary_completes,
        refundable=refundable,
    )
    return World.begun(state, card=list(card))


def act(world: World, name: str, given) -> None:
    """One thing happens; what may not happen is refused by name."""
    if name == "wait":
        world.pass_time(given)
    elif name == "till":
        if world.at_the_till(*given):
            world.notify()
    elif name == "subscription":
        world.subscription_goes(given)
    elif name == "cancel":
        cancel(world, *given)
    elif name == "people":
        said = world.do(given, "customer:cus_1")
        assert said == "done" or said in REFUSALS, said
    elif name == "down":
        world.is_down = given
    elif name == "refuse":
        world.refuses_refunds = given
    elif world.told:
        hear_again(world, given)
    world.check()


def cancel(world: World, actor: str, off: int | None) -> None:
    """What is returned is what was paid less what went back, and another amount is refused with both."""
    state, before = world.state, len(world.state.refunds)
    amount, price = state.refundable_minor, state.terms.price
    currency = price.currency if price else "JPY"
    agreed = None if off is None else Money(minor=max(0, amount + off), currency=currency)
    said = world.do("cancel", actor, refund_amount=agreed)
    assert said == "done" or said in REFUSALS, said
    if off and agreed is not None and agreed.minor != amount:
        assert said != "done" or world.state.refund_requests > state.refund_requests
    if said == "done" and state.status is not OrderStatus.CANCELED:
        asked = world.state.refunds[before:]
        assert sum(refund.amount_minor for refund in asked) == amount
        assert world.state.permission is None or world.state.permission.status is PermissionStatus.REVOKED


def hear_again(world: World, back: int) -> None:
    """An old fact is told once more, perhaps after later ones: nothing moves."""
    fact = world.told[-1 - back % len(world.told)]
    if not hasattr(fact, "deposit_id"):
        return
    before = world.state.model_dump()
    world.hear(fact)
    world.told.pop()
    assert world.state.model_dump() == before


def finish(world: World) -> None:
    """Everybody answers, what was announced is paid or taken back, and ninety days pass."""
    world.is_down = False
    for number, book in world.till.items():
        if book.preliminary:
            world.at_the_till(number, "pays" if number % 2 else "takes_back")
    world.pass_time(timedelta(days=90))
    world.refuses_refunds = False
    world.check()
    if not world.state.refunds:
        world.check_the_end()


class OrderMachine(RuleBasedStateMachine):
    """One order and everybody who has a say in it."""

    world: World

    @initialize(**WHAT)
    def place(self, **given):
        self.world = placed(**given)

    def teardown(self):
        if hasattr(self, "world"):
            finish(self.world)


for _name, _given in ACTS.items():

    def _rule(self, given, name=_name):
        act(self.world, name, given)

    _rule.__name__ = _name
    setattr(OrderMachine, _name, rule(given=_given)(_rule))

OrderMachine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyHistory = pytest.mark.timeout(300)(OrderMachine.TestCase)


def test_no_access_without_settled_money_in_a_thousand_random_histories():
    seen = Counter(a_random_history(random.Random(seed)) for seed in range(1000))
    assert sum(seen.values()) == 1000
    # The histories are worth something: every end was reached, by every way to pay.
    assert {status for _, status in seen} >= {"canceled", "expired", "purchase_confirmed"}
    assert {pay for pay, _ in seen} == {"konbini", "card", "recurring", "none"}


def a_random_history(chance: random.Random) -> tuple[str, str]:
    pay = chance.choice(["konbini", "konbini", "konbini", "card", "recurring", "none"])
    world = placed(
        pay,
        chance.choice(["digital", "ticket"]),
        chance.choice(sorted(AMOUNTS)),
        chance.choice([None, "PT36H", "P10D"]),
        chance.random() < 0.8,
        chance.random() < 0.8,
        [chance.choice(CARDS)],
    )
    for _ in range(chance.randrange(3, 25)):
        name = chance.choice(["wait", "wait", "till", "till", "till", *ACTS])
        given = {
            "wait": chance.choice(WAITS),
            "till": (
                chance.choice([1, 1, 1, 2]),
                chance.choice(["pays", "announces", "announces", "takes_back"]),
            ),
            "subscription": chance.choice(["pays", "pays", "fails", "ends"]),
            "cancel": (
                chance.choice(["customer:cus_1", "operator:desk"]),
                chance.choice([None, None, 0, 1, -1]),
            ),
            "people": chance.choice(["use", "process_access", "cancel_subscription", "issue_slip"]),
            "down": chance.random() < 0.3,
            "refuse": chance.random() < 0.3,
            "repeat": chance.randrange(30),
        }[name]
        act(world, name, given)
    finish(world)
    return pay, world.state.status.value
