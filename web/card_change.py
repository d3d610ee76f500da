"""The page behind a card change link (spec: subscriptions.md §7).

    GET  /card-change/{token}             what will happen, and a button; looking never consumes
    POST /card-change/{token}             to the payment company's form: the link's own, opened once
    GET  /card-change/{token}/done?form=  back from there; the result is asked for, not believed

The link is consumed when the finished form's result is taken, not when the form is opened: a customer who closes the
form half-way comes back through the same link to the same form. No card number ever passes here.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from db.card_links import CardLinkRow, attach_card_form, find_card_link, use_card_link
from db.reads.requests import find_request
from db.reads.subscription import SubscriptionDetail
from db.requests import operation_scope
from domain.errors import ErrorCode, TeikiError
from domain.operations import CARD_CHANGE_ALLOWED
from domain.subscription import Status
from gateways.port import PaymentGateway
from starter import Subscription, SubscriptionView, Teiki
from web import pages

ENGINE_SECONDS_MAX: Final = 25.0
"""How long a customer waits for the engine before being asked to reload; what was accepted still happens."""


class _Link(NamedTuple):
    """A link and what names it: never the token, which exists in the customer's URL only."""

    hash: str
    row: CardLinkRow

    @property
    def request_id(self) -> str:
        """One link, one change: whoever repeats it, whenever, repeats this request."""
        return f"card-link-{self.hash[:32]}"


class CardChange:
    """The three routes.

    Args:
        teiki: changes the card.
        gateway: opens the form and says what came of it.
        public_url: what customers' browsers call us.
    """

    def __init__(self, teiki: Teiki, gateway: PaymentGateway, *, public_url: str) -> None:
        self._teiki = teiki
        self._gateway = gateway
        self._public_url = public_url.rstrip("/")

    def router(self) -> APIRouter:
        routes = APIRouter()
        routes.add_api_route("/card-change/{token}", self.show, methods=["GET", "HEAD"])
        routes.add_api_route("/card-change/{token}", self.begin, methods=["POST"])
        # A HEAD would come from a scanner, and this route does something: there is none.
        routes.add_api_route("/card-change/{token}/done", self.done, methods=["GET"])
        return routes

    async def show(self, request: Request) -> Response:
        """What will happen. Changes nothing, however often it is asked."""
        link = await self._usable(request)
        detail = await self._subscription(link).show()
        _require_changeable(detail)
        return pages.card_change(request, detail)

    async def begin(self, request: Request) -> Response:
        """Send the customer to the link's form; of two at once both get the same one."""
        link = await self._usable(request)
        here, form_id = self._here(request), link.row.form_id
        if form_id is None:
            # Spares the customer a form that would be for nothing; the workflow decides in the end.
            _require_changeable(await self._subscription(link).show())
            form = await self._gateway.open_card_form(
                reference=link.row.subscription_id, return_url=f"{here}/done"
            )
            database = await self._teiki.database()
            # A form that loses this race, or whose link ends just now, is never asked for its result.
            form_id = await attach_card_form(database, link.hash, form.form_id, self._teiki.now())
        if await self._gateway.card_form_token(form_id) is not None:
            # The card was chosen, but the customer never came back from the form.
            return pages.see_other(f"{here}/done?{urlencode({'form': form_id})}")
        return pages.see_other(await self._gateway.card_form_url(form_id))

    async def done(self, request: Request) -> Response:
        """Take the form's result and change the card.

        The order makes a crash between any two steps harmless:

        1. The gateway is asked first: without a result nothing is consumed.
        2. The link is consumed, atomically. From here on it opens nothing new, and a link that was voided or ran out
           meanwhile has written nothing.
        3. The payment method is stored, and 4. the card changed, under request ids that are functions of the link. A
           reload (or a second `done` at the same moment) repeats both and changes nothing twice; after a crash the
           reload, or the link itself (`_usable`), finishes what a consumed link began.
        """
        link = await self._find(request)
        if link.row.form_id is None or not pages.is_same(
            request.query_params.get("form", ""), link.row.form_id
        ):
            raise _not_usable("form")
        why = link.row.why_unusable(self._teiki.now())
        if why == "used" and await self._is_finished(link):
            return pages.notice(request, "thanks")
        if why is not None and not (why == "used" and self._may_be_finished(link.row)):
            raise _not_usable(why)
        card = await self._gateway.card_form_token(link.row.form_id)
        if card is None:
            return pages.see_other(self._here(request))
        detail = await self._subscription(link).show()
        _require_not_blocked(detail)  # also where a crash left a consumed link to be finished
        if why is None:
            _require_changeable(detail)  # before the link is consumed for nothing
            await self._consume(link)
        view = await self._change(link, card, detail.customer.id)
        trying = view.status in (Status.UNPAID, Status.UNCONFIRMED)
        return pages.notice(request, "thanks_trying" if trying else "thanks")

    def _here(self, request: Request) -> str:
        return f"{self._public_url}/card-change/{request.path_params['token']}"

    # ------------------------------------------------------------------ the link

    async def _find(self, request: Request) -> _Link:
        token_hash = hashlib.sha256(request.path_params["token"].encode(errors="replace")).hexdigest()
        row = await find_card_link(await self._teiki.database(), token_hash)
        if row is None:
            raise _not_usable("unknown")
        return _Link(token_hash, row)

    async def _usable(self, request: Request) -> _Link:
        """The link, when it may still be used, or was used and a crash kept it from finishing."""
        link = await self._find(request)
        why = link.row.why_unusable(self._teiki.now())
        if why is None or (
            why == "used" and self._may_be_finished(link.row) and not await self._is_finished(link)
        ):
            return link
        raise _not_usable(why)

    async def _consume(self, link: _Link) -> None:
        try:
            await use_card_link(await self._teiki.database(), link.hash, self._teiki.now())
        except TeikiError as error:
            # Somebody else took the same form's result in this moment: both may go on to the same, repeatable end.
            if error.facts.get("why") != "used":
                raise

    def _may_be_finished(self, row: CardLinkRow) -> bool:
        """Whether a used link may still end what it began: not after its life, nor after a newer link was made."""
        return row.revoked_at is None and self._teiki.now() < row.expires_at

    async def _is_finished(self, link: _Link) -> bool:
        scope = operation_scope(link.row.subscription_id)
        return await find_request(await self._teiki.database(), scope, link.request_id) is not None

    # ------------------------------------------------------------------ the subscription

    def _subscription(self, link: _Link) -> Subscription:
        return self._teiki.subscriptions.get(link.row.subscription_id)

    async def _change(self, link: _Link, card: str, customer_id: str) -> SubscriptionView:
        """Store the card and use it: exactly once for a link, however often it is asked."""
        actor = f"customer:{customer_id}"
        async with asyncio.timeout(ENGINE_SECONDS_MAX):
            payment_method_id = await self._teiki.payment_methods.add(
                customer_id=customer_id, token=card, request_id=link.request_id, actor=actor
            )
            return await self._subscription(link).change_card(
                payment_method_id, request_id=link.request_id, actor=actor
            )


def _require_not_blocked(detail: SubscriptionDetail) -> None:
    if detail.customer.blocked_at is not None:
        raise TeikiError(ErrorCode.CUSTOMER_BLOCKED, "This customer is blocked.")


def _require_changeable(detail: SubscriptionDetail) -> None:
    _require_not_blocked(detail)
    if detail.status not in CARD_CHANGE_ALLOWED:
        raise TeikiError(
            ErrorCode.INVALID_STATUS, "This subscription takes no other card.", status=detail.status.value
        )


def _not_usable(why: str) -> TeikiError:
    return TeikiError(ErrorCode.LINK_NOT_USABLE, "This link cannot be used (any more).", why=why)
