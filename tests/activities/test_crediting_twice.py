"""Credits through the protocol, run twice at every interesting point, under each fault of the gateway: what was
accepted goes back once, and both books agree (spec: customers.md §3, charging.md §2).
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from activities.billing import BillingActivities
from activities.contracts.billing import RefundInput, Verdict, VerifyInput
from activities.contracts.credits import CountCredit, OpenCredit, RecordCredit
from activities.credits import CreditsActivities
from db.attempts import claim_resend
from domain.credit import CreditStatus
from domain.identifiers import charge_reference, credit_reference, idempotency_key
from domain.money import Money
from domain.unresolved import Mode
from gateways.port import Idempotency
from gateways.sandbox_client import SandboxGateway
from tests.activities.conftest import Desk, charge_of, later
from tests.db.house import NOW, unique

pytestmark = pytest.mark.xdist_group("activities")

CURRENCIES = {"JPY": 1000, "USD": 1050, "KWD": 10_500}


class Counter:
    """One payment that was settled, its credits, and both books."""

    def __init__(self, desk: Desk, object_id: str, paid: Money, billing: BillingActivities) -> None:
        self.desk, self.object_id, self.paid, self.billing = desk, object_id, paid, billing
        self.credits = CreditsActivities(desk.db, desk.gateway)

    async def open(self, minor: int | None = None, **more: Any) -> OpenCredit:
        asked = self.asked(minor, **more)
        assert (await self.twice(self.credits.open, asked)).outcome == "opened"
        return asked

    def asked(self, minor: int | None = None, **more: Any) -> OpenCredit:
        amount = None if minor is None else Money(minor=minor, currency=self.paid.currency)
        return OpenCredit(
            credit_id=unique("crd"),
            object_id=self.object_id,
            number=1,
            amount=amount,
            request_id=unique("req"),
            actor="operator:desk",
            at=later(),
            **more,
        )

    async def send(self, credit: OpenCredit, mode: Mode = Mode.SEND, **more: Any) -> Any:
        order = RefundInput(
            object_id=self.object_id,
            number=1,
            at=later(),
            reason="credit",
            mode=mode,
            credit_id=credit.credit_id,
            **more,
        )
        return await self.desk.run(self.billing.refund, order)

    async def send_twice(self, credit: OpenCredit, mode: Mode = Mode.SEND, **more: Any) -> Any:
        first = await self.send(credit, mode, **more)
        before = await self.stored()
        assert await self.send(credit, mode, **more) == first
        assert await self.stored() == before
        return first

    async def verify(self, credit: OpenCredit) -> Any:
        order = VerifyInput(
            object_id=self.object_id, number=1, attempt=1, at=later(), credit_id=credit.credit_id
        )
        return await self.twice(self.billing.verify, order)

    async def twice(self, activity: Any, order: Any) -> Any:
        first = await self.desk.run(activity, order)
        before = await self.stored()
        assert await self.desk.run(activity, order) == first
        assert await self.stored() == before
        return first

    async def stored(self) -> dict[str, Any]:
        stored = await self.desk.house.everything(self.object_id)
        stored["attempts"] = [{**row, "hint": ""} for row in stored["attempts"]]
        for name, column in (("credits", "object_id"), ("incidents", "subject_id")):
            sql = f"SELECT * FROM {name} WHERE {column} = %s ORDER BY id"
            stored[name] = await self.desk.house.rows(sql, self.object_id)
        return stored

    async def fault(self, *faults: str, route: str = "refund", times: int | None = None, **more: Any) -> None:
        rule = {"route": route, "reference_prefix": self.object_id} | more
        rule |= {} if times is None else {"times": times}
        await self.desk.remote.faults(*({"fault": fault} | rule for fault in faults))

    async def sent(self, credit: OpenCredit) -> int:
        return len(await self.desk.remote.requests(reference_of(credit)))

    async def books(self) -> tuple[int, int]:
        """Minor units: what the gateway has left of the payment, and what we have."""
        book = (await self.desk.remote.ledger())["references"]
        theirs = sum(
            minor
            for name, seen in book.items()
            if name.startswith(f"{self.object_id}/")
            for minor in seen["net"].values()
        )
        ours = await self.desk.house.row(
            "SELECT coalesce(sum(CASE WHEN debit_account = 'gateway_receivable' THEN l.amount_minor"
            " WHEN credit_account = 'gateway_receivable' THEN -l.amount_minor END), 0)::int AS minor"
            " FROM ledger l JOIN attempts a ON a.key = l.attempt_key WHERE a.object_id = %s",
            self.object_id,
        )
        return theirs, ours["minor"]

    async def state(self) -> str:
        sql = "SELECT state FROM payments WHERE object_id = %s"
        return (await self.desk.house.row(sql, self.object_id))["state"]


def reference_of(credit: OpenCredit, attempt: int = 1) -> str:
    return credit_reference(credit.object_id, credit.number, credit.credit_id, attempt=attempt)


async def counter_of(
    desk: Desk, *, paid: Money | None = None, token: str = "", kind: str = "card", gateway: Any = None
) -> Counter:
    paid = paid or Money(minor=1000, currency="JPY")
    token = token or await desk.remote.script(["approve"])
    tenant = await desk.house.tenant(token=token, kind=kind)
    order = await desk.house.subscription(tenant, amount=paid)
    billing = BillingActivities(desk.db, gateway or desk.gateway)
    assert (await desk.run(billing.charge, charge_of(order))).outcome == "settled"
    return Counter(desk, order.subscription_id, paid, billing)


@pytest.fixture
async def counter(desk: Desk) -> Counter:
    return await counter_of(desk)


@pytest.mark.parametrize(("currency", "minor"), CURRENCIES.items())
async def test_parts_go_back_once_each_and_are_booked_in_their_own_currency(desk, currency, minor):
    counter = await counter_of(desk, paid=Money(minor=minor, currency=currency))
    for part, left, state in ((1, minor - 1, "partially_refunded"), (minor - 1, 0, "refunded")):
        credit = await counter.open(part)
        assert (await counter.send_twice(credit)).outcome == "settled"
        assert await counter.sent(credit) == 1
        assert await counter.books() == (left, left)
        assert await counter.state() == state


async def test_a_lost_answer_is_looked_up_at_once_and_looked_at_once_more_later(counter):
    credit = await counter.open(300)
    await counter.fault("drop_after")
    settled = await counter.send_twice(credit)
    assert (settled.outcome, settled.verify_in_s) == ("settled", 660)
    assert await counter.sent(credit) == 1
    assert (await counter.verify(credit)).is_clear
    assert await counter.books() == (700, 700)


async def test_a_timeout_that_was_carried_out_is_found_by_the_next_question(counter):
    credit = await counter.open(300)
    await counter.desk.remote.faults(
        {"fault": "drop_after", "route": "refund", "reference_prefix": counter.object_id},
        {"fault": "error_before", "route": "lookup", "reference_prefix": counter.object_id},
    )
    assert (await counter.send(credit)).outcome == "unknown"
    assert (await counter.desk.run(counter.credits.open, counter.asked(701))).code == "credit_exceeds_balance"
    await counter.desk.remote.faults()
    assert (await counter.send_twice(credit, Mode.ASK, turn=1)).outcome == "settled"
    assert await counter.sent(credit) == 1
    assert await counter.books() == (700, 700)


async def test_a_request_that_never_arrived_is_sent_again_after_the_horizon_under_the_same_key(counter):
    credit = await counter.open(300)
    await counter.fault("drop_before", times=1)
    assert (await counter.send(credit)).outcome == "unknown"
    assert (await counter.send_twice(credit, Mode.ASK, turn=1)).outcome == "unknown"
    assert (await counter.send_twice(credit, Mode.RESEND, turn=2)).outcome == "settled"
    keys = {r["idempotency_key"] for r in await counter.desk.remote.requests(reference_of(credit))}
    assert keys == {idempotency_key("refund", reference_of(credit))}
    assert (await counter.verify(credit)).is_clear
    assert await counter.books() == (700, 700)


async def test_a_claimed_resend_is_not_taken_by_a_second_run(counter):
    credit = await counter.open(300)
    await counter.fault("drop_before", times=1)
    await counter.send(credit)
    key = idempotency_key("refund", reference_of(credit))
    assert await claim_resend(counter.desk.db, key=key, turn=4)
    assert (await counter.send_twice(credit, Mode.RESEND, turn=4)).outcome == "unknown"
    assert await counter.sent(credit) == 1
    assert await counter.books() == (1000, 1000)


@pytest.mark.parametrize("fault", ["error_after", "malformed", "in_flight_409"])
async def test_an_answer_that_says_nothing_is_no_failure(counter, fault):
    credit = await counter.open(300)
    await counter.fault(fault, times=1)
    first = await counter.send(credit)
    assert first.outcome in ("settled", "unknown")
    if first.outcome == "unknown":
        assert (await counter.send_twice(credit, Mode.RESEND, turn=1)).outcome == "settled"
    assert await counter.books() == (700, 700)


async def test_a_gateway_that_would_not_take_it_is_asked_again_freely(counter):
    credit = await counter.open(300)
    await counter.fault("rate_limit_429")
    assert (await counter.send(credit)).outcome == "unsent"
    assert (await counter.send(credit)).outcome == "unsent"
    await counter.desk.remote.faults()
    assert (await counter.send_twice(credit)).outcome == "settled"
    assert await counter.books() == (700, 700)


async def test_a_refused_credit_waits_for_a_person_who_asks_again_under_a_new_key(counter):
    # Somebody returned most of it by hand, at the gateway: our balance does not know, the gateway refuses.
    charge = (await counter.desk.gateway.lookup(charge_reference(counter.object_id, 1, 1)))[0]
    by_hand = {"reference": f"by-hand/{counter.object_id}", "idempotency_key": unique("by")}
    amount = Money(minor=800, currency="JPY")
    await counter.desk.gateway.refund(charge_id=charge.gateway_id, amount=amount, **by_hand)
    credit = await counter.open(300)
    assert (await counter.send_twice(credit)).outcome == "attention"
    declined = await counter.send_twice(credit, Mode.ASK, verdict=Verdict(moved=False))
    assert declined.outcome == "declined"
    assert (await counter.send_twice(credit, attempt=2)).outcome == "attention"
    assert len(await counter.desk.remote.requests(reference_of(credit, 2))) == 1
    assert (await counter.books())[1] == 1000, "our books wait for the person too"


async def test_a_persons_word_that_it_went_back_is_confirmed_at_the_gateway(counter):
    credit = await counter.open(300)
    await counter.fault("drop_before", times=1)
    await counter.send(credit)
    wrong = await counter.send(credit, Mode.ASK, turn=1, verdict=Verdict(moved=True, gateway_id="rf_none"))
    assert wrong.outcome == "attention"
    await counter.send(credit, Mode.RESEND, turn=2)
    assert await counter.books() in ((1000, 1000), (700, 1000), (700, 700))


async def test_what_a_gateway_returned_twice_is_booked_and_shown(desk):
    """Without idempotency and with a look-up that lags, the re-send is a second refund of the same part."""
    gateway = SandboxGateway(
        desk.gateway._base_url, timeout=timedelta(seconds=10), idempotency=Idempotency.BEST_EFFORT
    )
    try:
        counter = await counter_of(desk, gateway=gateway)
        credit = await counter.open(300)
        await desk.remote.idempotency("off")
        of_ours = {"route": "refund", "reference_prefix": counter.object_id, "times": 1}
        await desk.remote.faults(
            {"fault": "lookup_lag", "seconds": 1.5} | of_ours, {"fault": "drop_after"} | of_ours
        )
        assert (await counter.send(credit)).outcome == "unknown"
        settled = await counter.send(credit, Mode.RESEND, turn=1)
        assert (settled.outcome, settled.verify_in_s) == ("settled", 660)

        async with asyncio.timeout(10):
            while len(await gateway.lookup(reference_of(credit))) < 2:  # noqa: ASYNC110 - the sandbox's own time
                await asyncio.sleep(0.05)
        assert (await counter.books()) == (400, 700)
        assert (await counter.verify(credit)).is_clear
        assert (await counter.books()) == (400, 400)
    finally:
        await gateway.close()
    stored = await counter.stored()
    assert [(row["kind"], row["amount_minor"]) for row in stored["incidents"]] == [("double_refund", 300)]
    assert sorted((row["reason"], row["amount_minor"]) for row in stored["credits"]) == [
        ("double_refund", 300),
        ("returned", 300),
    ]
    refused = await desk.run(counter.credits.open, counter.asked(401))
    assert refused.facts["balance"] == {"minor": 400, "currency": "JPY"}


async def test_a_sepa_debit_is_charged_and_a_part_of_it_needs_the_risk_to_be_accepted(desk):
    token = f"tok_sepa:{unique('x')}"
    details = await desk.gateway.token_details(token)
    assert (details.kind, details.brand) == ("sepa_debit", "sepa")
    counter = await counter_of(desk, token=token, kind=details.kind, paid=Money(minor=1050, currency="EUR"))
    refused = await desk.run(counter.credits.open, counter.asked(50))
    assert (refused.code, refused.facts) == ("risk_not_accepted", {"method": "sepa_debit"})
    credit = await counter.open(50, accept_risk=True)
    assert (await counter.send_twice(credit)).outcome == "settled"
    assert await counter.books() == (1000, 1000)


async def test_a_credit_tells_history_and_the_outbox(counter):
    credit = await counter.open(300, comment="a scratch")
    await counter.send(credit)
    history = (await counter.desk.house.everything(counter.object_id))["history"]
    told = [(row["kind"], row["actor"], row["comment"]) for row in history[-2:]]
    assert told == [("operation", "operator:desk", "a scratch"), ("refund", "system", "")]
    assert history[-2]["data"]["arguments"]["amount"] == {"minor": 300, "currency": "JPY"}
    outbox = (await counter.desk.house.everything(counter.object_id))["outbox"]
    assert [row["topic"] for row in outbox[-2:]] == ["subscription.operation", "payment.refunded"]
    assert outbox[-1]["payload"]["credit_id"] == credit.credit_id
    assert outbox[-1]["payload"]["amount_minor"] == 300


async def test_the_activities_beside_the_money_run_twice(counter):
    credit = await counter.open(300)
    said = RecordCredit(
        credit_id=credit.credit_id,
        object_id=counter.object_id,
        number=1,
        status=CreditStatus.FAILED,
        reason="not_returned",
        request_id=unique("req"),
        actor="operator:desk",
        at=NOW,
    )
    await counter.twice(counter.credits.record, said)
    await counter.twice(counter.credits.count_on_ended_order, CountCredit(credit_id=credit.credit_id, at=NOW))
