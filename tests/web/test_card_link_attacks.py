"""Card change links under attack: each way of misusing one is refused, and leaves everything as it was."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import make_url

import web.card_change
from db.card_links import find_card_link, use_card_link
from runtime.codec import TeikiCodec
from starter import Subscription
from tests.db.house import House
from tests.web.conftest import Site

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def token_of(link: str) -> str:
    return link.rpartition("/")[2]


async def changes(subscription: Subscription) -> list[str]:
    """By whom the card was changed, each time."""
    detail = await subscription.show()
    return [event.actor for event in detail.operations if event.data["do"] == "change_card"]


async def untouched(site: Site, link: str) -> bool:
    """Neither used nor given a form."""
    token_hash = hashlib.sha256(token_of(link).encode()).hexdigest()
    row = await find_card_link(await site.teiki.database(), token_hash)
    assert row is not None
    return (row.form_id, row.used_at, row.revoked_at) == (None, None, None)


async def answers(site: Site, method: str, url: str) -> int:
    async with site.browser.request(method, url, allow_redirects=False) as answer:
        return answer.status


async def test_a_token_changed_in_any_character_opens_nothing(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    token, base = token_of(link), link.removesuffix(token_of(link))
    assert len(token) == 43, "256 bits"
    forged = {
        token[:at] + _ALPHABET[(_ALPHABET.index(was) + 1) % 64] + token[at + 1 :]
        for at, was in enumerate(token)
    }
    forged |= {token[:at] + was.swapcase() + token[at + 1 :] for at, was in enumerate(token) if was.isalpha()}
    forged |= {
        token[1:],
        token[:-1],
        token + "A",
        token[::-1],
        token.lower(),
        token + "%00",
        token + "=",
        "%20" + token,
    }
    forged |= {hashlib.sha256(token.encode()).hexdigest(), "..%2f" + token, token + "%0d%0aSet-Cookie:x"}
    forged.discard(token)
    for method in ("GET", "POST"):
        statuses = await asyncio.gather(*(answers(site, method, base + one) for one in sorted(forged)))
        assert set(statuses) == {404}, method
    assert await untouched(site, link)
    assert await changes(subscription) == []


async def test_scanners_and_prefetchers_at_once_consume_nothing_and_open_no_form(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    told = {"Purpose": "prefetch", "Sec-Purpose": "prefetch;prerender", "User-Agent": "SafeLinks scanner"}

    async def scan(method: str, url: str) -> int:
        async with site.browser.request(method, url, headers=told, allow_redirects=False) as answer:
            await answer.read()
            return answer.status

    looked = await asyncio.gather(*(scan(method, link) for method in ("GET", "HEAD") * 50))
    assert set(looked) == {200}
    for method, url, status in (
        ("GET", f"{link}/done", 410),
        ("GET", f"{link}/done?form=cf_guess", 410),
        ("HEAD", f"{link}/done?form=cf_guess", 405),
        ("OPTIONS", link, 405),
        ("PUT", link, 405),
        ("DELETE", link, 405),
        ("PATCH", link, 405),
    ):
        assert await scan(method, url) == status, (method, url)
    assert await untouched(site, link)
    back = await site.choose(await site.press(link))
    assert (await site.look(back))[0] == 200, "afterwards the customer goes through"


@pytest.mark.parametrize("at_once", [2, 20])
async def test_presses_and_returns_at_once_change_the_card_once(site, at_once):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    forms = await asyncio.gather(*(site.press(link) for _ in range(at_once)))
    assert len(set(forms)) == 1
    back = await site.choose(forms[0])
    mixed = [site.look(back) for _ in range(at_once)] + [site.look(link) for _ in range(at_once)]
    mixed += [answers(site, "POST", link) for _ in range(at_once)]
    found = await asyncio.gather(*mixed)
    assert {one[0] for one in found[:at_once]} == {200}
    assert {one[0] for one in found[at_once : 2 * at_once]} <= {200, 410}
    assert set(found[2 * at_once :]) <= {303, 410}
    customer = (await subscription.show()).customer.id
    assert await changes(subscription) == [f"customer:{customer}"]
    assert len(await site.teiki.payment_methods.list(customer_id=customer)) == 2
    used = [event.actor for event in (await subscription.show()).history if event.kind == "link"]
    assert used == [f"customer:{customer}"]


async def test_a_link_that_was_used_is_replayed_in_vain(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    form = await site.press(link)
    back = await site.choose(form)
    assert (await site.look(back))[0] == 200
    chosen = (await subscription.show()).payment_method.id
    # The thief has the address, the form's address and the way back, and a card.
    again = await asyncio.gather(*(answers(site, method, link) for method in ("GET", "POST") * 5))
    assert set(again) == {410}
    async with site.browser.post(form, data={"card": "tok_ok:thief"}, allow_redirects=False) as second:
        await second.read()
    assert (await site.look(back))[0] == 200, "a reload says thanks, and no more"
    assert (await subscription.show()).payment_method.id == chosen
    assert len(await changes(subscription)) == 1


async def test_a_return_and_a_newer_link_at_once_leave_one_of_both(site):
    """Whoever comes first: a voided link changes nothing after the newer one exists."""
    for _ in range(5):
        subscription = await site.subscribe()
        old = await subscription.card_change_link()
        back = await site.choose(await site.press(old))
        answer, new = await asyncio.gather(site.look(back), subscription.card_change_link())
        assert answer[0] in (200, 410)
        assert len(await changes(subscription)) == (1 if answer[0] == 200 else 0)
        assert (await site.look(new))[0] == 200
        later = await site.look(back)
        assert len(await changes(subscription)) == (1 if answer[0] == 200 else 0), later


@pytest.mark.parametrize("step", ["attach_card_form", "use_card_link"])
async def test_a_link_voided_between_looking_and_writing_writes_nothing(site, monkeypatch, step):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    form = None if step == "attach_card_form" else await site.choose(await site.press(link))
    write = getattr(web.card_change, step)

    async def late(*given):
        await subscription.card_change_link()
        return await write(*given)

    monkeypatch.setattr(web.card_change, step, late)
    status = await answers(site, "POST", link) if form is None else (await site.look(form))[0]
    assert status == 410
    token_hash = hashlib.sha256(token_of(link).encode()).hexdigest()
    row = await find_card_link(await site.teiki.database(), token_hash)
    assert row is not None
    assert (row.form_id is None, row.used_at) == (form is None, None)
    assert await changes(subscription) == []


async def test_a_form_of_another_customers_link_is_refused_everywhere(site):
    mine, theirs = await site.subscribe(), await site.subscribe()
    my_link, their_link = await mine.card_change_link(), await theirs.card_change_link()
    my_form, their_form = await site.press(my_link), await site.press(their_link)
    await site.choose(my_form)
    my_id, their_id = (form.rpartition("/")[2] for form in (my_form, their_form))
    for url in (
        f"{my_link}/done?form={their_id}",
        f"{their_link}/done?form={my_id}",
        f"{their_link}/done?form={my_id}&form={my_id}",
    ):
        assert (await site.look(url))[0] == 410
    assert await changes(mine) == await changes(theirs) == []
    assert (await site.look(f"{my_link}/done?form={my_id}"))[0] == 200, "the right one still goes through"
    assert (len(await changes(mine)), len(await changes(theirs))) == (1, 0)


@pytest.mark.parametrize("consumed", [False, True])
async def test_a_blocked_customer_changes_no_card(site, consumed):
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    back = await site.choose(await site.press(link))
    database = await site.teiki.database()
    token_hash = hashlib.sha256(token_of(link).encode()).hexdigest()
    if consumed:  # what a crash between consuming and changing leaves behind
        await use_card_link(database, token_hash, site.teiki.now())
    customer = (await subscription.show()).customer.id
    await House(database).block(customer, customer, actor="operator:boss")  # others have the same address
    for method, url in (("GET", link), ("GET", back)):
        assert await answers(site, method, url) in (409, 410), url
    assert await changes(subscription) == []
    assert len(await site.teiki.payment_methods.list(customer_id=customer)) == 1
    row = await find_card_link(database, token_hash)
    assert (row.used_at is not None) is consumed, "a refusal consumes nothing"


async def test_an_expired_link_is_expired_to_the_second(site):
    subscription = await site.subscribe()
    link = await subscription.card_change_link(life=timedelta(hours=1))
    form = await site.press(link)
    back = await site.choose(form)
    site.ahead = timedelta(hours=1)
    for method, url in (("GET", link), ("POST", link), ("GET", back)):
        assert await answers(site, method, url) == 410
    assert await changes(subscription) == []
    site.ahead = timedelta()
    assert (await site.look(back))[0] == 200, "within its life the same way works"


async def test_the_token_is_in_no_log_table_or_history_and_in_no_page(site, caplog):
    caplog.set_level(logging.DEBUG)
    subscription = await site.subscribe()
    link = await subscription.card_change_link()
    token = token_of(link)
    _, page = await site.look(link)
    form = await site.press(link)
    back = await site.choose(form)
    _, thanks = await site.look(back)
    await site.look(link + "x")

    plain = make_url(site.settings.database).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
        tables = [
            row[0]
            for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        dumped = {
            table: "\n".join(r[0] for r in connection.execute(f'SELECT t::text FROM "{table}" t'))
            for table in tables
        }  # type: ignore[arg-type]
    history = await site.lab.client.get_workflow_handle(f"subscription/{subscription.id}").fetch_history()
    stored = history.to_json()
    asked = [
        payload
        for event in history.events
        for payload in event.workflow_execution_update_accepted_event_attributes.accepted_request.input.args.payloads
    ]
    decoded = b"".join(payload.data for payload in await TeikiCodec(site.settings.keyring()).decode(asked))
    token_hash = hashlib.sha256(token.encode()).hexdigest()
    assert token_hash in dumped["card_links"], "the search finds what is there"
    assert token_hash.encode() in decoded
    places = {**dumped, "log": caplog.text, "history": stored, "pages": page + thanks, "form": form}
    assert [name for name, content in places.items() if token in content] == []
    assert token.encode() not in decoded
