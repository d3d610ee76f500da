"""Why a payment was or was not charged: every rule, from histories made by hand."""

from datetime import date, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.declines import DeclineCode
from domain.errors import TeikiError
from domain.money import Money
from domain.retry import RetryPolicy
from starter.explain import explain
from tests.cli.made import (
    at,
    attempt,
    declined,
    did,
    event,
    moved,
    payment,
    skip,
    subscription,
    terms,
)

FIRST = payment(1, "2023-08-01T07:00", "settled", attempt(1, "2023-08-01T07:00"))


def told(detail, number=None):
    return " ".join(explain(detail, payment=number))


def test_a_charge_on_its_date_names_the_calendar():
    opening, charged = explain(subscription(FIRST), payment=1)
    assert opening == (
        "Payment 1 (1,000 JPY) was due on 2023-08-01 07:00 Asia/Tokyo: every month from 2023-08-01 at 07:00."
    )
    assert (
        charged == "Payment 1, attempt 1: sent on 2023-08-01 07:00 Asia/Tokyo, on its due date; it succeeded."
    )


def test_retries_name_the_policy_and_are_told_in_order():
    detail = subscription(
        FIRST,
        payment(
            2,
            "2023-09-01T07:00",
            "settled",
            declined(1, "2023-09-01T07:00"),
            attempt(2, "2023-09-08T07:00"),
        ),
    )
    first, second = explain(detail, payment=2)[1:]
    assert "it failed (insufficient_funds): a decline that may be tried again" in first
    assert (
        "by the retry policy (4 attempts in all, 7 days apart, the first one counted); it succeeded" in second
    )


def test_the_last_attempt_of_the_policy_suspends():
    tries = [declined(n, f"2023-09-{1 + 10 * (n - 1):02}T07:00") for n in (1, 2, 3)]
    detail = subscription(
        FIRST,
        payment(2, "2023-09-01T07:00", "collecting", *tries),
        terms=terms(retry=RetryPolicy(attempts=3)),
        status="suspended",
        reason="attempts_exhausted",
        history=[moved("unpaid", "suspended", "attempts_exhausted", "2023-09-21T07:00", number=2)],
    )
    assert "attempt 3 of 3 was the retry policy's last: 3 attempts in all, 10 days apart" in told(detail, 2)
    assert (
        "Payment 3, due on 2023-10-01 07:00 Asia/Tokyo, is not charged while the subscription is suspended"
        in told(detail)
    )
    assert "its own policy is next_cycle" in told(detail, 3)


def test_an_attempt_that_would_reach_the_next_date_is_not_made():
    detail = subscription(
        FIRST,
        payment(2, "2023-09-01T07:00", "collecting", declined(1, "2023-09-01T07:00")),
        terms=terms(retry=RetryPolicy(intervals=("P30D",))),
        status="suspended",
        reason="attempts_exhausted",
        history=[moved("current", "suspended", "attempts_exhausted", "2023-09-01T07:00", number=2)],
    )
    assert "would have fallen on or after the next due date" in told(detail, 2)


def test_a_cycle_too_short_for_a_retry_says_so():
    detail = subscription(
        payment(1, "2023-08-01T07:00", "collecting", declined(1, "2023-08-01T07:00")),
        terms=terms(period="daily"),
        status="suspended",
        reason="attempts_exhausted",
        history=[moved("unverified", "suspended", "attempts_exhausted", "2023-08-01T07:00", number=1)],
    )
    assert "a single attempt, since 1 ÷ 4 leaves no whole day between" in told(detail, 1)


def test_a_card_that_cannot_recover_suspends_without_retry_and_the_catch_up_charges_it_first():
    detail = subscription(
        FIRST,
        payment(
            2,
            "2023-09-01T07:00",
            "settled",
            declined(1, "2023-09-01T07:00", "expired_card"),
            attempt(2, "2023-09-03T10:05"),
        ),
        history=[
            moved("current", "suspended", "needs_new_card", "2023-09-01T07:00", number=2),
            did("change_card", "2023-09-03T10:00", payment_method_id="pm_2"),
            did("resume", "2023-09-03T10:05", policy="catch_up"),
        ],
    )
    _, failed, suspended, charged = explain(detail, payment=2)
    assert "a decline that no retry can mend, a new card is needed" in failed
    assert "without any retry: the card can never be charged again" in suspended
    assert "operator:desk-1 resumed the subscription on 2023-09-03 10:05" in charged
    assert "charged again first, and its count starts anew" in charged


def test_a_new_card_while_unpaid_is_tried_at_once_and_not_counted():
    tries = [
        declined(1, "2023-09-01T07:00"),
        declined(2, "2023-09-03T10:00", "card_declined"),
        *(declined(n, f"2023-09-{day:02}T07:00") for n, day in ((3, 8), (4, 15), (5, 22))),
    ]
    detail = subscription(
        FIRST,
        payment(2, "2023-09-01T07:00", "collecting", *tries),
        status="suspended",
        reason="attempts_exhausted",
        history=[
            did("change_card", "2023-09-03T10:00", actor="customer:cus_1", payment_method_id="pm_2"),
            moved("unpaid", "suspended", "attempts_exhausted", "2023-09-22T07:00", number=2),
        ],
    )
    words = told(detail, 2)
    assert "at once because customer:cus_1 stored a new card on 2023-09-03 10:00" in words
    assert "does not use up the retry policy's count" in words
    assert "attempt 4 of 4 was the retry policy's last" in words


SUSPENDED = [
    did("suspend", "2023-08-15T12:00", comment="asked by phone"),
    moved("current", "suspended", "suspended_by_operator", "2023-08-15T12:00", actor="operator:desk-1"),
]


def test_next_cycle_skips_what_was_missed_and_names_both_people_and_the_comment():
    detail = subscription(
        FIRST,
        payment(2, "2023-09-01T07:00", "skipped", skip_reason="policy_next_cycle"),
        history=[
            *SUSPENDED,
            did("resume", "2023-10-02T10:00", actor="operator:desk-2"),
            skip(2, "2023-09-01T07:00", "2023-10-02T10:00"),
        ],
    )
    words = told(detail, 2)
    assert "by operator:desk-1 (“asked by phone”) on 2023-08-15 12:00" in words
    assert "operator:desk-2 resumed it on 2023-10-02 10:00 Asia/Tokyo with the policy next_cycle" in words
    assert "end of the plan" not in words


def test_with_a_fixed_number_of_charges_a_skipped_payment_moves_to_the_tail():
    detail = subscription(
        payment(2, "2023-09-01T07:00", "skipped", skip_reason="policy_next_cycle"),
        terms=terms(total_charges=5),
        history=[
            *SUSPENDED,
            did("resume", "2023-10-02T10:00"),
            skip(2, "2023-09-01T07:00", "2023-10-02T10:00"),
        ],
    )
    assert "moves to the end of the plan" in told(detail, 2)


def test_next_cycle_on_the_day_charges_upon_resumption():
    detail = subscription(
        payment(3, "2023-10-01T07:00", "settled", attempt(1, "2023-10-01T05:00")),
        history=[*SUSPENDED, did("resume", "2023-10-01T05:00")],
    )
    assert "on the very day of its cycle date: the policy next_cycle charges it upon resumption" in told(
        detail, 3
    )


def test_catch_up_charges_the_oldest_at_once_and_then_every_twenty_minutes():
    detail = subscription(
        payment(2, "2023-09-01T07:00", "settled", attempt(1, "2023-10-02T10:00")),
        payment(3, "2023-10-01T07:00", "settled", attempt(1, "2023-10-02T10:20")),
        terms=terms(resume_policy="catch_up"),
        history=[*SUSPENDED, did("resume", "2023-10-02T10:00")],
    )
    for number in (2, 3):
        assert (
            "with the policy catch_up: the oldest missed payment at once, then one every 20 minutes"
            in told(detail, number)
        )


def test_a_named_instant_is_named():
    detail = subscription(
        payment(2, "2023-09-01T07:00", "skipped", skip_reason="policy_at"),
        payment(3, "2023-10-01T07:00", "settled", attempt(1, "2023-10-15T09:00")),
        history=[
            *SUSPENDED,
            did("resume", "2023-10-02T10:00", at=at("2023-10-15T09:00").isoformat()),
            skip(2, "2023-09-01T07:00", "2023-10-02T10:00", "policy_at"),
        ],
    )
    assert "an instant named for the next payment" in told(detail, 2)
    assert "named this instant for the next payment" in told(detail, 3)


def test_a_payment_that_waited_for_the_one_before_and_one_that_nobody_could_send():
    waited = subscription(
        payment(
            1, "2023-08-01T07:00", "settled", declined(1, "2023-08-01T07:00"), attempt(2, "2023-09-01T09:00")
        ),
        payment(2, "2023-09-01T07:00", "settled", attempt(1, "2023-09-01T09:20")),
    )
    assert "once the payment before it was out of the way" in told(waited, 2)
    late = subscription(FIRST, payment(2, "2023-09-01T07:00", "settled", attempt(1, "2023-09-01T09:00")))
    assert "nothing could be sent before" in told(late, 2)


def test_a_scheduled_cancellation_names_the_mode_the_date_and_who_asked():
    history = [
        did("cancel", "2023-08-20T12:00", mode="period_end", comment="moving house"),
        moved("current", "canceled", "period_ended", "2023-09-01T07:00"),
    ]
    ended = subscription(FIRST, status="canceled", reason="period_ended", history=history)
    words = told(ended, 2)
    assert words.startswith("Payment 2, due on 2023-09-01 07:00 Asia/Tokyo, was not charged")
    assert "mode period_end; operator:desk-1 (“moving house”) had asked for it on 2023-08-20 12:00" in words
    assert told(ended).endswith(words)
    waiting = subscription(
        FIRST,
        history=history[:1],
        cancel_at=at("2023-09-01T07:00"),
        next_kind="cancel",
        next_at=at("2023-09-01T07:00"),
    )
    assert "On 2023-09-01 07:00 Asia/Tokyo (2023-08-31 22:00:00 UTC) it is canceled" in told(waiting)
    assert "operator:desk-1 (“moving house”) scheduled the cancellation on 2023-08-20" in told(waiting)


def test_cancelling_at_once_ends_the_retries_of_a_failing_payment():
    detail = subscription(
        payment(1, "2023-08-01T07:00", "failed", declined(1, "2023-08-01T07:00")),
        status="canceled",
        reason="canceled_now",
        history=[
            did("cancel", "2023-08-05T12:00", mode="now"),
            moved("unconfirmed", "canceled", "canceled_now", "2023-08-05T12:00", actor="operator:desk-1"),
        ],
    )
    assert "It was never collected: operator:desk-1 canceled it on 2023-08-05 12:00" in told(detail, 1)


def test_a_suspension_cuts_the_retries_short_and_a_planned_retry_is_announced():
    failing = payment(2, "2023-09-01T07:00", "collecting", declined(1, "2023-09-01T07:00"))
    cut = subscription(
        FIRST,
        failing,
        status="suspended",
        reason="suspended_by_operator",
        history=[
            did("suspend", "2023-09-05T12:00"),
            moved("unpaid", "suspended", "suspended_by_operator", "2023-09-05T12:00"),
        ],
    )
    assert "suspended the subscription on 2023-09-05 12:00 Asia/Tokyo, which cut its retries short" in told(
        cut, 2
    )
    planned = subscription(FIRST, failing, status="unpaid", next_kind="retry", next_at=at("2023-09-08T07:00"))
    assert "The next attempt is planned for 2023-09-08 07:00" in told(planned, 2)


def test_an_unknown_outcome_was_asked_for_and_nothing_was_charged_meanwhile():
    detail = subscription(
        payment(
            1,
            "2023-08-01T07:00",
            "settled",
            attempt(1, "2023-08-01T07:00", learned="2023-08-01T07:10", needs_verification=True),
        )
    )
    assert "learned only on 2023-08-01 07:10 Asia/Tokyo: the gateway was asked under the same key" in told(
        detail, 1
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("sent", "on its way"),
        ("unsent", "would not take it"),
        ("unknown", "nothing else is charged for this payment until it is known"),
        ("pending", "after 24 hours it counts as failed"),
        ("attention", "a person must settle it"),
    ],
)
def test_an_open_attempt_says_what_is_waited_for(state, words):
    detail = subscription(
        payment(1, "2023-08-01T07:00", "collecting", attempt(1, "2023-08-01T07:00", state)),
        status="unverified",
        next_kind="ask",
        next_at=at("2023-08-01T07:01"),
    )
    assert words in told(detail, 1)


def test_a_late_success_after_the_end_goes_back_and_revives_nothing():
    detail = subscription(
        payment(
            1,
            "2023-08-01T07:00",
            "refunded",
            attempt(1, "2023-08-01T07:00", learned="2023-08-01T09:00"),
            attempt(1, "2023-08-01T09:00", purpose="refund"),
        ),
        status="canceled",
        reason="canceled_now",
        history=[
            did("cancel", "2023-08-01T08:00", mode="now"),
            moved("unverified", "canceled", "canceled_now", "2023-08-01T08:00", actor="operator:desk-1"),
            event(
                "refund",
                "2023-08-01T09:00",
                {
                    "outcome": "succeeded",
                    "reason": "settled_after_the_end",
                    "amount_minor": 1000,
                    "currency": "JPY",
                },
                number=1,
            ),
        ],
    )
    words = told(detail, 1)
    assert "The 1,000 JPY went back on 2023-08-01 09:00" in words
    assert "a late success revives nothing" in words
    assert "operator:desk-1 canceled it on 2023-08-01 08:00" in words


def test_a_double_charge_goes_back_and_the_payment_stays_paid():
    returned = event(
        "refund",
        "2023-08-01T07:12",
        {"outcome": "succeeded", "reason": "double_charge", "amount_minor": 1000, "currency": "JPY"},
        number=1,
    )
    paid = attempt(1, "2023-08-01T07:00")
    back = attempt(1, "2023-08-01T07:12", purpose="twin")
    done = subscription(payment(1, "2023-08-01T07:00", "settled", paid, back), history=[returned])
    assert "charged it twice under one reference. The 1,000 JPY went back on 2023-08-01 07:12" in told(
        done, 1
    )
    waiting = attempt(1, "2023-08-01T07:12", "unknown", purpose="twin")
    under_way = subscription(payment(1, "2023-08-01T07:00", "settled", paid, waiting))
    assert (
        "the second charge is being returned since 2023-08-01 07:12 Asia/Tokyo (the refund is unknown)"
        in told(under_way, 1)
    )


def test_a_blocked_customer_is_never_sent_to_the_gateway():
    detail = subscription(
        FIRST,
        status="suspended",
        reason="blocked",
        history=[
            event(
                "payment", "2023-09-01T07:00", {"outcome": "blocked", "decline": "customer_blocked"}, number=2
            ),
            moved("current", "suspended", "blocked", "2023-09-01T07:00", number=2),
        ],
    )
    assert "blocked here (customer_blocked), so nothing was sent to the gateway" in told(detail, 2)


def test_changed_and_last_amounts_say_where_they_come_from():
    dearer = payment(
        2,
        "2023-09-01T07:00",
        "settled",
        attempt(1, "2023-09-01T07:00"),
        amount=Money(minor=1500, currency="JPY"),
    )
    changed = subscription(FIRST, dearer, history=[did("change_amount", "2023-08-20T12:00", next_only=True)])
    assert "operator:desk-1 changed the amount for the next payment only on 2023-08-20" in told(changed, 2)
    split = subscription(FIRST, dearer, terms=terms(total_amount_minor=2500, total_charges=2))
    assert "what is left of the agreed total" in told(split, 2)


def test_a_day_that_does_not_exist_and_an_hour_that_does_not_exist_are_explained():
    clamped = subscription(
        payment(2, "2023-02-28T07:00", "settled", attempt(1, "2023-02-28T07:00")),
        terms=terms(anchor_on=date(2023, 1, 31)),
    )
    assert "that month has no day 31: its last day" in told(clamped, 2)
    gap_terms = terms(
        zone="America/New_York", period="daily", anchor_on=date(2026, 3, 7), charge_time=time(2, 30)
    )
    due = gap_terms.calendar.due(1)
    paid = attempt(1, "2026-03-08T16:30").model_copy(update={"sent_at": due, "resolved_at": due})
    skipped_hour = payment(2, "2026-03-08T16:30", "settled", paid).model_copy(update={"due_at": due})
    gap = subscription(skipped_hour, terms=gap_terms, zone="America/New_York")
    assert "daylight saving skips 02:30 on that day" in told(gap, 2)


def test_payments_to_come_and_payments_that_never_come():
    running = subscription(FIRST, next_kind="payment", next_at=at("2023-09-01T07:00"))
    assert "planned for 2023-09-01 07:00" in told(running, 2)
    assert "has not been reached yet" in told(running, 9)
    done = subscription(FIRST, status="completed", reason="all_charges_made")
    for number in (0, 2):
        with pytest.raises(TeikiError) as refused:
            explain(done, payment=number)
        assert refused.value.code == "payment_not_found"


@given(
    declines=st.lists(st.sampled_from(sorted(DeclineCode)), max_size=6),
    gaps=st.lists(st.integers(0, 40), min_size=6, max_size=6),
    state=st.sampled_from(
        ["settled", "declined", "unknown", "pending", "attention", "sent", "unsent", "abandoned"]
    ),
    status=st.sampled_from(
        ["unverified", "unconfirmed", "current", "unpaid", "suspended", "canceled", "completed"]
    ),
    operations=st.lists(
        st.tuples(st.sampled_from(["suspend", "resume", "cancel", "change_card"]), st.integers(0, 60)),
        max_size=4,
    ),
)
def test_whatever_the_history_every_attempt_has_its_sentence(declines, gaps, state, status, operations):
    start = at("2023-08-01T07:00")
    tries, moment = [], start
    for index, decline in enumerate(declines):
        moment += timedelta(days=gaps[index])
        shown = declined(index + 1, "2023-08-01T07:00", decline)
        tries.append(shown.model_copy(update={"sent_at": moment, "resolved_at": moment}))
    last = attempt(len(declines) + 1, "2023-08-01T07:00", state)
    tries.append(last.model_copy(update={"sent_at": moment + timedelta(days=1)}))
    done = [
        did(name, "2023-08-01T07:00").model_copy(update={"at": start + timedelta(days=days)})
        for name, days in operations
    ]
    collected = payment(1, "2023-08-01T07:00", "settled" if state == "settled" else "collecting", *tries)
    sentences = explain(subscription(collected, history=done, status=status))
    for one in tries:
        assert sum(f"Payment 1, attempt {one.attempt}: " in sentence for sentence in sentences) == 1
    assert all(sentence.endswith((".", ").")) for sentence in sentences)
