"""The page behind a repayment link (spec: customers.md §4).

    GET  /repayment/{token}             what is owed, and a button; looking never consumes
    POST /repayment/{token}             to the payment company's payment form: one for each card that is tried
    GET  /repayment/{token}/done?form=  back from there; the result is asked for, not believed

The card is chosen on the payment company's form, so no card number ever passes here. The charge itself is the
repayment's workflow's: one attempt at a time, under its own key, whoever presses what how often. A declined card leaves
the link open for another one; a payment consumes it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from html import escape
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from db.repayment_links import RepaymentLinkRow, attach_payment_form, find_repayment_link
from domain.declines import DeclineCode
from domain.errors import ErrorCode, TeikiError
from domain.repayment import RepaymentStatus, not_usable
from gateways.port import PaymentGateway
from starter import Teiki
from web import pages
from web.repayment_words import REPAYMENT_WORDS
from web.words import Notice

ENGINE_SECONDS_MAX: Final = 25.0
"""How long a customer waits for the engine before being asked to reload; what was accepted still happens."""
_NOTICES: Final = {"unknown": ("unknown", 404), "used": ("used", 410)}
_NOT_PAYABLE: Final = (DeclineCode.CUSTOMER_BLOCKED, DeclineCode.PAYMENT_METHOD_BLOCKED)
_logger = logging.getLogger(__name__)


class RepaymentPages:
    """The three routes.

    Args:
        teiki: charges the card.
        gateway: opens the form and says what came of it.
        public_url: what customers' browsers call us.
    """

    def __init__(self, teiki: Teiki, gateway: PaymentGateway, *, public_url: str) -> None:
        self._teiki = teiki
        self._gateway = gateway
        self._public_url = public_url.rstrip("/")

    def router(self) -> APIRouter:
        routes = APIRouter()
        routes.add_api_route("/repayment/{token}", self.show, methods=["GET", "HEAD"])
        routes.add_api_route("/repayment/{token}", self.begin, methods=["POST"])
        # A HEAD would come from a scanner, and this route does something: there is none.
        routes.add_api_route("/repayment/{token}/done", self.done, methods=["GET"])
        return routes

    async def show(self, request: Request) -> Response:
        """What is owed. Changes nothing, however often it is asked."""
        try:
            link = await self._payable(request)
        except TeikiError as error:
            return _refused(request, error)
        if (waiting := _waiting(request, link)) is not None:
            return waiting
        return _page(request, link)

    async def begin(self, request: Request) -> Response:
        """Send the customer to the link's form for this card; of two at once both get the same one."""
        try:
            link = await self._payable(request)
            if (waiting := _waiting(request, link)) is not None:
                return waiting
            form_id = await self._form_of(request, link)
        except TeikiError as error:
            return _refused(request, error)
        if await self._gateway.card_form_token(form_id) is not None:
            # The card was chosen, but the customer never came back from the form.
            return pages.see_other(f"{self._here(request)}/done?{urlencode({'form': form_id})}")
        return pages.see_other(await self._gateway.card_form_url(form_id))

    async def done(self, request: Request) -> Response:
        """Take the form's result and charge the card.

        The payment method and the charge are asked for under request ids that are functions of the form: a reload, or
        a second `done` at the same moment, repeats both and charges nothing twice. Whether the link may be paid at all
        is the workflow's to say.
        """
        try:
            link = await self._find(request)
            given = request.query_params.get("form", "")
            if link.form_id is None and link.status is RepaymentStatus.OPEN:
                return pages.see_other(self._here(request))  # its card was declined: choose another
            if link.form_id is None or not pages.is_same(given, link.form_id):
                raise not_usable(link.why_unusable(self._teiki.now()) or "unknown")
            if link.status is RepaymentStatus.PAID:
                return _notice(request, "thanks")
            return await self._paid(request, link, link.form_id)
        except TeikiError as error:
            return _refused(request, error)

    async def _paid(self, request: Request, link: RepaymentLinkRow, form_id: str) -> Response:
        if link.is_being_paid:
            return _notice(request, "being_paid")
        if (why := link.why_unusable(self._teiki.now())) is not None:
            raise not_usable(why)
        card = await self._gateway.card_form_token(form_id)
        if card is None:
            return pages.see_other(self._here(request))
        name = f"repayment-{hashlib.sha256(form_id.encode()).hexdigest()[:32]}"
        actor = f"customer:{link.customer_id}"
        async with asyncio.timeout(ENGINE_SECONDS_MAX):
            method = await self._teiki.payment_methods.add(
                customer_id=link.customer_id, token=card, request_id=name, actor=actor
            )
            view = await self._teiki.repayments.pay(link.id, method, request_id=name, actor=actor)
        if view.status is RepaymentStatus.PAID:
            return _notice(request, "thanks")
        if view.is_being_paid:
            return _notice(request, "being_paid")
        if view.decline in _NOT_PAYABLE:
            return _notice(request, "not_payable", status=409)
        return pages.see_other(self._here(request))  # declined: the page says so and takes another card

    async def _form_of(self, request: Request, link: RepaymentLinkRow) -> str:
        if link.form_id is not None:
            return link.form_id
        form = await self._gateway.open_card_form(
            reference=link.id, return_url=f"{self._here(request)}/done", amount=link.amount
        )
        # A form that loses this race, or whose link ends just now, is never asked for its result.
        database = await self._teiki.database()
        return await attach_payment_form(database, link.id, form.form_id, self._teiki.now())

    async def _find(self, request: Request) -> RepaymentLinkRow:
        token_hash = hashlib.sha256(request.path_params["token"].encode(errors="replace")).hexdigest()
        row = await find_repayment_link(await self._teiki.database(), token_hash)
        if row is None:
            raise not_usable("unknown")
        return row

    async def _payable(self, request: Request) -> RepaymentLinkRow:
        """The link, when it can be paid, or is being paid."""
        link = await self._find(request)
        why = link.why_unusable(self._teiki.now())
        if why is not None and not link.is_being_paid:
            raise not_usable(why)
        return link

    def _here(self, request: Request) -> str:
        return f"{self._public_url}/repayment/{request.path_params['token']}"


def _waiting(request: Request, link: RepaymentLinkRow) -> Response | None:
    """The page of a link at which there is nothing to press."""
    if link.is_being_paid:
        return _notice(request, "being_paid")
    return None if link.asked_minor else _notice(request, "nothing_owed")


def _page(request: Request, link: RepaymentLinkRow) -> HTMLResponse:
    words = REPAYMENT_WORDS[pages.language(request)]
    parts = [
        f"<p>{escape(words.explained)}</p>",
        f"<dl><dt>{escape(words.product)}</dt><dd>{escape(link.product_name)}</dd>",
        f"<dt>{escape(words.amount)}</dt><dd>{escape(str(link.amount))}</dd>",
        f"<dt>{escape(words.until)}</dt><dd>{link.expires_at:%Y-%m-%d %H:%M} UTC</dd></dl>",
        f"<p>{escape(words.declined)}</p>" if link.declines else "",
        f'<form method="post"><button>{escape(words.go)}</button></form>',
        f'<p class="note">{escape(words.never_seen)}</p>',
    ]
    return pages.page(request, words.title, "\n".join(part for part in parts if part), status=200)


def _notice(request: Request, name: str, *, status: int = 200) -> HTMLResponse:
    said: Notice = getattr(REPAYMENT_WORDS[pages.language(request)], name)
    return pages.page(request, said.title, f"<p>{escape(said.text)}</p>", status=status)


def _refused(request: Request, error: TeikiError) -> Response:
    """A link that cannot be used, as a page; outages go on to where all pages' outages are answered."""
    if error.code is ErrorCode.LINK_NOT_USABLE:
        name, status = _NOTICES.get(str(error.facts.get("why")), ("expired", 410))
        return _notice(request, name, status=status)
    if error.code is ErrorCode.LIVE_ATTEMPT_EXISTS:
        return _notice(request, "being_paid")
    if error.code is ErrorCode.INVALID_STATUS:
        return _notice(request, "expired", status=410)
    if error.code in (ErrorCode.CUSTOMER_BLOCKED, ErrorCode.TOKEN_REFUSED, ErrorCode.CUSTOMER_NOT_FOUND):
        _logger.warning("a repayment was refused", extra={"code": error.code.value})
        return _notice(request, "not_payable", status=409)
    raise error
