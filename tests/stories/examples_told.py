"""What every example tells, written out and checked by hand against the specification (subscriptions.md §§2–6).

One text per file in `examples/`; `telling.py` says how a line is read.
"""

from __future__ import annotations

TOLD = {
    "credit": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-10 12:00 credit accepted
        2023-08-10 12:00 refund 1 succeeded (credit), 300 JPY
        2023-08-11 12:00 credit refused: credit_exceeds_balance
        2023-09-01 07:00 charge 2 succeeded
        2023-09-05 12:00 cancel accepted
        2023-09-05 12:00 status current → canceled (canceled_now)
        2023-09-06 12:00 credit accepted
        2023-09-06 12:00 refund 1 succeeded (credit), 700 JPY
        2023-09-06 13:00 credit accepted
        2023-09-06 13:00 refund 2 succeeded (credit)
        2023-09-06 14:00 credit refused: credit_exceeds_balance
        final canceled, 2 charges
        books nothing
    """,
    "cancel_now": """
        2023-06-01 07:00 charge 1 failed (insufficient_funds)
        2023-06-01 07:00 status unverified → unconfirmed (first_payment_failed)
        2023-06-05 12:00 cancel accepted
        2023-06-05 12:00 status unconfirmed → canceled (canceled_now)
        2023-06-06 12:00 suspend refused: invalid_status
        final canceled, 0 charges
        books nothing
    """,
    "cancel_period_end": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-20 12:00 cancel accepted
        2023-09-01 07:00 status current → canceled (period_ended)
        final canceled, 1 charges
        books 1,000 JPY
    """,
    "daylight_saving": """
        2026-03-07 02:30 charge 1 succeeded
        2026-03-07 02:30 status unverified → current (first_payment_succeeded)
        2026-03-08 03:30 charge 2 succeeded
        2026-03-09 02:30 charge 3 succeeded
        final current, 3 charges, next 2026-03-10 02:30
        books 29.97 USD
    """,
    "end_of_month_preserved": """
        2026-06-30 07:00 charge 1 succeeded
        2026-06-30 07:00 status unverified → current (first_payment_succeeded)
        2026-07-31 07:00 charge 2 succeeded
        2026-08-31 07:00 charge 3 succeeded
        2026-09-30 07:00 charge 4 succeeded
        final current, 4 charges, next 2026-10-31 07:00
        books 4,000 JPY
    """,
    "expired_card": """
        2023-05-01 07:00 charge 1 succeeded
        2023-05-01 07:00 status unverified → current (first_payment_succeeded)
        2023-06-01 07:00 charge 2 failed (expired_card)
        2023-06-01 07:00 status current → suspended (needs_new_card)
        2023-06-03 10:00 change_card accepted
        2023-06-03 10:05 resume accepted
        2023-06-03 10:05 status suspended → unpaid (resumed)
        2023-06-03 10:05 charge 2/2 succeeded, due 2023-06-01
        2023-06-03 10:05 status unpaid → current (retry_succeeded)
        2023-07-01 07:00 charge 3 succeeded
        2023-08-01 07:00 charge 4 succeeded
        final current, 4 charges, next 2023-09-01 07:00
        books 4,000 JPY
    """,
    "first_payment_fails": """
        2023-06-01 07:00 charge 1 failed (insufficient_funds)
        2023-06-01 07:00 status unverified → unconfirmed (first_payment_failed)
        2023-06-08 07:00 charge 1/2 succeeded, due 2023-06-01
        2023-06-08 07:00 status unconfirmed → current (first_payment_succeeded)
        2023-07-01 07:00 charge 2 succeeded
        final current, 2 charges, next 2023-08-01 07:00
        books 2,000 JPY
    """,
    "leap_day": """
        2024-02-29 07:00 charge 1 succeeded
        2024-02-29 07:00 status unverified → current (first_payment_succeeded)
        2025-02-28 07:00 charge 2 succeeded
        2026-02-28 07:00 charge 3 succeeded
        2027-02-28 07:00 charge 4 succeeded
        2028-02-29 07:00 charge 5 succeeded
        final current, 5 charges, next 2029-02-28 07:00
        books 60,000 JPY
    """,
    "lost_answer": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-09-01 07:00 charge 2 succeeded
        2023-10-01 07:00 charge 3 succeeded
        2023-11-01 07:00 charge 4 succeeded
        final current, 4 charges, next 2023-12-01 07:00
        books 4,000 JPY
    """,
    "month_end": """
        2024-01-31 07:00 charge 1 succeeded
        2024-01-31 07:00 status unverified → current (first_payment_succeeded)
        2024-02-29 07:00 charge 2 succeeded
        2024-03-31 07:00 charge 3 succeeded
        2024-04-30 07:00 charge 4 succeeded
        2024-05-31 07:00 charge 5 succeeded
        final current, 5 charges, next 2024-06-30 07:00
        books 5,000 JPY
    """,
    "new_card_while_unpaid": """
        2023-05-01 07:00 charge 1 succeeded
        2023-05-01 07:00 status unverified → current (first_payment_succeeded)
        2023-06-01 07:00 charge 2 failed (insufficient_funds)
        2023-06-01 07:00 status current → unpaid (payment_failed)
        2023-06-03 10:00 change_card accepted
        2023-06-03 10:00 charge 2/2 succeeded, due 2023-06-01
        2023-06-03 10:00 status unpaid → current (retry_succeeded)
        2023-07-01 07:00 charge 3 succeeded
        final current, 3 charges, next 2023-08-01 07:00
        books 3,000 JPY
    """,
    "pending_first_payment": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:01:30 status unverified → current (first_payment_succeeded)
        2023-09-01 07:00 charge 2 succeeded
        final current, 2 charges, next 2023-10-01 07:00
        books 2,000 JPY
    """,
    "recover": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-20 12:00 cancel accepted
        2023-08-25 12:00 recover accepted
        2023-08-26 12:00 recover refused: not_scheduled_for_cancellation
        2023-09-01 07:00 charge 2 succeeded
        2023-10-01 07:00 charge 3 succeeded
        final current, 3 charges, next 2023-11-01 07:00
        books 3,000 JPY
    """,
    "resume_at": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-02 10:00 resume accepted
        2023-10-02 10:00 status suspended → current (resumed)
        2023-10-02 10:00 skip 2, due 2023-09-01 (policy_at)
        2023-10-15 09:00 charge 3 succeeded, due 2023-10-01
        2023-11-01 07:00 charge 4 succeeded
        2023-12-01 07:00 charge 5 succeeded
        final current, 4 charges, next 2024-01-01 07:00
        books 4,000 JPY
    """,
    "resume_before_the_date": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-08-20 10:00 resume accepted
        2023-08-20 10:00 status suspended → current (resumed)
        2023-09-01 07:00 charge 2 succeeded
        final current, 2 charges, next 2023-10-01 07:00
        books 2,000 JPY
    """,
    "resume_catch_up": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-02 10:00 resume accepted
        2023-10-02 10:00 status suspended → unpaid (resumed)
        2023-10-02 10:00 charge 2 succeeded, due 2023-09-01
        2023-10-02 10:20 charge 3 succeeded, due 2023-10-01
        2023-10-02 10:20 status unpaid → current (caught_up)
        2023-11-01 07:00 charge 4 succeeded
        2023-12-01 07:00 charge 5 succeeded
        final current, 5 charges, next 2024-01-01 07:00
        books 5,000 JPY
    """,
    "resume_catch_up_fixed": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-02 10:00 resume accepted
        2023-10-02 10:00 status suspended → unpaid (resumed)
        2023-10-02 10:00 charge 2 succeeded, due 2023-09-01
        2023-10-02 10:20 charge 3 succeeded, due 2023-10-01
        2023-10-02 10:20 status unpaid → current (caught_up)
        2023-11-01 07:00 charge 4 succeeded
        2023-12-01 07:00 charge 5 succeeded
        2023-12-01 07:00 status current → completed (all_charges_made)
        final completed, 5 charges
        books 5,000 JPY
    """,
    "resume_next_cycle": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-02 10:00 resume accepted
        2023-10-02 10:00 status suspended → current (resumed)
        2023-10-02 10:00 skip 2, due 2023-09-01 (policy_next_cycle)
        2023-10-02 10:00 skip 3, due 2023-10-01 (policy_next_cycle)
        2023-11-01 07:00 charge 4 succeeded
        2023-12-01 07:00 charge 5 succeeded
        final current, 3 charges, next 2024-01-01 07:00
        books 3,000 JPY
    """,
    "resume_next_cycle_fixed": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-02 10:00 resume accepted
        2023-10-02 10:00 status suspended → current (resumed)
        2023-10-02 10:00 skip 2, due 2023-09-01 (policy_next_cycle)
        2023-10-02 10:00 skip 3, due 2023-10-01 (policy_next_cycle)
        2023-11-01 07:00 charge 4 succeeded
        2023-12-01 07:00 charge 5 succeeded
        2024-01-01 07:00 charge 6 succeeded
        2024-02-01 07:00 charge 7 succeeded
        2024-02-01 07:00 status current → completed (all_charges_made)
        final completed, 5 charges
        books 5,000 JPY
    """,
    "resume_on_the_day_early": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-01 05:00 resume accepted
        2023-10-01 05:00 status suspended → current (resumed)
        2023-10-01 05:00 skip 2, due 2023-09-01 (policy_next_cycle)
        2023-10-01 05:00 charge 3 succeeded
        2023-11-01 07:00 charge 4 succeeded
        final current, 3 charges, next 2023-12-01 07:00
        books 3,000 JPY
    """,
    "resume_on_the_day_late": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-01 18:30 resume accepted
        2023-10-01 18:30 status suspended → current (resumed)
        2023-10-01 18:30 skip 2, due 2023-09-01 (policy_next_cycle)
        2023-10-01 18:30 charge 3 succeeded
        2023-11-01 07:00 charge 4 succeeded
        final current, 3 charges, next 2023-12-01 07:00
        books 3,000 JPY
    """,
    "retries_daily": """
        2023-05-01 07:00 charge 1 succeeded
        2023-05-01 07:00 status unverified → current (first_payment_succeeded)
        2023-05-02 07:00 charge 2 failed (insufficient_funds)
        2023-05-02 07:00 status current → suspended (attempts_exhausted)
        final suspended, 1 charges
        books 1,000 JPY
    """,
    "retries_default": """
        2023-05-01 07:00 charge 1 succeeded
        2023-05-01 07:00 status unverified → current (first_payment_succeeded)
        2023-06-01 07:00 charge 2 failed (insufficient_funds)
        2023-06-01 07:00 status current → unpaid (payment_failed)
        2023-06-08 07:00 charge 2/2 failed (insufficient_funds), due 2023-06-01
        2023-06-15 07:00 charge 2/3 failed (insufficient_funds), due 2023-06-01
        2023-06-22 07:00 charge 2/4 failed (insufficient_funds), due 2023-06-01
        2023-06-22 07:00 status unpaid → suspended (attempts_exhausted)
        final suspended, 1 charges
        books 1,000 JPY
    """,
    "retries_next_day": """
        2023-05-01 07:00 charge 1 succeeded
        2023-05-01 07:00 status unverified → current (first_payment_succeeded)
        2023-06-01 07:00 charge 2 failed (insufficient_funds)
        2023-06-01 07:00 status current → unpaid (payment_failed)
        2023-06-02 07:00 charge 2/2 failed (issuer_unavailable), due 2023-06-01
        2023-06-03 07:00 charge 2/3 succeeded, due 2023-06-01
        2023-06-03 07:00 status unpaid → current (retry_succeeded)
        2023-07-01 07:00 charge 3 succeeded
        final current, 3 charges, next 2023-08-01 07:00
        books 3,000 JPY
    """,
    "retries_seed": """
        2023-06-01 07:00 charge 1 failed (insufficient_funds)
        2023-06-01 07:00 status unverified → unconfirmed (first_payment_failed)
        2023-06-11 07:00 charge 1/2 failed (insufficient_funds), due 2023-06-01
        2023-06-21 07:00 charge 1/3 failed (insufficient_funds), due 2023-06-01
        2023-06-21 07:00 status unconfirmed → suspended (attempts_exhausted)
        final suspended, 0 charges
        books nothing
    """,
    "retries_succeed_late": """
        2023-05-01 07:00 charge 1 succeeded
        2023-05-01 07:00 status unverified → current (first_payment_succeeded)
        2023-06-01 07:00 charge 2 failed (insufficient_funds)
        2023-06-01 07:00 status current → unpaid (payment_failed)
        2023-06-11 07:00 charge 2/2 failed (insufficient_funds), due 2023-06-01
        2023-06-21 07:00 charge 2/3 succeeded, due 2023-06-01
        2023-06-21 07:00 status unpaid → current (retry_succeeded)
        2023-07-01 07:00 charge 3 succeeded
        final current, 3 charges, next 2023-08-01 07:00
        books 3,000 JPY
    """,
    "seed_year": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-08-15 12:00 suspend accepted
        2023-08-15 12:00 status current → suspended (suspended_by_operator)
        2023-10-02 10:00 resume accepted
        2023-10-02 10:00 status suspended → unpaid (resumed)
        2023-10-02 10:00 charge 2 succeeded, due 2023-09-01
        2023-10-02 10:20 charge 3 succeeded, due 2023-10-01
        2023-10-02 10:20 status unpaid → current (caught_up)
        2023-11-01 07:00 charge 4 succeeded
        2023-12-01 07:00 charge 5 succeeded
        2024-01-01 07:00 charge 6 succeeded
        2024-02-01 07:00 charge 7 succeeded
        2024-03-01 07:00 charge 8 succeeded
        2024-04-01 07:00 charge 9 succeeded
        2024-05-01 07:00 charge 10 succeeded
        2024-06-01 07:00 charge 11 succeeded
        2024-07-01 07:00 charge 12 succeeded
        final current, 12 charges, next 2024-08-01 07:00
        books 12,000 JPY
    """,
    "start_in_the_future": """
        2026-05-01 10:00 charge 1 succeeded
        2026-05-01 10:00 status unverified → current (first_payment_succeeded)
        2026-06-01 10:00 charge 2 succeeded
        final current, 2 charges, next 2026-07-01 10:00
        books 2,000 JPY
    """,
    "three_decimals": """
        2040-01-15 09:00 charge 1 succeeded
        2040-01-15 09:00 status unverified → current (first_payment_succeeded)
        2040-01-20 09:00 change_amount accepted
        2040-01-25 09:00 charge 2 succeeded, 10.000 BHD
        2040-02-04 09:00 charge 3 succeeded
        final current, 3 charges, next 2040-02-14 09:00
        books 34.690 BHD
    """,
    "total_amount": """
        2023-08-01 07:00 charge 1 succeeded
        2023-08-01 07:00 status unverified → current (first_payment_succeeded)
        2023-09-01 07:00 charge 2 succeeded
        2023-10-01 07:00 charge 3 succeeded
        2023-11-01 07:00 charge 4 succeeded, 1,000 JPY
        2023-11-01 07:00 status current → completed (all_charges_made)
        final completed, 4 charges
        books 10,000 JPY
    """,
}
