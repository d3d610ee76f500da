"""One movement against our attempts: what agrees, and the name of what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.reconciliation import Attempt, Booking, Movement, judge

CHARGE = Movement(
    gateway_id="ch_1", kind="charge", reference="sub_1/1/1", minor=1000, currency="JPY", state="settled"
)
REFUND = replace(CHARGE, gateway_id="rf_1", kind="refund", reference="sub_1/1/refund")
PAID = Attempt(
    key="k1",
    object_id="sub_1",
    number=1,
    purpose="charge",
    reference="sub_1/1/1",
    state="settled",
    minor=1000,
    currency="JPY",
    gateway_id="ch_1",
    returns=None,
    is_young=False,
    bookings=(Booking(kind="charge", net=1000, currency="JPY"),),
)
RETURNED = replace(
    PAID,
    key="k2",
    purpose="refund",
    reference="sub_1/1/refund",
    gateway_id="rf_1",
    returns="ch_1",
    bookings=(Booking(kind="refund", net=-1000, currency="JPY"),),
)
TWIN = replace(
    PAID,
    key="k3",
    purpose="twin",
    reference="sub_1/1/twin/ch_2",
    state="unsent",
    gateway_id=None,
    returns="ch_2",
    bookings=(Booking(kind="correction", net=1000, currency="JPY"),),
)
SECOND = replace(CHARGE, gateway_id="ch_2")


@pytest.mark.parametrize(
    ("movement", "ours"),
    [
        (CHARGE, [PAID]),
        (CHARGE, [RETURNED, TWIN, PAID]),
        (REFUND, [PAID, RETURNED]),
        (SECOND, [PAID, TWIN]),
        (replace(CHARGE, state="declined"), [replace(PAID, state="declined", gateway_id=None, bookings=())]),
        (replace(CHARGE, state="declined"), []),
        (replace(CHARGE, state="voided"), [replace(PAID, state="abandoned", gateway_id=None, bookings=())]),
        (replace(CHARGE, state="pending"), [replace(PAID, state="pending", bookings=())]),
        # Beside one that is open itself: its outcome comes with a second look.
        (replace(SECOND, state="pending"), [replace(PAID, state="pending", bookings=())]),
        # The same reference, declined first: the other one settled the payment.
        (replace(SECOND, state="declined"), [PAID]),
    ],
)
def test_what_agrees(movement, ours):
    verdict = judge(movement, ours)
    assert verdict.difference is None
    if movement.state == "settled":
        assert verdict.attempts == verdict.ledger == movement.signed


@pytest.mark.parametrize(
    ("movement", "ours", "kind"),
    [
        (CHARGE, [], "charge_without_attempt"),
        (replace(CHARGE, state="pending"), [], "charge_without_attempt"),
        (REFUND, [], "ledger_differs"),
        (SECOND, [PAID], "double_charge"),
        (replace(REFUND, gateway_id="rf_2"), [PAID, RETURNED], "ledger_differs"),
        (CHARGE, [replace(PAID, minor=999)], "amount_differs"),
        (CHARGE, [replace(PAID, currency="USD")], "amount_differs"),
        (CHARGE, [replace(PAID, bookings=())], "ledger_differs"),
        (CHARGE, [replace(PAID, bookings=PAID.bookings * 2)], "ledger_differs"),
        (SECOND, [PAID, replace(TWIN, bookings=())], "ledger_differs"),
        (CHARGE, [replace(PAID, state="declined", gateway_id=None)], "state_differs"),
        (CHARGE, [replace(PAID, state="unknown", gateway_id=None)], "state_differs"),
        (CHARGE, [replace(RETURNED, gateway_id="ch_1")], "state_differs"),
        (replace(CHARGE, state="declined"), [PAID], "state_differs"),
        (replace(CHARGE, state="pending"), [PAID], "state_differs"),
        # Verification gives a second one up; where it did not, the money may move yet and nobody would know.
        (replace(SECOND, state="pending"), [PAID], "state_differs"),
        (
            replace(CHARGE, state="pending"),
            [replace(PAID, state="declined", gateway_id=None)],
            "state_differs",
        ),
    ],
)
def test_what_differs_and_how_it_is_called(movement, ours, kind):
    difference = judge(movement, ours).difference
    assert difference is not None
    assert difference.kind == kind
    assert difference.dedupe_key == f"{kind}:{movement.gateway_id}"


def test_only_an_open_attempt_within_its_horizon_may_still_learn_of_its_charge():
    def is_young(**attempt):
        return judge(CHARGE, [replace(PAID, gateway_id=None, **attempt)]).is_young

    assert is_young(state="sent", is_young=True)
    assert not is_young(state="sent", is_young=False)
    assert not is_young(state="declined", is_young=True)


@given(
    minor=st.integers(1, 10**9),
    booked=st.integers(1, 10**9),
    kind=st.sampled_from(["charge", "refund"]),
)
def test_a_movement_agrees_exactly_when_the_three_books_hold_the_same_amount(minor, booked, kind):
    movement, attempt = (CHARGE, PAID) if kind == "charge" else (REFUND, RETURNED)
    sign = 1 if kind == "charge" else -1
    ours = replace(attempt, minor=minor, bookings=(Booking(kind=kind, net=sign * booked, currency="JPY"),))
    verdict = judge(replace(movement, minor=minor), [ours])
    assert (verdict.difference is None) == (booked == minor)
    assert (verdict.attempts, verdict.ledger) == (sign * minor, sign * booked)
