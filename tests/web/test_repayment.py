"""A payment is charged back and paid again through a link, as a customer, a scanner and a stranger meet it."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest

from domain.errors import ErrorCode, TeikiError
from gateways.sandbox.remote import SandboxRemote
from gateways.sandbox_bank import charge_back
from starter import Money, Received
from tests.web.conftest import SECRET, Site, until

JAPANESE = {"Accept-Language": "ja-JP,ja;q=0.9,en;q=0.8"}


@pytest.fixture
async def sandbox(site: Site) -> AsyncIterator[SandboxRemote]:
    async with SandboxRemote(site.settings.gateway_url) as control:
        yield control
        await control.faults()
        await control.webhooks(None)


async def charged_back(site: Site, **given) -> str:
    """A payment that its customer's bank took back, entered by an operator: `sub_…/1`."""
    subscription = await site.subscribe(**given)
    payment = f"{subscription.id}/1"
    await until(subscription, lambda detail: detail.payments[0].state == "settled")
    found = await site.teiki.payments.find(payment)
    await charge_back(site.settings.gateway_url, found.gateway_id)
    assert (await site.teiki.chargebacks.enter(payment, comment="a letter came")).outcome == "booked"
    return payment


async def state_of(site: Site, payment: str) -> str:
    return (await site.teiki.payments.find(payment)).state


async def followed(site: Site, condition, seconds: float = 20.0):
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.05)
    return found


async def books_agree(site: Site, sandbox: SandboxRemote, payment: str) -> int:
    """What the sandbox's book and our ledger hold of a payment at the gateway: the same."""
    subscription = payment.rpartition("/")[0]
    book = await sandbox.ledger()
    assert book["balanced"]
    of_gateway = sum(
        sum(seen["net"].values())
        for reference, seen in book["references"].items()
        if reference.startswith(subscription + "/")
    )
    database = await site.teiki.database()
    row = await database.fetch_one(
        "SELECT coalesce(sum(CASE 'gateway_receivable' WHEN debit_account THEN l.amount_minor"
        " WHEN credit_account THEN -l.amount_minor ELSE 0 END), 0)::int AS minor"
        " FROM ledger l JOIN attempts a ON a.key = l.attempt_key WHERE a.object_id = %s",
        [subscription],
    )
    assert row["minor"] == of_gateway
    return of_gateway


async def charges_of(sandbox: SandboxRemote, payment: str) -> list[dict]:
    """Repayment charges that settled at the gateway."""
    book = await sandbox.ledger()
    return [c for c in book["charges"] if c["reference"].startswith(f"{payment}/repayment/")]


async def link_of(site: Site, payment: str, **given) -> str:
    return (await site.teiki.repayments.add(payment, link=True, **given)).url


async def test_a_webhook_tells_of_a_chargeback_and_the_customer_pays_again(site, sandbox, caplog):
    caplog.set_level(logging.DEBUG)
    await sandbox.webhooks(f"{site.url}/webhooks/sandbox", SECRET, retry_seconds=[0.2] * 20)
    subscription = await site.subscribe(product="Tea & <b>biscuits</b>")
    payment = f"{subscription.id}/1"
    await until(subscription, lambda detail: detail.payments[0].state == "settled")
    found = await site.teiki.payments.find(payment)
    await charge_back(site.settings.gateway_url, found.gateway_id)

    suspended = await until(subscription, lambda detail: detail.status == "suspended")
    assert await state_of(site, payment) == "chargeback"
    assert [event.data["amount_minor"] for event in suspended.history if event.kind == "chargeback"] == [1000]
    assert await books_agree(site, sandbox, payment) == 0

    link = await link_of(site, payment)
    status, page = await site.look(link)
    assert status == 200
    assert "Tea &amp; &lt;b&gt;biscuits&lt;/b&gt;" in page
    assert "1,000 JPY" in page
    assert re.findall(r"<(?:input|script|img|iframe)", page) == []
    assert "お支払いのお願い" in (await site.look(link, headers=JAPANESE))[1]
    form = await site.press(link)
    assert "Pay 1,000 JPY" in (await site.look(form))[1]
    back = await site.choose(form)
    assert back.startswith(link + "/done?form=")
    status, page = await site.look(back)
    assert (status, "Thank you for your payment" in page) == (200, True)
    assert await state_of(site, payment) == "repaid"
    assert await books_agree(site, sandbox, payment) == 1000
    assert (await site.look(link))[0] == 410
    assert link.rpartition("/")[2] not in caplog.text


async def test_a_declined_card_leaves_the_link_open_for_another(site, sandbox):
    payment = await charged_back(site)
    link = await link_of(site, payment)
    back = await site.choose(await site.press(link), "tok_insufficient_funds")
    async with site.browser.get(back, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, link)
    assert "The last card was declined" in (await site.look(link))[1]
    assert (await site.look(back))[0] == 303, "reloading charges nothing and leads to the page"
    again = await site.choose(await site.press(link))
    assert again != back
    assert "Thank you" in (await site.look(again))[1]
    assert await state_of(site, payment) == "repaid"
    assert [c["state"] for c in await charges_of(sandbox, payment)] == ["declined", "settled"]
    assert await books_agree(site, sandbox, payment) == 1000


async def test_buttons_pressed_at_once_lead_to_one_form_and_one_charge(site, sandbox):
    payment = await charged_back(site)
    link = await link_of(site, payment)
    forms = await asyncio.gather(*(site.press(link) for _ in range(5)))
    assert len(set(forms)) == 1
    back = await site.choose(forms[0])
    answers = await asyncio.gather(*(site.look(back) for _ in range(5)))
    assert {status for status, _ in answers} <= {200}
    for _ in range(3):
        assert (await site.look(back))[0] == 200, "a reload says thank you and charges nothing"
    assert [c["state"] for c in await charges_of(sandbox, payment)] == ["settled"]
    assert await books_agree(site, sandbox, payment) == 1000


async def test_scanners_may_look_as_often_as_they_like_and_others_forms_pay_nothing(site, sandbox):
    payment, other = await charged_back(site), await charged_back(site)
    link, others_link = await link_of(site, payment), await link_of(site, other)
    for _ in range(3):
        assert (await site.look(link))[0] == 200
        async with site.browser.head(link) as answer:
            assert answer.status == 200
    form, others_form = await site.press(link), await site.press(others_link)
    others_back = await site.choose(others_form)
    form_id = others_form.rpartition("/")[2]
    assert (await site.look(f"{link}/done?form={form_id}"))[0] == 404
    assert (await site.look(f"{link}/done?form="))[0] == 404
    async with site.browser.head(others_back) as answer:
        assert answer.status == 405
    assert (await site.look(link + "x"))[0] == 404
    assert (await site.look(f"{link}/done?form={form.rpartition('/')[2]}"))[0] == 303, "nothing chosen yet"
    assert await charges_of(sandbox, payment) == await charges_of(sandbox, other) == []


async def test_links_that_were_replaced_canceled_or_ran_out_pay_nothing(site, sandbox):
    payment = await charged_back(site)
    old = await link_of(site, payment)
    old_back = await site.choose(await site.press(old))
    new = await site.teiki.repayments.add(payment, link=True)
    assert (await site.look(old))[0] == 410
    assert (await site.look(old_back))[0] == 410
    new_back = await site.choose(await site.press(new.url))
    canceled = await site.teiki.repayments.cancel(new.repayment.id, comment="changed our mind")
    assert canceled.status == "canceled"
    assert (await site.look(new_back))[0] == 410
    last = await link_of(site, payment, life=timedelta(days=2))
    last_back = await site.choose(await site.press(last))
    site.ahead = timedelta(days=3650)  # the engine's clock, by which the link lives, may be far ahead too
    assert (await site.look(last))[0] == 410
    assert (await site.look(last_back))[0] == 410
    async with site.browser.post(last, allow_redirects=False) as answer:
        assert answer.status == 410
    assert await charges_of(sandbox, payment) == []
    assert await state_of(site, payment) == "chargeback"


async def test_an_answer_that_is_lost_is_asked_about_and_paid_once(site, sandbox):
    payment = await charged_back(site)
    link = await link_of(site, payment)
    await sandbox.faults(
        {"fault": "drop_after", "times": 1, "reference_prefix": payment},
        {"fault": "lookup_lag:1", "times": 1, "reference_prefix": payment},
    )
    back = await site.choose(await site.press(link))
    status, page = await site.look(back)
    assert (status, "being processed" in page) == (200, True)
    assert "being processed" in (await site.look(link))[1]
    with pytest.raises(TeikiError) as refused:
        await site.teiki.repayments.add(payment, link=True)
    assert refused.value.code is ErrorCode.REPAYMENT_EXCEEDS_BALANCE

    async def is_repaid():
        await site.lab.environment.sleep(timedelta(seconds=30))
        return await state_of(site, payment) == "repaid"

    await followed(site, is_repaid)
    assert [c["state"] for c in await charges_of(sandbox, payment)] == ["settled"]
    assert await books_agree(site, sandbox, payment) == 1000
    assert "Thank you" in (await site.look(back))[1]


async def test_money_that_came_otherwise_lowers_what_the_link_asks_for_and_the_last_of_it_closes_it(
    site, sandbox
):
    payment = await charged_back(site)
    added = await site.teiki.repayments.add(payment, link=True)

    async def received(minor):
        came = Received(
            amount=Money(minor=minor, currency="JPY"),
            method="bank_transfer",
            reference="FURIKOMI 17",
            on=date(2026, 11, 20),
        )
        return await site.teiki.payments.add_repayment(payment, manual=came, actor="operator:desk-1")

    await received(400)
    assert await state_of(site, payment) == "partially_repaid"
    assert "600 JPY" in (await site.look(added.url))[1]
    with pytest.raises(TeikiError) as refused:
        await received(601)
    assert refused.value.code is ErrorCode.REPAYMENT_EXCEEDS_BALANCE
    assert refused.value.facts["balance"] == {"minor": 600, "currency": "JPY"}
    await received(600)
    assert await state_of(site, payment) == "repaid"
    closed = await site.teiki.repayments.show(added.repayment.id)
    assert (closed.status, closed.reason) == ("canceled", "repaid")
    assert (await site.look(added.url))[0] == 410
    assert await books_agree(site, sandbox, payment) == 0, "nothing of it came through the gateway"


async def test_a_link_reminds_and_runs_out(site):
    payment = await charged_back(site)
    added = await site.teiki.repayments.add(
        payment, link=True, life=timedelta(days=5), remind_after=[timedelta(days=1), timedelta(days=3)]
    )

    async def has_ended():
        await site.lab.environment.sleep(timedelta(days=1))
        found = await site.teiki.repayments.show(added.repayment.id)
        return found if found.status != "open" else None

    ended = await followed(site, has_ended)
    assert (ended.status, ended.reason, ended.reminders) == ("expired", "not_paid_in_time", 2)
    assert await state_of(site, payment) == "chargeback"
    database = await site.teiki.database()
    async with database.transaction() as cursor:
        await cursor.execute(
            "SELECT topic, payload FROM outbox WHERE payload->>'repayment_id' = %s ORDER BY id",
            [added.repayment.id],
        )
        told = await cursor.fetchall()
    assert [row["topic"] for row in told] == [
        "repayment.opened",
        "repayment.reminder",
        "repayment.reminder",
        "repayment.expired",
    ]
    assert [row["payload"].get("reminder") for row in told] == [None, 1, 2, None]
