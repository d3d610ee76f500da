"""What every example of a Konbini deposit tells, checked by hand against the table of orders.md §4.

One text per file in `examples/`; `telling.py` says how a line is read.
"""

from __future__ import annotations

TOLD = {
    "order_deposit_announced_only": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-06 12:00 deposit_preliminary accepted
        2026-01-06 12:00 deposit issued → preliminary (preliminary_notice)
        2026-01-06 12:00 payment payment_pending → payment_completed (preliminary_notice)
        2026-01-06 12:00 order in_process → complete (preliminary_notice)
        2026-01-06 12:00 permission → active (preliminary_notice)
        2026-01-10 12:00 use refused: outside_usage_period
        2026-01-23 00:29:59 deposit preliminary → expired (deposit_expired)
        2026-01-23 00:29:59 payment payment_completed → payment_pending (preliminary_canceled)
        2026-01-23 00:29:59 order complete → in_process (preliminary_canceled)
        2026-01-23 00:29:59 permission active → revoked (preliminary_canceled)
        2026-01-23 00:29:59 payment payment_pending → payment_deadline_expired (deposit_expired)
        2026-01-23 00:29:59 order in_process → canceled (deposit_expired)
        final order canceled, payment_deadline_expired
        permission revoked 2026-01-06 12:00 to 2026-01-09 12:00
        books nothing
    """,
    "order_deposit_canceled": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-06 12:00 cancel_order accepted
        2026-01-06 12:00 payment payment_pending → cancel_before_payment (canceled_by_customer)
        2026-01-06 12:00 order in_process → canceled (canceled_by_customer)
        2026-01-06 12:00 deposit issued → canceled (canceled_by_customer)
        2026-01-07 12:00 cancel_order refused: invalid_status
        final order canceled, cancel_before_payment
        no permission
        books nothing
    """,
    "order_deposit_canceled_then_paid": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-06 12:00 cancel_order accepted
        2026-01-06 12:00 payment payment_pending → cancel_before_payment (canceled_by_admin)
        2026-01-06 12:00 order in_process → canceled (canceled_by_admin)
        2026-01-06 12:00 deposit issued → canceled (canceled_by_admin)
        2026-01-06 15:00 deposit_paid accepted
        2026-01-06 15:00 incident late_deposit
        2026-01-06 15:00 fee 250 JPY (remittance)
        2026-01-06 15:00 refund 1 succeeded (late_deposit)
        final order canceled, cancel_before_payment
        no permission
        refunded 3,500 JPY, fees 250 JPY
        books nothing
    """,
    "order_deposit_grace": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-09 00:10 deposit_paid accepted
        2026-01-09 00:10 deposit issued → paid (paid)
        2026-01-09 00:10 payment payment_pending → payment_completed (paid)
        2026-01-09 00:10 order in_process → complete (paid)
        2026-01-09 00:10 permission → active (paid)
        2026-01-16 00:10 order complete → purchase_confirmed (seven_days_passed)
        2026-01-16 00:10 points +35 (earned)
        2026-02-08 00:10 permission active → expired (usage_period_ended)
        2026-02-08 00:10 order purchase_confirmed → expired (usage_period_ended)
        final order expired, payment_completed
        permission expired 2026-01-09 00:10 to 2026-02-08 00:10
        points 35
        books 3,500 JPY
    """,
    "order_deposit_late": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-09 00:29:59 deposit issued → expired (deposit_expired)
        2026-01-09 00:29:59 payment payment_pending → payment_deadline_expired (deposit_expired)
        2026-01-09 00:29:59 order in_process → canceled (deposit_expired)
        2026-01-09 01:00 deposit_paid accepted
        2026-01-09 01:00 incident late_deposit
        2026-01-09 01:00 fee 250 JPY (remittance)
        2026-01-09 01:00 refund 1 succeeded (late_deposit)
        final order canceled, payment_deadline_expired
        no permission
        refunded 3,500 JPY, fees 250 JPY
        books nothing
    """,
    "order_deposit_late_unheard": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-09 00:29:59 deposit issued → expired (deposit_expired)
        2026-01-09 00:29:59 payment payment_pending → payment_deadline_expired (deposit_expired)
        2026-01-09 00:29:59 order in_process → canceled (deposit_expired)
        2026-01-09 01:00 deposit_paid accepted
        2026-01-09 01:29:59 incident late_deposit
        2026-01-09 01:29:59 fee 250 JPY (remittance)
        2026-01-09 01:29:59 refund 1 succeeded (late_deposit)
        final order canceled, payment_deadline_expired
        no permission
        refunded 3,500 JPY, fees 250 JPY
        books nothing
    """,
    "order_deposit_never_paid": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-09 00:29:59 deposit issued → expired (deposit_expired)
        2026-01-09 00:29:59 payment payment_pending → payment_deadline_expired (deposit_expired)
        2026-01-09 00:29:59 order in_process → canceled (deposit_expired)
        final order canceled, payment_deadline_expired
        no permission
        books nothing
    """,
    "order_deposit_paid": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-07 09:00 deposit_paid accepted
        2026-01-07 09:00 deposit issued → paid (paid)
        2026-01-07 09:00 payment payment_pending → payment_completed (paid)
        2026-01-07 09:00 order in_process → complete (paid)
        2026-01-07 09:00 permission → active (paid)
        2026-01-08 09:00 use accepted
        2026-01-08 09:00 order complete → purchase_confirmed (used)
        2026-01-08 09:00 points +35 (earned)
        2026-02-06 09:00 permission active → expired (usage_period_ended)
        2026-02-06 09:00 order purchase_confirmed → expired (usage_period_ended)
        final order expired, payment_completed
        permission expired 2026-01-07 09:00 to 2026-02-06 09:00
        points 35
        books 3,500 JPY
    """,
    "order_deposit_paid_twice": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-06 12:00 deposit_paid accepted
        2026-01-06 12:00 deposit issued → paid (paid)
        2026-01-06 12:00 payment payment_pending → payment_completed (paid)
        2026-01-06 12:00 order in_process → complete (paid)
        2026-01-06 12:00 permission → active (paid)
        2026-01-06 15:00 deposit_paid accepted
        2026-01-06 15:00 incident late_deposit
        2026-01-06 15:00 fee 250 JPY (remittance)
        2026-01-06 15:00 refund 1 succeeded (late_deposit)
        2026-01-13 12:00 order complete → purchase_confirmed (seven_days_passed)
        2026-01-13 12:00 points +35 (earned)
        2026-02-05 12:00 permission active → expired (usage_period_ended)
        2026-02-05 12:00 order purchase_confirmed → expired (usage_period_ended)
        final order expired, payment_completed
        permission expired 2026-01-06 12:00 to 2026-02-05 12:00
        refunded 3,500 JPY, fees 250 JPY, points 35
        books 3,500 JPY
    """,
    "order_deposit_preliminary": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-06 12:00 deposit_preliminary accepted
        2026-01-06 12:00 deposit issued → preliminary (preliminary_notice)
        2026-01-06 12:00 payment payment_pending → payment_completed (preliminary_notice)
        2026-01-06 12:00 order in_process → complete (preliminary_notice)
        2026-01-06 12:00 permission → active (preliminary_notice)
        2026-01-07 06:00 deposit_paid accepted
        2026-01-07 06:00 deposit preliminary → paid (paid)
        2026-01-13 12:00 order complete → purchase_confirmed (seven_days_passed)
        2026-01-13 12:00 points +35 (earned)
        2026-02-05 12:00 permission active → expired (usage_period_ended)
        2026-02-05 12:00 order purchase_confirmed → expired (usage_period_ended)
        final order expired, payment_completed
        permission expired 2026-01-06 12:00 to 2026-02-05 12:00
        points 35
        books 3,500 JPY
    """,
    "order_deposit_preliminary_canceled": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-06 12:00 deposit_preliminary accepted
        2026-01-06 12:00 deposit issued → preliminary (preliminary_notice)
        2026-01-06 12:00 payment payment_pending → payment_completed (preliminary_notice)
        2026-01-06 12:00 order in_process → complete (preliminary_notice)
        2026-01-06 12:00 permission → active (preliminary_notice)
        2026-01-06 18:00 deposit_preliminary_canceled accepted
        2026-01-06 18:00 deposit preliminary → issued (preliminary_canceled)
        2026-01-06 18:00 payment payment_completed → payment_pending (preliminary_canceled)
        2026-01-06 18:00 order complete → in_process (preliminary_canceled)
        2026-01-06 18:00 permission active → revoked (preliminary_canceled)
        2026-01-09 00:29:59 deposit issued → expired (deposit_expired)
        2026-01-09 00:29:59 payment payment_pending → payment_deadline_expired (deposit_expired)
        2026-01-09 00:29:59 order in_process → canceled (deposit_expired)
        final order canceled, payment_deadline_expired
        permission revoked 2026-01-06 12:00 to 2026-02-05 12:00
        books nothing
    """,
    "order_deposit_preliminary_canceled_late": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-08 23:00 deposit_preliminary accepted
        2026-01-08 23:00 deposit issued → preliminary (preliminary_notice)
        2026-01-08 23:00 payment payment_pending → payment_completed (preliminary_notice)
        2026-01-08 23:00 order in_process → complete (preliminary_notice)
        2026-01-08 23:00 permission → active (preliminary_notice)
        2026-01-09 05:00 deposit_preliminary_canceled accepted
        2026-01-09 05:00 deposit preliminary → issued (preliminary_canceled)
        2026-01-09 05:00 payment payment_completed → payment_pending (preliminary_canceled)
        2026-01-09 05:00 order complete → in_process (preliminary_canceled)
        2026-01-09 05:00 permission active → revoked (preliminary_canceled)
        2026-01-09 05:00 deposit issued → expired (deposit_expired)
        2026-01-09 05:00 payment payment_pending → payment_deadline_expired (deposit_expired)
        2026-01-09 05:00 order in_process → canceled (deposit_expired)
        final order canceled, payment_deadline_expired
        permission revoked 2026-01-08 23:00 to 2026-02-07 23:00
        books nothing
    """,
    "order_deposit_preliminary_paid_after_all": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-06 12:00 deposit_preliminary accepted
        2026-01-06 12:00 deposit issued → preliminary (preliminary_notice)
        2026-01-06 12:00 payment payment_pending → payment_completed (preliminary_notice)
        2026-01-06 12:00 order in_process → complete (preliminary_notice)
        2026-01-06 12:00 permission → active (preliminary_notice)
        2026-01-06 18:00 deposit_preliminary_canceled accepted
        2026-01-06 18:00 deposit preliminary → issued (preliminary_canceled)
        2026-01-06 18:00 payment payment_completed → payment_pending (preliminary_canceled)
        2026-01-06 18:00 order complete → in_process (preliminary_canceled)
        2026-01-06 18:00 permission active → revoked (preliminary_canceled)
        2026-01-07 12:00 deposit_paid accepted
        2026-01-07 12:00 deposit issued → paid (paid)
        2026-01-07 12:00 payment payment_pending → payment_completed (paid)
        2026-01-07 12:00 order in_process → complete (paid)
        2026-01-07 12:00 permission revoked → active (paid)
        2026-01-14 12:00 order complete → purchase_confirmed (seven_days_passed)
        2026-01-14 12:00 points +35 (earned)
        2026-02-06 12:00 permission active → expired (usage_period_ended)
        2026-02-06 12:00 order purchase_confirmed → expired (usage_period_ended)
        final order expired, payment_completed
        permission expired 2026-01-07 12:00 to 2026-02-06 12:00
        points 35
        books 3,500 JPY
    """,
    "order_deposit_preliminary_waits": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-06 12:00 deposit_preliminary accepted
        2026-01-06 12:00 deposit issued → preliminary (preliminary_notice)
        2026-01-06 13:00 use refused: permission_not_active
        2026-01-07 06:00 deposit_paid accepted
        2026-01-07 06:00 deposit preliminary → paid (paid)
        2026-01-07 06:00 payment payment_pending → payment_completed (paid)
        2026-01-07 06:00 order in_process → complete (paid)
        2026-01-07 06:00 permission → active (paid)
        2026-01-14 06:00 order complete → purchase_confirmed (seven_days_passed)
        2026-01-14 06:00 points +35 (earned)
        2026-02-06 06:00 permission active → expired (usage_period_ended)
        2026-02-06 06:00 order purchase_confirmed → expired (usage_period_ended)
        final order expired, payment_completed
        permission expired 2026-01-07 06:00 to 2026-02-06 06:00
        points 35
        books 3,500 JPY
    """,
    "order_deposit_refunded": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-06 12:00 deposit_paid accepted
        2026-01-06 12:00 deposit issued → paid (paid)
        2026-01-06 12:00 payment payment_pending → payment_completed (paid)
        2026-01-06 12:00 order in_process → complete (paid)
        2026-01-06 12:00 permission → active (paid)
        2026-01-07 12:00 cancel_order refused: partial_refund_not_supported
        2026-01-07 13:00 cancel_order accepted
        2026-01-07 13:00 order complete → canceled (canceled_by_admin)
        2026-01-07 13:00 permission active → revoked (canceled_by_admin)
        2026-01-07 13:00 fee 250 JPY (remittance)
        2026-01-07 13:00 refund 1 failed (remittance_failed)
        2026-01-08 12:00 cancel_order accepted
        2026-01-08 12:00 fee 250 JPY (remittance)
        2026-01-08 12:00 refund 1 succeeded (order_canceled)
        2026-01-08 12:00 payment payment_completed → refunded (order_canceled)
        final order canceled, refunded
        permission revoked 2026-01-06 12:00 to 2026-02-05 12:00
        refunded 3,500 JPY, fees 500 JPY
        books nothing
    """,
    "order_deposit_second_slip": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-06 12:00 issue_slip accepted
        2026-01-06 12:00 deposit issued → canceled (another_slip)
        2026-01-06 12:00 deposit 2 requested → issued (issued)
        2026-01-06 15:00 deposit_paid accepted
        2026-01-06 15:00 incident late_deposit
        2026-01-06 15:00 fee 250 JPY (remittance)
        2026-01-06 15:00 refund 1 succeeded (late_deposit)
        2026-01-07 12:00 deposit_paid accepted
        2026-01-07 12:00 deposit 2 issued → paid (paid)
        2026-01-07 12:00 payment payment_pending → payment_completed (paid)
        2026-01-07 12:00 order in_process → complete (paid)
        2026-01-07 12:00 permission → active (paid)
        2026-01-14 12:00 order complete → purchase_confirmed (seven_days_passed)
        2026-01-14 12:00 points +35 (earned)
        2026-02-06 12:00 permission active → expired (usage_period_ended)
        2026-02-06 12:00 order purchase_confirmed → expired (usage_period_ended)
        final order expired, payment_completed
        permission expired 2026-01-07 12:00 to 2026-02-06 12:00
        refunded 3,500 JPY, fees 250 JPY, points 35
        books 3,500 JPY
    """,
    "order_deposit_unheard": """
        2026-01-05 10:00 deposit requested → issued (issued)
        2026-01-09 00:10 deposit_paid accepted
        2026-01-09 00:29:59 deposit issued → paid (paid)
        2026-01-09 00:29:59 payment payment_pending → payment_completed (paid)
        2026-01-09 00:29:59 order in_process → complete (paid)
        2026-01-09 00:29:59 permission → active (paid)
        2026-01-16 00:29:59 order complete → purchase_confirmed (seven_days_passed)
        2026-01-16 00:29:59 points +35 (earned)
        2026-02-08 00:10 permission active → expired (usage_period_ended)
        2026-02-08 00:10 order purchase_confirmed → expired (usage_period_ended)
        final order expired, payment_completed
        permission expired 2026-01-09 00:10 to 2026-02-08 00:10
        points 35
        books 3,500 JPY
    """,
}
