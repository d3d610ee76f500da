"""Chargebacks over HTTP: the merchant looks them up, and a control route plays the bank that takes the money back.

No merchant makes one; no fault strikes the making but those of the webhooks that tell of it.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateways.sandbox.api import asked_faults, read_body, respond
from gateways.sandbox.book import Book
from gateways.sandbox.desk import Desk
from gateways.sandbox.refusal import Refusal, invalid


class Disputes:
    def __init__(self, book: Book, desk: Desk) -> None:
        self._book = book
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/charges/{id}/chargeback", self.find),
            web.post("/_shop/chargeback", self.make),
        ]

    async def find(self, request: web.Request) -> web.StreamResponse:
        """GET /charges/{id}/chargeback: the chargeback of a charge; 404 while there is none."""
        charge_id = request.match_info["id"]

        def answer() -> dict[str, Any]:
            record = self._book.chargeback_of(charge_id)
            if record is None:
                raise Refusal(404, "chargeback_not_found", "This charge was not charged back.")
            return record

        return respond(request, await self._desk.read("get", charge_id, asked_faults(request), answer))

    async def make(self, request: web.Request) -> web.Response:
        """POST /_shop/chargeback {charge, lag_seconds?}: the customer's bank takes back what is left of it. Once;
        repeated, the same chargeback is answered. For `lag_seconds` look-ups do not see it.
        """
        body = await read_body(request)
        charge, lag = body.get("charge"), body.get("lag_seconds", 0)
        if (
            not isinstance(charge, str)
            or type(lag) not in {int, float}
            or set(body) - {"charge", "lag_seconds"}
        ):
            raise invalid("Give `charge`, the id of a settled one.")
        with self._desk.together(asked_faults(request)):
            record = self._book.charge_back(charge, lag_seconds=lag)
        return web.json_response(record)
