"""The hosted card form: where a customer chooses a (test) card and the merchant sees only a token.

Opened with an amount it is a payment form: the same page, and it says what will be paid.
There is no field a card number could be typed into. The form sends the customer back to
`return_url?form=<id>`; the merchant then asks for the result (spec: subscriptions.md §7).
"""

from __future__ import annotations

import secrets
import sqlite3
from html import escape
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web

from domain.money import Money
from gateways.sandbox.api import read_amount, read_body
from gateways.sandbox.refusal import Refusal, invalid
from gateways.sandbox.schema import now_us, transaction

CARDS: Final[dict[str, str]] = {
    "tok_ok": "A good card",
    "tok_insufficient_then_ok:1": "Declined once for insufficient funds, then good",
    "tok_3ds": "Asks for 3-D Secure, then good",
    "tok_insufficient_funds": "Always declined: insufficient funds",
    "tok_issuer_unavailable": "Always declined: issuer unavailable",
    "tok_expired": "Expired",
    "tok_lost": "Reported lost",
    "tok_stolen": "Reported stolen",
}

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Choose a test card</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 3rem auto; padding: 0 1rem;
  color: #1c2430; }}
fieldset {{ border: 1px solid #c5ccd6; border-radius: .5rem; padding: .5rem 1rem; }}
label {{ display: block; padding: .4rem 0; cursor: pointer; }}
button {{ margin-top: 1rem; padding: .6rem 1.4rem; font: inherit; border: 0; border-radius: .4rem;
  background: #1b4fd8; color: #fff; cursor: pointer; }}
:focus-visible {{ outline: 3px solid #f0a202; outline-offset: 2px; }}
.note {{ color: #56606e; }}
</style></head><body><main>{main}</main></body></html>
"""
_NO_STORE: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


class CardForms:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/card-forms", self.make),
            web.get("/card-forms/{id}", self.show),
            web.post("/card-forms/{id}", self.choose),
            web.get("/card-forms/{id}/result", self.result),
        ]

    async def make(self, request: web.Request) -> web.Response:
        """POST /card-forms {reference, return_url?, amount?}: with an amount it is a payment form."""
        body = await read_body(request)
        reference, return_url = body.get("reference"), body.get("return_url")
        if not isinstance(reference, str) or not 1 <= len(reference) <= 200:
            raise invalid("`reference` is 1 to 200 characters.")
        if return_url is not None and not _is_web_address(return_url):
            raise invalid("`return_url` is an http or https address.")
        amount = read_amount(body) if "amount" in body else None
        form_id = f"cf_{secrets.token_hex(16)}"
        paid = (None, None) if amount is None else (amount.minor, amount.currency)
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO card_forms (id, reference, return_url, created_at_us, minor, currency)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (form_id, reference, return_url, now_us(), *paid),
            )
        url = str(request.url.origin() / "card-forms" / form_id)
        return web.json_response({"form_id": form_id, "url": url}, status=201)

    async def show(self, request: web.Request) -> web.Response:
        """The page a person sees."""
        form = self._form(request)
        if form["token"] is not None:
            return _page(
                "<h1>This form has been used</h1>"
                "<p>Your card was given to the shop. You may close this page.</p>"
            )
        choices = "".join(
            f'<label><input type="radio" name="card" value="{escape(card)}"'
            f"{' checked' if card == 'tok_ok' else ''}> {escape(words)}</label>"
            for card, words in CARDS.items()
        )
        is_payment = form["minor"] is not None
        pays = escape(str(Money(minor=form["minor"], currency=form["currency"]))) if is_payment else ""
        return _page(
            (f"<h1>Pay {pays}</h1>" if is_payment else "<h1>Choose a test card</h1>")
            + '<p class="note">This is the sandbox: no real card exists here and no number is asked for.</p>'
            f'<form method="post"><fieldset><legend>Test cards</legend>{choices}</fieldset>'
            f"<button>{f'Pay {pays} with this card' if is_payment else 'Use this card'}</button></form>"
        )

    async def choose(self, request: web.Request) -> web.Response:
        """The page's answer. A second click changes nothing: the first card stays."""
        form = self._form(request)
        card = (await request.post()).get("card")
        if card not in CARDS:
            raise invalid("Choose one of the test cards.", code="invalid_card")
        if form["token"] is None:
            with transaction(self._db):
                self._db.execute(
                    "UPDATE card_forms SET token = ? WHERE id = ? AND token IS NULL",
                    (f"{card}:{form['id']}", form["id"]),
                )
        if form["return_url"] is None:
            return _page("<h1>Thank you</h1><p>Your card was given to the shop. You may close this page.</p>")
        location = _with_form_id(form["return_url"], form["id"])
        return web.Response(status=303, headers={"Location": location, **_NO_STORE})

    async def result(self, request: web.Request) -> web.Response:
        """GET /card-forms/{id}/result → {token}, null while nobody has chosen."""
        return web.json_response({"token": self._form(request)["token"]})

    def _form(self, request: web.Request) -> sqlite3.Row:
        form: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM card_forms WHERE id = ?", (request.match_info["id"],)
        ).fetchone()
        if form is None:
            raise Refusal(404, "form_not_found", "There is no such form.")
        return form


def _page(main: str) -> web.Response:
    return web.Response(text=_PAGE.format(main=main), content_type="text/html", headers=_NO_STORE)


def _is_web_address(address: Any) -> bool:
    if not isinstance(address, str) or not 1 <= len(address) <= 2_000 or not address.isprintable():
        return False
    parts = urlsplit(address)
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _with_form_id(return_url: str, form_id: str) -> str:
    parts = urlsplit(return_url)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("form", form_id)])
    return urlunsplit(parts._replace(query=query))
