"""The book's arithmetic under any sequence of charges, slips, tills, questions, refunds and voids."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.declines import DeclineCode
from domain.money import Money
from gateways.sandbox.audit import audit
from gateways.sandbox.book import Book
from gateways.sandbox.outcomes import Plan
from gateways.sandbox.refusal import Refusal
from gateways.sandbox.schema import open_database, transaction

PLANS = [
    Plan(),
    Plan(decline=DeclineCode.LOST_CARD),
    Plan(pending=True),
    Plan(pending=True, decided_on_ask=2),
    Plan(pending=True, decided_on_ask=1, decline=DeclineCode.DO_NOT_HONOR),
]
SLOW_AND_WRONG = Plan(pending=True, decided_on_ask=2, decline=DeclineCode.REMITTANCE_FAILED)
FATES = [
    Plan(),
    Plan(decline=DeclineCode.REMITTANCE_FAILED),
    Plan(pending=True, decided_on_ask=2),
    SLOW_AND_WRONG,
]


class TheBook(RuleBasedStateMachine):
    """A model in a few dictionaries against the real book."""

    def __init__(self):
        super().__init__()
        self.db = open_database(":memory:")
        self.book = Book(self.db)
        self.charges = {}  # id → [state, minor, currency, refunded, asks, plan]
        self.slips = {}  # id → [state, minor, what went back or is on its way]
        self.tills = 0  # yen that came in at tills
        self.remittances = {}  # id → [slip, state, asks, plan]
        self.fees = 0

    def teardown(self):
        self.db.close()

    def pick(self, data):
        return data.draw(st.sampled_from(sorted(self.charges))) if self.charges else None

    @rule(
        minor=st.integers(1, 10_000),
        currency=st.sampled_from(["JPY", "USD", "BHD"]),
        plan=st.sampled_from(PLANS),
    )
    def charge(self, minor, currency, plan):
        with transaction(self.db):
            made = self.book.charge(
                token="tok_ok",
                amount=Money(minor=minor, currency=currency),
                reference=f"sub_x/{len(self.charges)}/1",
                attempt_key=str(len(self.charges)),
                plan=plan,
            )
        state = "pending" if plan.pending else "declined" if plan.decline else "settled"
        assert made["state"] == state
        self.charges[made["id"]] = [state, minor, currency, 0, 0, plan]

    @rule(data=st.data())
    def ask(self, data):
        if (charge_id := self.pick(data)) is None:
            return
        with transaction(self.db):
            shown = self.book.ask(charge_id)
        charge = self.charges[charge_id]
        if charge[0] == "pending":
            charge[4] += 1
            if charge[5].decided_on_ask is not None and charge[4] >= charge[5].decided_on_ask:
                charge[0] = "declined" if charge[5].decline else "settled"
        assert shown["state"] == charge[0]

    @rule(data=st.data())
    def void(self, data):
        if (charge_id := self.pick(data)) is None:
            return
        with transaction(self.db):
            shown = self.book.void(charge_id)
        if self.charges[charge_id][0] == "pending":
            self.charges[charge_id][0] = "voided"
        assert shown["state"] == self.charges[charge_id][0]

    @rule(data=st.data(), minor=st.integers(1, 12_000))
    def refund(self, data, minor):
        if (charge_id := self.pick(data)) is None:
            return
        charge = self.charges[charge_id]
        allowed = charge[0] == "settled" and charge[3] + minor <= charge[1]
        amount = Money(minor=minor, currency=charge[2])
        try:
            with transaction(self.db):
                self.book.refund(charge_id=charge_id, amount=amount, reference="refund_x", attempt_key="r")
        except Refusal:
            assert not allowed
        else:
            assert allowed
            charge[3] += minor

    @rule(minor=st.integers(120, 3_000))
    def issue(self, minor):
        with transaction(self.db):
            made = self.book.deposit(
                amount=Money(minor=minor, currency="JPY"), reference="ord_x/1/1", attempt_key="s"
            )
        self.slips[made["id"]] = ["pending", minor, 0]

    @rule(data=st.data())
    def pay(self, data):
        if not self.slips:
            return
        slip_id = data.draw(st.sampled_from(sorted(self.slips)))
        slip = self.slips[slip_id]
        with transaction(self.db):
            paid = self.book.paid(slip_id)
        assert (paid["id"] == slip_id) is (slip[0] == "pending")
        self.tills += slip[1]
        if slip[0] == "pending":
            slip[0] = "settled"

    @rule(data=st.data())
    def void_slip(self, data):
        if not self.slips:
            return
        slip_id = data.draw(st.sampled_from(sorted(self.slips)))
        slip = self.slips[slip_id]
        with transaction(self.db):
            shown = self.book.void(slip_id)
        if slip[0] == "pending":
            slip[0] = "voided"
        assert (shown["state"], shown["deposit"]) == (slip[0], None)

    @rule(data=st.data(), plan=st.sampled_from(FATES), fee=st.integers(0, 500))
    def remit(self, data, plan, fee):
        if not self.slips:
            return
        slip_id = data.draw(st.sampled_from(sorted(self.slips)))
        slip = self.slips[slip_id]
        allowed = slip[0] == "settled" and slip[2] == 0
        try:
            with transaction(self.db):
                made = self.book.refund(
                    charge_id=slip_id,
                    amount=Money(minor=slip[1], currency="JPY"),
                    reference="back_x",
                    attempt_key="b",
                    plan=plan,
                    fee_minor=fee,
                )
        except Refusal:
            assert not allowed
            return
        assert allowed
        self.fees += fee
        self.remittances[made["id"]] = [slip_id, made["state"], 0, plan]
        if made["state"] != "declined":
            slip[2] = slip[1]

    @rule(data=st.data())
    def ask_after_a_remittance(self, data):
        if not self.remittances:
            return
        refund_id = data.draw(st.sampled_from(sorted(self.remittances)))
        remittance = self.remittances[refund_id]
        with transaction(self.db):
            shown = self.book.ask(refund_id)
        if remittance[1] == "pending":
            remittance[2] += 1
            if remittance[2] == 2:
                remittance[1] = "declined" if remittance[3].decline else "settled"
                if remittance[3].decline:
                    self.slips[remittance[0]][2] = 0
        assert shown["state"] == remittance[1]

    @invariant()
    def the_till_agrees_with_the_model(self):
        book = audit(self.db)
        returned = sum(
            self.slips[slip][1] for slip, state, *_ in self.remittances.values() if state == "settled"
        )
        assert book["balanced"]
        assert book["fees"].get("JPY", 0) == self.fees
        accounts = book["accounts"].get("JPY", {})
        assert accounts.get("fees", 0) == self.fees
        assert accounts.get("konbini_float", 0) == returned - self.tills
        by_id = {charge["id"]: charge for charge in book["charges"]}
        for slip_id, (state, _, back) in self.slips.items():
            assert (by_id[slip_id]["state"], by_id[slip_id]["refunded_minor"]) == (state, back)

    @invariant()
    def the_ledger_agrees_with_the_model(self):
        book = audit(self.db)
        expected = {}
        for state, minor, currency, refunded, *_ in self.charges.values():
            if state == "settled":
                expected[currency] = expected.get(currency, 0) + minor - refunded
        assert book["balanced"]
        for currency, net in expected.items():
            at_tills = -book["accounts"][currency].get("konbini_float", 0)
            assert book["net"][currency] == net + at_tills
            assert book["accounts"][currency]["customer_card"] == -net
            assert book["accounts"][currency]["merchant_receivable"] == net + at_tills - book["fees"].get(
                currency, 0
            )


TheBook.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
test_any_sequence_of_movements_leaves_a_balanced_ledger = TheBook.TestCase


def test_a_ledger_line_can_be_neither_changed_nor_removed():
    with closing(open_database(":memory:")) as db:
        with transaction(db):
            Book(db).charge(
                token="tok_ok",
                amount=Money(minor=5, currency="JPY"),
                reference="r",
                attempt_key="k",
                plan=Plan(),
            )
        for statement in ("UPDATE ledger SET minor = 0", "DELETE FROM ledger"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)


def test_an_audit_notices_a_ledger_that_does_not_balance():
    with closing(open_database(":memory:")) as db:
        with transaction(db):
            Book(db).charge(
                token="tok_ok",
                amount=Money(minor=5, currency="JPY"),
                reference="r",
                attempt_key="k",
                plan=Plan(),
            )
            db.execute(
                "INSERT INTO ledger (movement, account, minor, currency)"
                " VALUES (1, 'customer_card', 1, 'JPY')"
            )
        assert audit(db)["balanced"] is False
