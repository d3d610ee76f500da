"""An event that is refused is part of the result, by its code, and changes nothing (spec: interfaces.md §3)."""

from __future__ import annotations

import pytest

from tests.stories.telling import assert_told

pytestmark = pytest.mark.xdist_group("stories")

JPY = {"minor": 1500, "currency": "JPY"}


@pytest.mark.parametrize(
    ("what", "arguments", "code"),
    [
        ("resume", {}, "invalid_status"),
        ("recover", {}, "not_scheduled_for_cancellation"),
        ("change_amount", {"amount": {"minor": 1500, "currency": "USD"}}, "currency_mismatch"),
        ("change_amount", {"amount": {"minor": 0, "currency": "JPY"}}, "invalid_money"),
        ("change_amount", {"amount": {"minor": -1500, "currency": "JPY"}}, "invalid_money"),
        ("change_amount", {"amount": {"minor": 10.5, "currency": "JPY"}}, "invalid_money"),
        ("change_amount", {"amount": {"minor": 1500, "currency": "XXY"}}, "invalid_currency"),
        ("change_amount", {"amount": 1500}, "invalid_input"),
        ("change_amount", {"amount": JPY, "next_only": "perhaps"}, "invalid_input"),
        ("change_amount", {}, "invalid_input"),
        ("change_card", {"card": "tok_nobody_knows"}, "token_refused"),
        ("change_card", {"card": "tok_konbini"}, "payment_method_not_card"),
        ("cancel", {"mode": "tomorrow"}, "invalid_input"),
        ("suspend", {"because": "of the weather"}, "invalid_input"),
        ("suspend", {"actor": "nobody in particular"}, "invalid_input"),
        ("suspend", {"comment": "the card is " + "4242" * 4}, "card_number_refused"),
        ("suspend", {"comment": 5}, "invalid_input"),
    ],
)
async def test_an_event_that_cannot_be_is_refused_by_name_and_the_subscription_goes_on(
    play, what, arguments, code
):
    report = await play("2023-08-01 07:00", "2023-10-02 00:00", ("2023-08-15 12:00", what, arguments))
    assert_told(
        report,
        f"""
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 {what} refused: {code}
        2023-09-01 07:00 charge 2 succeeded
        2023-10-01 07:00 charge 3 succeeded
        final current, 3 charges, next 2023-11-01 07:00
        books 3,000 JPY
        """,
    )


@pytest.mark.parametrize(
    ("what", "arguments", "code"),
    [
        ("suspend", {}, "invalid_status"),
        ("resume", {"policy": "soon"}, "invalid_input"),
        ("resume", {"next_payment_at": "2023-08-01T07:00:00+09:00"}, "resume_at_in_past"),
        ("resume", {"next_payment_at": "2023-10-01T07:00:00"}, "invalid_instant"),
        ("resume", {"next_payment_at": "the day after"}, "invalid_instant"),
        ("resume", {"policy": "at=yesterday"}, "invalid_instant"),
        ("resume", {"policy": "at"}, "invalid_input"),
        ("recover", {}, "not_scheduled_for_cancellation"),
    ],
)
async def test_a_suspended_one_stays_suspended_when_the_event_is_refused(play, what, arguments, code):
    report = await play(
        "2023-08-01 07:00",
        "2023-10-02 00:00",
        ("2023-08-14 12:00", "suspend"),
        ("2023-08-15 12:00", what, arguments),
    )
    assert_told(
        report,
        f"""
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-14 12:00 suspend accepted
        2023-08-14 12:00 status current → suspended (suspended_by_operator)
        2023-08-15 12:00 {what} refused: {code}
        final suspended, 1 charges
        books 1,000 JPY
        """,
    )


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        ("suspend", {}),
        ("resume", {}),
        ("cancel", {}),
        ("cancel", {"mode": "period_end"}),
        ("recover", {}),
        ("change_amount", {"amount": JPY}),
        ("change_card", {"card": "tok_ok"}),
    ],
)
async def test_what_is_canceled_is_never_touched_again(play, what, arguments):
    report = await play(
        "2023-08-01 07:00",
        "2023-10-02 00:00",
        ("2023-08-14 12:00", "cancel"),
        ("2023-08-15 12:00", what, arguments),
    )
    assert_told(
        report,
        f"""
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-14 12:00 cancel accepted
        2023-08-14 12:00 status current → canceled (canceled_now)
        2023-08-15 12:00 {what} refused: invalid_status
        final canceled, 1 charges
        books 1,000 JPY
        """,
    )


async def test_the_parts_of_a_total_cannot_be_changed(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-08-20 00:00",
        ("2023-08-15 12:00", "change_amount", {"amount": JPY}),
        total_amount={"minor": 3000, "currency": "JPY"},
    )
    assert [entry["code"] for entry in report.timeline if entry["type"] == "operation"] == [
        "amount_fixed_by_total"
    ]


async def test_a_request_id_is_good_for_one_request_and_its_repetitions(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-10-02 00:00",
        ("2023-08-15 12:00", "change_amount", {"amount": JPY, "request_id": "once"}),
        ("2023-08-16 12:00", "change_amount", {"amount": JPY, "request_id": "once"}),
        ("2023-08-17 12:00", "suspend", {"request_id": "once"}),
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 change_amount accepted
        2023-08-17 12:00 suspend refused: request_id_conflict
        2023-09-01 07:00 charge 2 succeeded, 1,500 JPY
        2023-10-01 07:00 charge 3 succeeded, 1,500 JPY
        final current, 3 charges, next 2023-11-01 07:00
        books 4,000 JPY
        """,
    )


async def test_events_of_one_instant_keep_their_order(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-08-20 00:00",
        ("2023-08-15 12:00", "suspend"),
        ("2023-08-15 12:00", "suspend"),
        ("2023-08-15 12:00", "cancel"),
    )
    # What was refused changed nothing, so it stands behind what happened at its instant.
    assert [(entry["do"], entry["result"]) for entry in report.timeline if entry["type"] == "operation"] == [
        ("suspend", "accepted"),
        ("cancel", "accepted"),
        ("suspend", "refused"),
    ]
    assert report.final["status"] == "canceled"


async def test_an_event_at_the_very_instant_of_a_charge_comes_after_it(play):
    report = await play(
        "2023-08-01 07:00",
        "2023-10-02 00:00",
        ("2023-08-01 07:00", "change_amount", {"amount": JPY}),
        ("2023-09-01 07:00", "cancel"),
    )
    assert_told(
        report,
        """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-01 07:00 change_amount accepted
        2023-09-01 07:00 charge 2 succeeded, 1,500 JPY
        2023-09-01 07:00 cancel accepted
        2023-09-01 07:00 status current → canceled (canceled_now)
        final canceled, 2 charges
        books 2,500 JPY
        """,
    )
