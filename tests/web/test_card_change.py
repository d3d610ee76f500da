"""Changing the card through a link, as a customer, a mail scanner and a nosy stranger meet it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from datetime import timedelta
from uuid import uuid4

import aiohttp
import pytest

from db.card_links import find_card_link, use_card_link
from domain.errors import TeikiError
from runtime.embedded.ports import free_ports
from tests.web.conftest import serving, until

JAPANESE = {"Accept-Language": "ja-JP,ja;q=0.9,en;q=0.8"}


def hash_of(link):
    return hashlib.sha256(link.rpartition("/")[2].encode()).hexdigest()


async def row_of(site, link):
    return await find_card_link(await site.teiki.database(), hash_of(link))


async def card_changes(subscription):
    detail = await subscription.show()
    return [event for event in detail.operations if event.data["do"] == "change_card"]


async def cards_of(site, subscription):
    return await site.teiki.payment_methods.list(customer_id=(await subscription.show()).customer.id)


async def test_a_customer_follows_the_link_and_the_card_is_changed(site, caplog):
    caplog.set_level(logging.DEBUG)
    subscription = await site.subscribe(product="Tea & <b>biscuits</b>")
    before = await subscription.show()
    link = await subscription.card_change_link()
    status, page = await site.look(link)
    assert status == 200
    assert "Tea &amp; &lt;b&gt;biscuits&lt;/b&gt;" in page
    assert f"{before.payment_method.brand.title()} ending in {before.payment_method.last_four}" in page
    assert re.findall(r"<(?:input|script|img|iframe)", page) == [], (
        "no field, no script, nothing from outside"
    )
    status, page = await site.look(link, headers=JAPANESE)
    assert 'lang="ja"' in page
    assert f"下4桁 {before.payment_method.last_four}" in page

    form = await site.press(link)
    assert form.startswith(site.settings.gateway_url + "/card-forms/")
    back = await site.choose(form, "tok_3ds")
    assert back.startswith(link + "/done?form=")
    status, page = await site.look(back)
    assert status == 200
    assert "Your card has been changed" in page

    after = await subscription.show()
    assert after.payment_method.id != before.payment_method.id
    assert after.status == "current"
    [change] = await card_changes(subscription)
    assert change.actor == f"customer:{before.customer.id}"
    token = link.rpartition("/")[2]
    assert token not in caplog.text


async def test_an_unpaid_payment_is_tried_with_the_new_card_at_once(site):
    body = {"script": ["approve", *[{"decline": "insufficient_funds"}] * 20], "script_id": uuid4().hex}
    async with site.lab.http.post("/tokens", json=body) as made:
        poor = (await made.json())["token"]
    subscription = await site.subscribe(poor)
    await until(subscription, lambda detail: detail.status == "current")
    await site.lab.environment.sleep(timedelta(days=32))
    unpaid = await until(subscription, lambda detail: detail.status == "unpaid")
    failing = unpaid.payments[-1]

    link = await subscription.card_change_link()
    assert "A payment is open" in (await site.look(link))[1]
    back = await site.choose(await site.press(link))
    assert "The open payment is being tried" in (await site.look(back))[1]
    paid = await until(subscription, lambda detail: detail.status == "current")
    [payment] = [payment for payment in paid.payments if payment.number == failing.number]
    assert payment.state == "settled"
    assert payment.attempts[-1].payment_method_id == paid.payment_method.id


async def test_scanners_may_look_as_often_as_they_like(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    for _ in range(5):
        assert (await site.look(link))[0] == 200
        async with site.browser.head(link) as answer:
            assert answer.status == 200
    row = await row_of(site, link)
    assert (row.form_id, row.used_at) == (None, None)
    back = await site.choose(await site.press(link))
    async with site.browser.head(back) as answer:
        assert answer.status == 405
    assert (await row_of(site, link)).used_at is None
    assert (await site.look(back))[0] == 200


async def test_a_customer_who_leaves_half_way_finds_the_same_form_again(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    form = await site.press(link)
    assert await site.press(link) == form
    form_id = form.rpartition("/")[2]
    async with site.browser.get(f"{link}/done?form={form_id}", allow_redirects=False) as early:
        assert (early.status, early.headers["Location"]) == (303, link), "nothing was chosen yet"
    assert (await row_of(site, link)).used_at is None
    back = await site.choose(form)
    assert await site.press(link) == back, "the card is chosen: only the way back is left"
    assert (await site.look(back))[0] == 200
    assert len(await card_changes(subscription)) == 1


async def test_buttons_pressed_at_once_lead_to_one_form_and_one_change(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    forms = await asyncio.gather(*(site.press(link) for _ in range(5)))
    assert len(set(forms)) == 1
    back = await site.choose(forms[0])
    answers = await asyncio.gather(*(site.look(back) for _ in range(5)))
    assert {status for status, _ in answers} == {200}
    assert len(await card_changes(subscription)) == 1
    assert len(await cards_of(site, subscription)) == 2
    used = [event for event in (await subscription.show()).history if event.kind == "link"]
    assert len(used) == 1


async def test_a_used_link_is_refused_and_its_last_page_changes_nothing_when_reloaded(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    back = await site.choose(await site.press(link))
    await site.look(back)
    customer = (await subscription.show()).customer.id
    third = await site.teiki.payment_methods.add(customer_id=customer, token="tok_ok:third")
    await subscription.change_card(third)

    status, page = await site.look(link)
    assert (status, "Coffee club" in page) == (410, False)
    async with site.browser.post(link, allow_redirects=False) as again:
        assert again.status == 410
    assert (await site.look(back))[0] == 200, "a reload is not a fault"
    assert (await subscription.show()).payment_method.id == third
    assert len(await card_changes(subscription)) == 2


@pytest.mark.parametrize("over_the_link", [False, True])
async def test_a_crash_after_the_link_was_consumed_is_finished_later(site, over_the_link):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    back = await site.choose(await site.press(link))
    # What a process killed between consuming and storing leaves behind:
    await use_card_link(await site.teiki.database(), hash_of(link), site.teiki.now())
    if over_the_link:
        assert (await site.look(link))[0] == 200
        assert await site.press(link) == back
    assert (await site.look(back))[0] == 200
    assert len(await card_changes(subscription)) == 1
    assert (await site.look(link))[0] == 410


async def test_a_crash_is_not_finished_after_the_links_life(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    back = await site.choose(await site.press(link))
    await use_card_link(await site.teiki.database(), hash_of(link), site.teiki.now())
    site.ahead = timedelta(days=8)
    assert [(await site.look(url))[0] for url in (link, back)] == [410, 410]
    assert await card_changes(subscription) == []


async def test_a_crash_is_not_finished_over_a_newer_links_card(site):
    subscription = await site.subscribe()
    old = await subscription.card_change_link()
    back = await site.choose(await site.press(old))
    await use_card_link(await site.teiki.database(), hash_of(old), site.teiki.now())
    new = await subscription.card_change_link()
    assert (await site.look(await site.choose(await site.press(new))))[0] == 200
    chosen = (await subscription.show()).payment_method.id
    assert [(await site.look(url))[0] for url in (old, back)] == [410, 410]
    assert (await subscription.show()).payment_method.id == chosen


async def test_a_token_nobody_made_is_not_found(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    changed = link[:-1] + ("A" if link[-1] != "A" else "B")
    for url in (changed, link + "x", f"{site.url}/card-change/%FF", f"{changed}/done?form=x", f"{site.url}/"):
        status, page = await site.look(url)
        assert status == 404, url
        assert "Coffee club" not in page
    async with site.browser.post(changed, allow_redirects=False) as answer:
        assert answer.status == 404


async def test_a_new_link_voids_the_old_one_even_with_its_form_finished(site):
    subscription = await site.subscribe()
    old = await subscription.card_change_link()
    back = await site.choose(await site.press(old))
    new = await subscription.card_change_link()
    assert [(await site.look(url))[0] for url in (old, back, new)] == [410, 410, 200]
    assert await card_changes(subscription) == []
    assert len(await cards_of(site, subscription)) == 1, "nothing was written for a voided link"


async def test_an_expired_link_is_refused_at_every_step(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    back = await site.choose(await site.press(link))
    site.ahead = timedelta(days=7, seconds=1)
    for url in (link, back):
        status, page = await site.look(url)
        assert (status, "Coffee club" in page) == (410, False)
    async with site.browser.post(link, allow_redirects=False) as answer:
        assert answer.status == 410
    assert await card_changes(subscription) == []


async def test_the_form_of_another_link_is_refused(site):
    mine, theirs = await site.subscribe(), await site.subscribe()
    my_link, their_link = await mine.card_change_link(), await theirs.card_change_link()
    await site.press(my_link)
    their_form = await site.press(their_link)
    await site.choose(their_form)
    for form in (their_form.rpartition("/")[2], "", "cf_nobody", "%ED%A0%80"):
        assert (await site.look(f"{my_link}/done?form={form}"))[0] == 410
    assert (await row_of(site, my_link)).used_at is None
    assert await card_changes(mine) == []


async def test_a_subscription_that_ended_takes_no_card_and_keeps_its_link_unused(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    back = await site.choose(await site.press(link))
    await subscription.cancel()
    for url in (link, back):
        status, page = await site.look(url)
        assert status == 409
        assert "cannot be changed" in page
    assert (await row_of(site, link)).used_at is None
    assert len(await cards_of(site, subscription)) == 1
    with pytest.raises(TeikiError, match="invalid_status"):
        await subscription.card_change_link()


async def test_while_the_payment_company_is_away_nothing_is_consumed(lab):
    async with serving(lab, gateway_url=f"http://127.0.0.1:{free_ports(1)[0]}") as site:
        subscription = await site.subscribe()
        link = await subscription.card_change_link()
        async with site.browser.post(link, allow_redirects=False) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"]
        row = await row_of(site, link)
        assert (row.form_id, row.used_at) == (None, None)


async def test_every_answer_carries_the_headers_that_keep_the_address_secret(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    async with aiohttp.ClientSession() as browser:
        for method, url, status in [
            ("GET", link, 200),
            ("POST", link, 303),
            ("GET", f"{link}/done", 410),
            ("HEAD", f"{link}/done", 405),
            ("GET", f"{link}x", 404),
            ("GET", f"{site.url}/elsewhere", 404),
            ("GET", f"{site.url}/health", 200),
        ]:
            async with browser.request(method, url, allow_redirects=False) as answer:
                assert answer.status == status, url
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert f"form-action 'self' {site.settings.gateway_url};" in policy
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert "noindex" in answer.headers["X-Robots-Tag"]
                assert answer.headers["Cache-Control"] == "no-store"
                assert answer.headers["X-Frame-Options"] == "DENY"
        async with browser.get(f"{site.url}/assets/teiki.css") as style:
            assert style.content_type == "text/css"
