"""What the order list is asked in the benchmark: each filter and common pairs, with random values of every selectivity.

Some are rare or empty on purpose: canceled tickets, a product of another type, a text that nothing begins with, the
customer with 10,000 orders.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from bench.order_population import SECONDS, START, Shop
from domain.order_state import OrderStatus, PaymentStatus
from domain.order_terms import Pay
from domain.product import ProductType

Value = Callable[[random.Random, Shop], dict[str, Any]]


def _one(name: str, words: Any) -> Value:
    return lambda chance, _: {name: [chance.choice(list(words))]}


def _days(chance: random.Random, _: Shop) -> dict[str, Any]:
    first = START + timedelta(seconds=chance.random() * SECONDS)
    return {"created_from": first, "created_to": first + timedelta(hours=24 ** (chance.random() * 2.8))}


def _number(chance: random.Random, shop: Shop) -> str:
    n = chance.randrange(shop.orders)
    return shop.number(n, shop.created_at(n))


def _cut(text: str, chance: random.Random) -> str:
    return text[: chance.randint(1, len(text))]


def _short(text: str, chance: random.Random) -> str:
    """One to three characters: what a shop's staff types first, and thousands share."""
    return text[: chance.randint(1, 3)]


def _person(chance: random.Random, shop: Shop) -> int:
    return chance.randrange(1, shop.customers)


def _product(chance: random.Random, shop: Shop) -> int:
    """A best-seller as often as any other."""
    return chance.choice([chance.randrange(4), chance.randrange(shop.products)])


def _text(chance: random.Random, shop: Shop) -> dict[str, Any]:
    kind = chance.randrange(3)
    if kind == 0:
        return {"text": _cut(shop.email(_person(chance, shop)), chance)}
    if kind == 1:
        return {"text": _cut(shop.name(_person(chance, shop)), chance).upper()}
    return {"text": _cut(shop.product_name(_product(chance, shop)), chance)}


def _short_text(chance: random.Random, shop: Shop) -> dict[str, Any]:
    n = _person(chance, shop)
    texts = (shop.email(n), shop.name(n), shop.product_name(_product(chance, shop)), _number(chance, shop))
    return {"text": _short(chance.choice(texts), chance).swapcase()}


_CANCELED: Final[Value] = lambda _, __: {"status": ["canceled"]}  # noqa: E731
_TICKET: Final[Value] = lambda _, __: {"product_type": ["ticket"]}  # noqa: E731
_FAT: Final[Value] = lambda _, shop: {"customer_email": shop.email(0).swapcase()}  # noqa: E731
_NOTES: Final[Value] = lambda _, __: {"has_notes": True}  # noqa: E731
_STATUS: Final = _one("status", OrderStatus)
_PAYMENT: Final = _one("payment_status", PaymentStatus)
_TYPE: Final = _one("product_type", ProductType)
_PAY: Final = _one("pay", Pay)
_EMAIL: Final[Value] = lambda chance, shop: {"customer_email": shop.email(_person(chance, shop)).upper()}  # noqa: E731
_CUSTOMER: Final[Value] = lambda chance, shop: {"customer_id": shop.customer_id(_person(chance, shop))}  # noqa: E731
_GOODS: Final[Value] = lambda chance, shop: {"product_id": shop.product_id(_product(chance, shop))}  # noqa: E731
_NUMBER: Final[Value] = lambda chance, shop: {"number": _number(chance, shop)}  # noqa: E731
_PREFIX: Final[Value] = lambda chance, shop: {"number": _cut(_number(chance, shop), chance)}  # noqa: E731
_SHORT_NUMBER: Final[Value] = lambda chance, shop: {"number": _short(_number(chance, shop), chance)}  # noqa: E731
_NO_NUMBER: Final[Value] = lambda chance, _: {"number": f"2024{chance.randrange(13, 99)}"}  # noqa: E731
_NOTHING: Final[Value] = lambda chance, _: {"text": f"nothing{chance.random()}"}  # noqa: E731
_TEXT_NUMBER: Final[Value] = lambda chance, shop: {"text": _cut(_number(chance, shop), chance)}  # noqa: E731

TRIALS: Final[dict[str, tuple[Value, ...]]] = {
    "no filter": (),
    "number": (_NUMBER,),
    "number prefix": (_PREFIX,),
    "number, short": (_SHORT_NUMBER,),
    "number, none": (_NO_NUMBER,),
    "created": (_days,),
    "type": (_TYPE,),
    "product": (_GOODS,),
    "status": (_STATUS,),
    "payment status": (_PAYMENT,),
    "method": (_PAY,),
    "e-mail": (_EMAIL,),
    "e-mail, 10,000 orders": (_FAT,),
    "customer": (_CUSTOMER,),
    "has notes": (_NOTES,),
    "text": (_text,),
    "text, short": (_short_text,),
    "text, a number": (_TEXT_NUMBER,),
    "text, nothing": (_NOTHING,),
    "canceled tickets": (_CANCELED, _TICKET),
    "status, type": (_STATUS, _TYPE),
    "status, payment status": (_STATUS, _PAYMENT),
    "status, method": (_STATUS, _PAY),
    "status, notes": (_STATUS, _NOTES),
    "payment status, type": (_PAYMENT, _TYPE),
    "payment status, method": (_PAYMENT, _PAY),
    "type, method": (_TYPE, _PAY),
    "type, notes": (_TYPE, _NOTES),
    "product, status": (_GOODS, _STATUS),
    "product, payment status": (_GOODS, _PAYMENT),
    "product, type": (_GOODS, _TYPE),
    "product, notes": (_GOODS, _NOTES),
    "created, status": (_days, _STATUS),
    "created, product": (_days, _GOODS),
    "created, canceled tickets": (_days, _CANCELED, _TICKET),
    "number prefix, status": (_PREFIX, _STATUS),
    "number prefix, type": (_PREFIX, _TYPE),
    "number prefix, product": (_PREFIX, _GOODS),
    "number prefix, 10,000 orders": (_PREFIX, _FAT),
    "10,000 orders, status": (_FAT, _STATUS),
    "10,000 orders, product": (_FAT, _GOODS),
    "10,000 orders, canceled tickets": (_FAT, _CANCELED, _TICKET),
    "text, status": (_text, _STATUS),
    "text, short, status": (_short_text, _STATUS),
    "text, short, notes": (_short_text, _NOTES),
    "text, type": (_text, _TYPE),
    "text, canceled tickets": (_text, _CANCELED, _TICKET),
    "text, product": (_text, _GOODS),
    "text, notes": (_text, _NOTES),
    "text, created": (_text, _days),
    "text, e-mail": (_text, _FAT),
    "five at once": (_STATUS, _TYPE, _PAY, _NOTES, _days),
}


def asked(name: str, chance: random.Random, shop: Shop) -> dict[str, Any]:
    """One filter of this trial, with values of its own."""
    given: dict[str, Any] = {}
    for value in TRIALS[name]:
        given |= value(chance, shop)
    return given
