"""What every example of an order tells, checked by hand against the specification (orders.md §§2, 3, 5–8).

One text per file in `examples/`; `telling.py` says how a line is read.
"""

from __future__ import annotations

TOLD = {
    "order_answers": """
        2026-01-05 10:00 charge 1 succeeded
        2026-01-05 10:00 payment payment_pending → payment_completed (paid)
        2026-01-05 10:00 order in_process → complete (paid)
        2026-01-05 10:00 permission → active (paid)
        2026-01-06 12:00 change_custom_fields accepted
        2026-01-06 12:30 change_custom_fields refused: invalid_custom_field
        2026-01-06 13:00 identify accepted
        2026-01-06 14:00 identify refused: identification_already_given
        2026-01-07 12:00 identify accepted
        2026-01-08 12:00 use accepted
        2026-01-08 12:00 order complete → purchase_confirmed (used)
        2026-01-08 13:00 change_custom_fields refused: order_already_confirmed
        2026-01-09 12:00 credit refused: operation_not_supported
        final order purchase_confirmed, payment_completed
        permission active 2026-01-05 10:00
        books 3,500 JPY
    """,
    "order_card_canceled": """
        2026-01-05 10:00 charge 1 succeeded
        2026-01-05 10:00 payment payment_pending → payment_completed (paid)
        2026-01-05 10:00 order in_process → complete (paid)
        2026-01-05 10:00 permission → active (paid)
        2026-01-06 12:00 cancel_order refused: refund_amount_mismatch
        2026-01-06 12:05 cancel_order accepted
        2026-01-06 12:05 order complete → canceled (canceled_by_customer)
        2026-01-06 12:05 permission active → revoked (canceled_by_customer)
        2026-01-06 12:05 refund 1 succeeded (order_canceled)
        2026-01-06 12:05 payment payment_completed → refunded (order_canceled)
        2026-01-06 13:00 use refused: permission_not_active
        final order canceled, refunded
        permission revoked 2026-01-05 10:00 to 2026-02-04 10:00
        refunded 3,500 JPY
        books nothing
    """,
    "order_card_confirmed": """
        2026-01-05 10:00 charge 1 succeeded
        2026-01-05 10:00 payment payment_pending → payment_completed (paid)
        2026-01-05 10:00 order in_process → complete (paid)
        2026-01-05 10:00 permission → active (paid)
        2026-01-12 09:59 note accepted
        2026-01-12 10:00 order complete → purchase_confirmed (seven_days_passed)
        2026-01-12 10:00 points +35 (earned)
        2026-01-13 12:00 cancel_order refused: not_cancelable
        2026-01-14 12:00 cancel_order accepted
        2026-01-14 12:00 order purchase_confirmed → canceled (canceled_by_admin)
        2026-01-14 12:00 permission active → revoked (canceled_by_admin)
        2026-01-14 12:00 points -35 (taken_back)
        2026-01-14 12:00 refund 1 succeeded (order_canceled)
        2026-01-14 12:00 payment payment_completed → refunded (order_canceled)
        final order canceled, refunded
        permission revoked 2026-01-05 10:00 to 2026-02-04 10:00
        refunded 3,500 JPY
        books nothing
    """,
    "order_card_declined": """
        2026-01-05 10:00 charge 1 failed (insufficient_funds)
        2026-01-05 10:00 payment payment_pending → cancel_before_payment (insufficient_funds)
        2026-01-05 10:00 order in_process → canceled (payment_failed)
        2026-01-06 12:00 use refused: permission_not_active
        final order canceled, cancel_before_payment
        no permission
        books nothing
    """,
    "order_card_lost_answer": """
        2026-01-05 10:00 charge 1 succeeded
        2026-01-05 10:00 payment payment_pending → payment_completed (paid)
        2026-01-05 10:00 order in_process → complete (paid)
        2026-01-05 10:00 permission → active (paid)
        2026-01-12 10:00 order complete → purchase_confirmed (seven_days_passed)
        2026-01-12 10:00 points +35 (earned)
        2026-02-04 10:00 permission active → expired (usage_period_ended)
        2026-02-04 10:00 order purchase_confirmed → expired (usage_period_ended)
        final order expired, payment_completed
        permission expired 2026-01-05 10:00 to 2026-02-04 10:00
        points 35
        books 3,500 JPY
    """,
    "order_fixed_dates": """
        2026-01-05 10:00 charge 1 succeeded
        2026-01-05 10:00 payment payment_pending → payment_completed (paid)
        2026-01-05 10:00 order in_process → complete (paid)
        2026-01-05 10:00 permission → active (paid)
        2026-01-09 12:00 use refused: outside_usage_period
        2026-01-10 12:00 use accepted
        2026-01-10 12:00 order complete → purchase_confirmed (used)
        2026-01-10 12:00 points +35 (earned)
        2026-01-31 23:59:59 permission active → expired (usage_period_ended)
        2026-01-31 23:59:59 order purchase_confirmed → expired (usage_period_ended)
        final order expired, payment_completed
        permission expired 2026-01-10 12:00 to 2026-01-31 23:59:59
        points 35
        books 3,500 JPY
    """,
    "order_hostile": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-05 11:00 use refused: permission_not_active
        2026-01-05 12:00 process_access refused: not_a_ticket
        2026-01-05 13:00 cancel_subscription refused: not_recurring
        2026-01-05 14:00 suspend refused: not_recurring
        2026-01-05 15:00 deposit_preliminary_canceled refused: invalid_status
        2026-01-05 16:00 deposit_paid refused: deposit_not_found
        2026-01-06 12:00 deposit_paid accepted
        2026-01-06 12:00 deposit issued → paid (paid)
        2026-01-06 12:00 payment payment_pending → payment_completed (paid)
        2026-01-06 12:00 order in_process → complete (paid)
        2026-01-06 12:00 permission → active (paid)
        2026-01-06 12:30 deposit_paid accepted
        2026-01-06 12:30 incident late_deposit
        2026-01-06 12:30 incident late_deposit
        2026-01-06 12:30 fee 250 JPY (remittance)
        2026-01-06 12:30 refund 1 succeeded (late_deposit)
        2026-01-06 12:30 fee 250 JPY (remittance)
        2026-01-06 12:30 refund 1 succeeded (late_deposit)
        2026-01-06 13:00 issue_slip refused: invalid_status
        2026-01-06 14:00 deposit_preliminary refused: invalid_status
        2026-01-07 12:00 cancel_order refused: refund_amount_mismatch
        2026-01-07 13:00 block_all refused: operation_not_supported
        final order complete, payment_completed
        permission active 2026-01-06 12:00 to 2026-02-05 12:00
        refunded 7,000 JPY, fees 500 JPY
        books 3,500 JPY
    """,
    "order_installments": """
        2026-01-04 20:00 charge 1 succeeded
        2026-01-04 20:00 payment payment_pending → payment_completed (paid)
        2026-01-04 20:00 order in_process → complete (paid)
        2026-01-04 20:00 permission → active (paid)
        2026-01-11 20:00 order complete → purchase_confirmed (seven_days_passed)
        2026-01-11 20:00 points +6 (earned)
        2027-01-04 20:00 permission active → expired (usage_period_ended)
        2027-01-04 20:00 order purchase_confirmed → expired (usage_period_ended)
        final order expired, payment_completed
        permission expired 2026-01-04 20:00 to 2027-01-04 20:00 no. 1
        points 6
        books 125.00 USD
    """,
    "order_recurring": """
        2026-01-05 10:00 charge 1 succeeded
        2026-01-05 10:00 status unverified → current (first_payment_succeeded)
        2026-01-05 10:00 payment payment_pending → recurring_payment (first_payment_succeeded)
        2026-01-05 10:00 order in_process → complete (first_payment_succeeded)
        2026-01-05 10:00 permission → active (first_payment_succeeded)
        2026-01-12 10:00 order complete → purchase_confirmed (seven_days_passed)
        2026-01-12 10:00 points +100 (earned)
        2026-02-05 10:00 charge 2 failed (insufficient_funds)
        2026-02-05 10:00 status current → unpaid (payment_failed)
        2026-02-05 10:00 permission active → expired (not_paid)
        2026-02-12 10:00 charge 2/2 succeeded, due 2026-02-05
        2026-02-12 10:00 status unpaid → current (retry_succeeded)
        2026-02-12 10:00 permission expired → active (paid_again)
        2026-03-05 10:00 charge 3 succeeded
        2026-04-01 12:00 cancel_subscription accepted
        2026-04-01 12:00 cancel accepted
        2026-04-01 12:00 status current → canceled (canceled_now)
        2026-04-01 12:00 payment recurring_payment → recurring_payment_canceled (subscription_canceled)
        2026-04-02 12:00 cancel_subscription refused: invalid_status
        2026-04-05 10:00 permission active → expired (usage_period_ended)
        2026-04-05 10:00 order purchase_confirmed → expired (usage_period_ended)
        final order expired, recurring_payment_canceled
        permission expired 2026-01-05 10:00 to 2026-04-05 10:00 no. 1
        points 100, expires on 2026-04-05
        books 3,000 JPY
    """,
    "order_recurring_canceled": """
        2026-01-05 10:00 charge 1 succeeded
        2026-01-05 10:00 status unverified → current (first_payment_succeeded)
        2026-01-05 10:00 payment payment_pending → recurring_payment (first_payment_succeeded)
        2026-01-05 10:00 order in_process → complete (first_payment_succeeded)
        2026-01-05 10:00 permission → active (first_payment_succeeded)
        2026-01-12 10:00 order complete → purchase_confirmed (seven_days_passed)
        2026-01-12 10:00 points +100 (earned)
        2026-02-05 10:00 charge 2 succeeded
        2026-03-05 10:00 charge 3 succeeded
        2026-03-20 12:00 cancel_order accepted
        2026-03-20 12:00 order purchase_confirmed → canceled (canceled_by_admin)
        2026-03-20 12:00 permission active → revoked (canceled_by_admin)
        2026-03-20 12:00 points -100 (taken_back)
        2026-03-20 12:00 refund 3 succeeded (order_canceled)
        2026-03-20 12:00 payment recurring_payment → refunded (order_canceled)
        2026-03-20 12:00 cancel accepted
        2026-03-20 12:00 status current → canceled (canceled_now)
        final order canceled, refunded
        permission revoked 2026-01-05 10:00 no. 1
        refunded 1,000 JPY
        books 2,000 JPY
    """,
    "order_recurring_suspended": """
        2026-01-05 10:00 charge 1 succeeded
        2026-01-05 10:00 status unverified → current (first_payment_succeeded)
        2026-01-05 10:00 payment payment_pending → recurring_payment (first_payment_succeeded)
        2026-01-05 10:00 order in_process → complete (first_payment_succeeded)
        2026-01-05 10:00 permission → active (first_payment_succeeded)
        2026-01-12 10:00 order complete → purchase_confirmed (seven_days_passed)
        2026-01-12 10:00 points +100 (earned)
        2026-01-20 12:00 suspend accepted
        2026-01-20 12:00 status current → suspended (suspended_by_operator)
        2026-02-05 10:00 permission active → expired (not_paid)
        2026-02-20 12:00 resume accepted
        2026-02-20 12:00 status suspended → current (resumed)
        2026-02-20 12:00 skip 2, due 2026-02-05 (policy_next_cycle)
        2026-03-05 10:00 charge 3 succeeded
        2026-03-05 10:00 permission expired → active (paid_again)
        final order purchase_confirmed, recurring_payment
        permission active 2026-01-05 10:00 no. 1
        points 100
        books 2,000 JPY
    """,
    "order_short_period": """
        2026-01-05 10:00 charge 1 succeeded
        2026-01-05 10:00 payment payment_pending → payment_completed (paid)
        2026-01-05 10:00 order in_process → complete (paid)
        2026-01-05 10:00 permission → active (paid)
        2026-01-08 10:00 points +35 (earned)
        2026-01-08 10:00 permission active → expired (usage_period_ended)
        2026-01-08 10:00 order complete → expired (usage_period_ended)
        final order expired, payment_completed
        permission expired 2026-01-05 10:00 to 2026-01-08 10:00
        points 35
        books 3,500 JPY
    """,
    "order_three_decimals": """
        2026-01-05 10:00 charge 1 succeeded
        2026-01-05 10:00 payment payment_pending → payment_completed (paid)
        2026-01-05 10:00 order in_process → complete (paid)
        2026-01-05 10:00 permission → active (paid)
        2026-01-12 10:00 order complete → purchase_confirmed (seven_days_passed)
        2026-01-12 10:00 points +12 (earned)
        2026-01-13 12:00 cancel_order accepted
        2026-01-13 12:00 order purchase_confirmed → canceled (canceled_by_admin)
        2026-01-13 12:00 permission active → revoked (canceled_by_admin)
        2026-01-13 12:00 points -12 (taken_back)
        2026-01-13 12:00 refund 1 succeeded (order_canceled)
        2026-01-13 12:00 payment payment_completed → refunded (order_canceled)
        final order canceled, refunded
        permission revoked 2026-01-05 10:00
        refunded 12.345 KWD
        books nothing
    """,
    "order_ticket": """
        2026-01-05 10:00 charge 1 succeeded
        2026-01-05 10:00 payment payment_pending → payment_completed (paid)
        2026-01-05 10:00 order in_process → complete (paid)
        2026-01-05 10:00 permission → active (paid)
        2026-01-06 18:00 process_access accepted
        2026-01-06 18:00 permission active → used (access_processed)
        2026-01-06 18:00 order complete → purchase_confirmed (used)
        2026-01-06 18:00 points +35 (earned)
        2026-01-06 18:01 process_access refused: already_processed
        2026-01-06 19:00 cancel_order refused: not_cancelable
        2026-01-07 12:00 cancel_order accepted
        2026-01-07 12:00 order purchase_confirmed → canceled (canceled_by_admin)
        2026-01-07 12:00 permission used → revoked (canceled_by_admin)
        2026-01-07 12:00 points -35 (taken_back)
        2026-01-07 12:00 refund 1 succeeded (order_canceled)
        2026-01-07 12:00 payment payment_completed → refunded (order_canceled)
        final order canceled, refunded
        permission revoked 2026-01-05 10:00 to 2026-02-04 10:00
        refunded 3,500 JPY
        books nothing
    """,
    "order_token": """
        2026-01-05 10:00 order in_process → complete (token_authenticated)
        2026-01-05 10:00 permission → active (token_authenticated)
        2026-01-06 12:00 use accepted
        2026-01-06 12:00 order complete → purchase_confirmed (used)
        2026-01-15 10:00 permission active → expired (usage_period_ended)
        2026-01-15 10:00 order purchase_confirmed → expired (usage_period_ended)
        final order expired, no_payment
        permission expired 2026-01-05 10:00 to 2026-01-15 10:00
        books nothing
    """,
}
