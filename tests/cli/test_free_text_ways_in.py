"""Every way by which a text comes in: a card number in it is refused before it goes anywhere, and said by nobody."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from domain.errors import ErrorCode, TeikiError
from domain.product import CustomField, FieldType, Option, ProductTerms
from starter import KonbiniSpec, OrderFilter, OrderSpec, Teiki
from starter.simulate.lab import Lab
from tests.cli.roles import ID, Nowhere
from tests.domain.test_free_text import CARD, GROUPS
from workflows import messages, order_messages

_WRITTEN = f"mine is {'-'.join(GROUPS)}"
_BY = {"customer_id": f"cus_{ID}", "product_id": f"prd_{ID}"}


def subscription(t: Teiki) -> Any:
    return t.subscriptions.get(f"sub_{ID}")


def order(t: Teiki) -> Any:
    return t.orders.get(f"ord_{ID}")


def placing(**more: Any) -> OrderSpec:
    return OrderSpec(**_BY, pay="none", **more)


WAYS: dict[str, Callable[[Teiki, str], Any]] = {
    "comment of a subscription's command": lambda t, text: subscription(t).suspend(comment=text),
    "comment of a link": lambda t, text: subscription(t).card_change_link(comment=text),
    "comment of an order's command": lambda t, text: order(t).cancel(comment=text),
    "comment of a placement": lambda t, text: t.orders.place(placing(), comment=text),
    "comment of an export": lambda t, text: t.exports.request("orders", comment=text),
    "filter of an export": lambda t, text: t.exports.request("orders", OrderFilter(text=text)),
    "comment of a settlement": lambda t, text: subscription(t).settle_attention(
        number=1, returns=None, moved=False, gateway_id=None, again=False, comment=text
    ),
    "comment of a closing": lambda t, text: t.attention.close("inc_1", comment=text),
    "comment of a grant": lambda t, text: t.roles.grant(
        "operator:a", "viewer", actor="operator:b", comment=text
    ),
    "comment of an identification": lambda t, text: t.orders.identify(f"per_{ID}", {}, comment=text),
    "identification": lambda t, text: t.orders.identify(f"per_{ID}", {"name": text}),
    "name of an identification": lambda t, text: t.orders.identify(f"per_{ID}", {text: "name"}),
    "note": lambda t, text: order(t).note(text),
    "bank account": lambda t, text: order(t).cancel(bank_account=text),
    "custom field": lambda t, text: t.orders.place(placing(custom_fields={"q": text})),
    "custom field's name": lambda t, text: t.orders.place(placing(custom_fields={text: "a"})),
    "corrected custom field": lambda t, text: order(t).change_custom_fields({"q": text}),
    "identification of a placement": lambda t, text: t.orders.place(placing(identification={"name": text})),
    "name of a customer": lambda t, text: t.customers.put(name=text),
    "e-mail": lambda t, text: t.customers.put(email=text),
    "name of a product": lambda t, text: t.products.put(name=text),
    "an id": lambda t, text: t.products.put(name="a", product_id=text),
}
MODELS: dict[str, Callable[[str], Any]] = {
    "update": lambda text: messages.Suspend(request_id="r", actor="system", comment=text),
    "creation": lambda text: order_messages.PlaceOrder(
        request_id="r", actor="system", comment=text, spec=placing()
    ),
    "metadata": lambda text: placing(metadata={"k": text}),
    "metadata key": lambda text: placing(metadata={text: "v"}),
    "konbini name": lambda text: KonbiniSpec(store="lawson", customer_name=text, phone="0300000000"),
    "option": lambda text: ProductTerms(options=(Option(name=text),)),
    "choice": lambda text: CustomField(name="q", type=FieldType.CHOICE, choices=(text,)),
    "question": lambda text: CustomField(name=text, type=FieldType.TEXT),
    "identification field": lambda text: ProductTerms(identification_fields=(text,)),
}


def refused(error: TeikiError, *, also: ErrorCode | None = None) -> None:
    assert error.code in (ErrorCode.CARD_NUMBER_REFUSED, also)
    said = f"{error!r} {error} {error.as_json()} {error.__cause__!r}"
    assert not any(group in said for group in GROUPS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", [_WRITTEN, CARD])
async def test_a_card_number_in_any_text_of_the_sdk_is_refused_and_repeated_nowhere(
    lab: Lab, way, text, caplog
):
    caplog.set_level(logging.DEBUG)
    async with Teiki(Nowhere(), lab.settings) as teiki:  # type: ignore[arg-type]
        with pytest.raises(TeikiError) as caught:
            await WAYS[way](teiki, text)
    refused(caught.value, also=ErrorCode.INVALID_INPUT if way == "an id" else None)
    assert not any(group in caplog.text for group in GROUPS)


@pytest.mark.parametrize("model", MODELS)
def test_what_travels_to_workflows_refuses_it_too(model):
    with pytest.raises(TeikiError) as caught:
        MODELS[model](_WRITTEN)
    refused(caught.value)


async def test_on_the_command_line_it_is_refused_without_being_repeated(teiki_in_lab, lab: Lab):
    for command in (
        ("customer", "put", "--name", _WRITTEN),
        ("subscription", "suspend", f"sub_{ID}", "--comment", _WRITTEN),
        ("order", "show", CARD),
        ("role", "grant", CARD, "viewer"),
    ):
        ran = await teiki_in_lab(*command, "--json")
        assert ran.status == 1, command
        assert not any(group in ran.out + ran.err for group in GROUPS), command


async def test_texts_are_kept_in_one_spelling(lab: Lab):
    async with Teiki(lab.client, lab.settings) as teiki:
        customer = await teiki.customers.put(name="Ann\u200b\ufeff", email="ann@example.com")
        page = await teiki.customers.list(text=customer)
        assert page.items[0].name == "Ann"
        command = messages.Suspend(request_id="r", actor="system", comment="one\r\ntwo")
        assert command.comment == "one\ntwo"
