"""The merchant's side of the sandbox over HTTP: charges, refunds, look-ups, tokens.

Money travels as `{"minor": 1000, "currency": "JPY"}`; a refusal as `{"error": {"code", "message"}}`.
This file reads and checks requests; the desk decides, the book remembers.
"""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from domain.errors import TeikiError
from domain.money import Money, require_positive
from gateways.sandbox.answers import Answer
from gateways.sandbox.book import Book
from gateways.sandbox.cards import Cards
from gateways.sandbox.desk import Desk, Write
from gateways.sandbox.faults import Fault, parse_fault
from gateways.sandbox.refusal import Refusal, invalid
from gateways.sandbox.remittance import read_bank_account
from gateways.sandbox.schema import to_us, transaction

AMOUNT_MAX_MINOR: Final = 99_999_999
_REFERENCE: Final = re.compile(r"[!-~]{1,200}")
_KEY: Final = re.compile(r"[!-~]{1,255}")
_CURSOR: Final = re.compile(r"(\d{1,19})-(\d{1,19})")


class Api:
    def __init__(self, db: sqlite3.Connection, book: Book, cards: Cards, desk: Desk) -> None:
        self._db = db
        self._book = book
        self._cards = cards
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/charges", self.charge),
            web.get("/charges", self.find),
            web.get("/charges/{id}", self.get),
            web.post("/charges/{id}/refunds", self.refund),
            web.post("/charges/{id}/void", self.void),
            web.post("/tokens", self.make_token),
            web.get("/tokens/{token}", self.token),
        ]

    async def charge(self, request: web.Request) -> web.StreamResponse:
        """POST /charges {token, amount, reference, installments?}."""
        body = await read_body(request)
        token = body.get("token")
        if not isinstance(token, str) or not token:
            raise invalid("`token` names what to charge.")
        amount, installments = read_amount(body), body.get("installments")
        if installments is not None and (type(installments) is not int or not 2 <= installments <= 60):
            raise invalid("`installments` is 2 to 60, or left out.")
        write = read_write(request, "charge", body, token)
        return respond(request, await self._desk.charge(write, amount, installments=installments))

    async def refund(self, request: web.Request) -> web.StreamResponse:
        """POST /charges/{id}/refunds {amount, reference, bank_account?}: the account is for Konbini charges only."""
        body = await read_body(request)
        amount = read_amount(body)
        account = read_bank_account(body)
        write = read_write(request, "refund", body)
        return respond(request, await self._desk.refund(write, request.match_info["id"], amount, account))

    async def void(self, request: web.Request) -> web.StreamResponse:
        """POST /charges/{id}/void {reference}: only a pending charge can be given up."""
        write = read_write(request, "void", await read_body(request))
        return respond(request, await self._desk.void(write, request.match_info["id"]))

    async def get(self, request: web.Request) -> web.StreamResponse:
        """GET /charges/{id}: a charge, or a refund by its own id."""
        gateway_id = request.match_info["id"]

        def answer() -> dict[str, Any]:
            record = self._book.ask(gateway_id)
            if record is None:
                raise Refusal(404, "charge_not_found", "There is no charge or refund of this id.")
            return record

        return respond(request, await self._desk.read("get", gateway_id, asked_faults(request), answer))

    async def find(self, request: web.Request) -> web.StreamResponse:
        """GET /charges?reference=…, or GET /charges?since=…&cursor=… for everything, page by page."""
        reference, since = request.query.get("reference"), request.query.get("since")
        if reference is not None and since is None:
            found = await self._desk.read(
                "lookup", reference, asked_faults(request), lambda: {"items": self._book.lookup(reference)}
            )
            return respond(request, found)
        if since is None or reference is not None:
            raise invalid("Give either `reference` or `since`.")
        after_us, after_seq = _page_start(since, request.query.get("cursor"))

        def page() -> dict[str, Any]:
            items, following = self._book.page(after_us=after_us, after_seq=after_seq)
            return {"items": items, "next_cursor": f"{following[0]}-{following[1]}" if following else None}

        return respond(request, await self._desk.read("list", "", asked_faults(request), page))

    async def token(self, request: web.Request) -> web.Response:
        """GET /tokens/{token}: what may be shown of it."""
        return web.json_response(self._cards.details(request.match_info["token"]))

    async def make_token(self, request: web.Request) -> web.Response:
        """POST /tokens {behaviour, fault?} or {script, script_id?, fault?}: a card that does as told."""
        body = await read_body(request)
        with transaction(self._db):
            token = self._cards.make(body)
        return web.json_response({"token": token}, status=201)


async def read_body(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request.

    Raises:
        Refusal: 400 when it is none.
    """
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise Refusal(400, "not_json", "The body is not JSON.") from error
    if not isinstance(body, dict):
        raise Refusal(400, "not_json", "The body is not a JSON object.")
    return body


def respond(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Send the answer, or lose it, or tear it, as the faults decided."""
    if answer.lost:
        # The client sees a reset: it cannot know whether anything happened, and need not wait to learn that.
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=499)
    text = json.dumps(answer.body)
    if answer.torn:
        text = text[: len(text) // 2]
    return web.Response(
        status=answer.status, text=text, headers=answer.headers, content_type="application/json"
    )


def read_write(request: web.Request, route: str, body: dict[str, Any], token: str | None = None) -> Write:
    """What every request that changes something carries: reference, key, faults asked for.

    Raises:
        Refusal: 422 for a reference or key that cannot be one.
    """
    reference = body.get("reference")
    if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
        raise invalid("`reference` is 1 to 200 visible ASCII characters.")
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise invalid("`Idempotency-Key` is 1 to 255 visible ASCII characters.")
    return Write(
        route=route,
        path=request.path,
        body=body,
        reference=reference,
        key=key,
        token=token,
        asked_faults=asked_faults(request),
    )


def asked_faults(request: web.Request) -> tuple[Fault, ...]:
    """The faults in the `X-Sandbox-Fault` header."""
    asked = request.headers.get("X-Sandbox-Fault")
    return tuple(parse_fault(part.strip()) for part in asked.split(",")) if asked else ()


def read_amount(body: dict[str, Any]) -> Money:
    """`amount` of a body.

    Raises:
        Refusal: 422 when it is none, not more than zero, or larger than any accepted one.
    """
    raw = body.get("amount")
    if not isinstance(raw, dict) or set(raw) != {"minor", "currency"}:
        raise invalid('`amount` is {"minor": integer, "currency": code}.')
    try:
        amount = require_positive(Money(**raw))
    except TeikiError as error:
        raise invalid(error.message, code=error.code.value) from error
    if amount.minor > AMOUNT_MAX_MINOR:
        raise invalid(f"At most {AMOUNT_MAX_MINOR} minor units.", code="amount_out_of_range")
    return amount


def _page_start(since: str, cursor: str | None) -> tuple[int, int]:
    if cursor is not None:
        place = _CURSOR.fullmatch(cursor)
        if place is None:
            raise invalid("This gateway did not give this cursor.", code="invalid_cursor")
        return int(place[1]), int(place[2])
    try:
        instant = datetime.fromisoformat(since)
    except ValueError as error:
        raise invalid("`since` is an ISO 8601 instant.") from error
    if instant.tzinfo is None:
        raise invalid("`since` says its zone offset.")
    return to_us(instant), -1
