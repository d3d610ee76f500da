"""Konbini over HTTP: the merchant asks for slips, and the till plays the customer who pays them.

The till is a control route: no merchant has it, and no fault strikes it but those of the webhooks that tell of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from aiohttp import web

from gateways.sandbox.answers import Answer
from gateways.sandbox.api import asked_faults, read_amount, read_body, read_write, respond
from gateways.sandbox.book import Book
from gateways.sandbox.desk import Desk, Work, lag_of
from gateways.sandbox.faults import Strike
from gateways.sandbox.refusal import Refusal, invalid
from gateways.sandbox.slips import NOTICES, Notice, Order, Slips

_NAME_MAX: Final = 100
_PHONE: Final = re.compile(r"(?:\+81|0)[0-9]{9,10}")
_YEARS: Final = range(2000, 2200)


class Konbini:
    def __init__(self, book: Book, slips: Slips, desk: Desk) -> None:
        self._book = book
        self._slips = slips
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/konbini", self.issue),
            web.get("/konbini/{id}", self.slip),
            web.post("/_shop/pay", self.pay),
        ]

    async def issue(self, request: web.Request) -> web.StreamResponse:
        """POST /konbini {store, amount, customer_name, phone, deadline_at, reference}."""
        body = await read_body(request)
        order = _order(body)
        write = read_write(request, "konbini", body)

        def work(strikes: Sequence[Strike]) -> Work:
            issued = self._slips.issue(
                order,
                reference=write.reference,
                attempt_key=write.attempt_key,
                lag_seconds=lag_of(strikes),
            )
            return Work(Answer(200, issued))

        return respond(request, await self._desk.take(write, work))

    async def slip(self, request: web.Request) -> web.StreamResponse:
        """GET /konbini/{id}: the slip's charge, with `slip`."""
        charge_id = request.match_info["id"]

        def answer() -> dict[str, Any]:
            record = self._book.ask(charge_id)
            if record is None:
                raise Refusal(404, "slip_not_found", "There is no slip of this id.")
            return {**record, "slip": self._slips.printed(charge_id)}

        return respond(request, await self._desk.read("get", charge_id, asked_faults(request), answer))

    async def pay(self, request: web.Request) -> web.Response:
        """POST /_shop/pay {slip, notice?, at?}: `slip` is a charge's id or a payment number, `notice` `confirmed` (the
        default), `preliminary` or `preliminary_canceled`, `at` the till's clock (now). Answers the charge in which the
        money stands.
        """
        body = await read_body(request)
        slip, notice = body.get("slip"), body.get("notice", "confirmed")
        if not isinstance(slip, str) or notice not in NOTICES or set(body) - {"slip", "notice", "at"}:
            raise invalid(f"Give `slip` and `notice` ({', '.join(sorted(NOTICES))}).", code="invalid_notice")
        at = _instant(body["at"], "at") if "at" in body else datetime.now(UTC)
        with self._desk.together(asked_faults(request)):
            record = self._slips.pay(slip, cast(Notice, notice), at=at)
        return web.json_response(record)


def _order(body: dict[str, Any]) -> Order:
    store, name, phone = body.get("store"), body.get("customer_name"), body.get("phone")
    if not isinstance(store, str):
        raise invalid("`store` names a chain.", code="store_not_supported")
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= _NAME_MAX or not name.isprintable():
        raise invalid(f"`customer_name` is 1 to {_NAME_MAX} characters.", code="invalid_customer")
    if not isinstance(phone, str) or not _PHONE.fullmatch(phone.replace("-", "").replace(" ", "")):
        raise invalid("`phone` is a Japanese phone number.", code="invalid_customer")
    return Order(store, read_amount(body), _instant(body.get("deadline_at"), "deadline_at"))


def _instant(text: Any, field: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        instant = None
    if instant is None or instant.tzinfo is None or instant.year not in _YEARS:
        raise invalid(f"`{field}` is an ISO 8601 instant with its offset.", code="invalid_deadline")
    return instant
