"""The hosted card form, as a customer's browser meets it."""

from __future__ import annotations

import re
from uuid import uuid4

import aiohttp
import pytest

from domain.money import Money


async def test_a_customer_chooses_a_card_and_the_shop_can_charge_it(gateway):
    form = await gateway.open_card_form(reference="sub_x", return_url="https://shop.example/back?lang=ja")
    form_id, url = form.form_id, form.url
    assert await gateway.card_form_url(form_id) == url, "who left it half-way finds it again"
    async with aiohttp.ClientSession() as browser:
        async with browser.get(url) as page:
            html = await page.text()
            assert page.status == 200
            assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        assert set(re.findall(r'type="([a-z]+)"', html)) == {"radio"}, "there is no field for a number"
        cards = re.findall(r'value="(tok_[^"]+)"', html)
        assert await gateway.card_form_token(form_id) is None, "looking at the page chooses nothing"
        async with browser.post(url, data={"card": cards[0]}, allow_redirects=False) as answer:
            assert answer.status == 303
            assert answer.headers["Location"] == f"https://shop.example/back?lang=ja&form={form_id}"
        token = await gateway.card_form_token(form_id)
        async with browser.post(url, data={"card": cards[1]}, allow_redirects=False) as again:
            assert again.status == 303
        assert await gateway.card_form_token(form_id) == token, "a second click changes nothing"
        async with browser.get(url) as page:
            assert "has been used" in await page.text()
    outcome = await gateway.charge(
        token=token,
        amount=Money(minor=1000, currency="JPY"),
        reference=f"sub_{uuid4().hex}/1/1",
        idempotency_key=uuid4().hex,
    )
    assert outcome.kind == "settled"


async def test_without_a_return_address_the_page_says_thank_you(sandbox):
    async with aiohttp.ClientSession(sandbox.base_url) as browser:
        async with browser.post("/card-forms", json={"reference": "sub_x"}) as made:
            form = await made.json()
        async with browser.post(form["url"], data={"card": "tok_3ds"}) as page:
            assert page.status == 200
            assert "Thank you" in await page.text()


@pytest.mark.parametrize(
    "return_url", ["javascript:alert(1)", "//shop.example", "https://", "", "https://a.example/\r\nX: y"]
)
async def test_a_return_address_that_is_no_web_address_is_refused(sandbox, return_url):
    body = {"reference": "x", "return_url": return_url}
    async with (
        aiohttp.ClientSession(sandbox.base_url) as merchant,
        merchant.post("/card-forms", json=body) as answer,
    ):
        assert answer.status == 422


@pytest.mark.parametrize("card", ["tok_mine", "", "4111"])
async def test_only_the_offered_cards_can_be_chosen(gateway, card):
    form = await gateway.open_card_form(reference="sub_x", return_url="https://shop.example/")
    async with aiohttp.ClientSession() as browser, browser.post(form.url, data={"card": card}) as answer:
        assert answer.status == 422
    assert await gateway.card_form_token(form.form_id) is None


async def test_a_form_nobody_made_is_not_found(sandbox, gateway):
    assert await gateway.card_form_token("cf_nobody") is None
    async with (
        aiohttp.ClientSession(sandbox.base_url) as browser,
        browser.get("/card-forms/cf_nobody") as page,
    ):
        assert page.status == 404
