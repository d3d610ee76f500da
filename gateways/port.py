"""The payment port: what the product needs from any payment company (spec: charging.md §1).

Two habits make an adapter safe. Every call that changes something is keyword-only and carries our
`reference` (stored by the gateway, findable later) and an `idempotency_key`. And an ambiguous answer
(timeout, reset, 5xx, 409 in flight, unreadable body) is a *value*, `Unknown`: an exception would let
some retry machinery treat "don't know" as "failed".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.declines import DeclineCode
from domain.money import Money


class Idempotency(StrEnum):
    STRICT = "strict"
    BEST_EFFORT = "best_effort"


class Capabilities(BaseModel):
    """What a gateway can do and how far its word can be trusted."""

    model_config = ConfigDict(frozen=True)

    name: str
    partial_refund: bool
    konbini: bool
    konbini_refund: Literal["none", "bank_remittance"]
    idempotency: Idempotency
    idempotency_key_ttl: timedelta
    """How long the gateway remembers a key. After it, the same key is a new request."""
    lookup_by_reference: bool
    inflight_horizon: timedelta
    """How long after sending, a request whose answer we missed may still take effect."""
    amount_min_minor: int = 1
    amount_max_minor: int = 99_999_999
    konbini_amount_min_minor: int = 120
    konbini_amount_max_minor: int = 300_000
    remittance_fee: Money | None = None
    """What the gateway takes for each bank remittance it is asked for, also for one that fails."""
    webhook_auth: Literal["none", "standard_webhooks"] = "none"


class KonbiniSlip(BaseModel):
    """What a customer takes to the till (spec: orders.md §4). `confirmation_number` is empty where a store has none;
    `paid_at`: when it was paid, by the store's clock.
    """

    model_config = ConfigDict(frozen=True)

    gateway_id: str
    store: str
    payment_number: str
    confirmation_number: str = ""
    deadline_at: AwareDatetime
    amount: Money
    paid_at: AwareDatetime | None = None


class _Outcome(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Answered(_Outcome):
    """The gateway took the request. `idempotency_check_failed`: it said that it could not check the key, so an earlier
    request may have done something, too.
    """

    idempotency_check_failed: bool = False


class Settled(_Answered):
    """Money moved."""

    kind: Literal["settled"] = "settled"
    gateway_id: str
    amount: Money
    fee_minor: int = 0
    """Of a remittance: what the gateway took for the request."""


class Declined(_Answered):
    """A definite no. `gateway_code` is the gateway's own word, kept for explaining."""

    kind: Literal["declined"] = "declined"
    gateway_id: str | None = None
    code: DeclineCode
    gateway_code: str = ""
    fee_minor: int = 0


class Pending(_Answered):
    """Accepted, not decided (3-D Secure, slow issuer, unpaid slip): ask again with `get(gateway_id)`.

    `preliminary`: the store says that it was paid; the money is not there yet, and the store may take it back.
    """

    kind: Literal["pending"] = "pending"
    gateway_id: str
    preliminary: bool = False
    slip: KonbiniSlip | None = None
    """Only in the answer to `create_konbini`; later ask `konbini_slip`."""


class Unknown(_Outcome):
    """We cannot tell whether anything happened. `hint` says what was seen; it decides nothing.

    `outage`: it looks as if the gateway were down (timeout, broken connection, 5xx). For the circuit only.
    """

    kind: Literal["unknown"] = "unknown"
    hint: str
    outage: bool = False


class Unavailable(_Outcome):
    """Surely nothing happened: the gateway refused to take the request (429, connection refused).

    Safe to send again later under the same key; uses up no attempt.
    """

    kind: Literal["unavailable"] = "unavailable"
    hint: str
    retry_after: timedelta | None = None


ChargeOutcome = Settled | Declined | Pending | Unknown | Unavailable


class GatewayCharge(BaseModel):
    """A charge, a refund or a chargeback as the gateway's own book shows it."""

    model_config = ConfigDict(frozen=True)

    gateway_id: str
    kind: Literal["charge", "refund", "chargeback"]
    reference: str
    """Ours; a chargeback, which nobody asked for, is named by the gateway after its charge's: `<reference>/chargeback`.
    """
    amount: Money
    state: Literal["settled", "declined", "pending", "voided"]
    decline: DeclineCode | None = None
    refunded_minor: int = 0
    created_at: datetime
    deposit: Literal["unpaid", "preliminary"] | None = None
    """Of a pending Konbini charge only: the slip is unpaid, or a preliminary notice (速報) has come."""
    installments: int | None = None
    """Of a card charge: in how many parts the customer pays it; None: at once."""
    fee_minor: int = 0
    """Of a refund: what the gateway takes for the bank remittance, in the charge's currency."""
    charge_id: str | None = None
    """Of a refund or a chargeback: the charge it takes back."""

    def outcome(self) -> Settled | Declined | Pending:
        """This record as the answer to the call that made it."""
        if self.state == "settled":
            return Settled(gateway_id=self.gateway_id, amount=self.amount, fee_minor=self.fee_minor)
        if self.state == "pending":
            return Pending(gateway_id=self.gateway_id, preliminary=self.deposit == "preliminary")
        code = self.decline or DeclineCode.CARD_DECLINED
        return Declined(
            gateway_id=self.gateway_id, code=code, gateway_code=code.value, fee_minor=self.fee_minor
        )


class TokenDetails(BaseModel):
    """What may be shown of a payment method: never a card number."""

    model_config = ConfigDict(frozen=True)

    token: str
    kind: Literal["card", "konbini", "bank_transfer", "sepa_debit"]
    brand: str = ""
    last_four: str = Field(default="", pattern=r"^(\d{4})?$")
    expires_month: int | None = None
    expires_year: int | None = None


class CardForm(BaseModel):
    """The gateway's page that takes a card, for later or for one payment.

    Its result is asked for by `form_id`, never read from a URL.
    """

    model_config = ConfigDict(frozen=True)

    form_id: str
    url: str


class WebhookNotice(BaseModel):
    """What a webhook names. A hint: what it says about money is not read, the object is asked for instead.

    Attributes:
        event_id: the gateway's name for this event; empty where it gives none.
        kind: the gateway's own word, `charge.settled` for example.
        gateway_id: of the object it is about, there.
        reference: ours, which the gateway stores with it.
    """

    model_config = ConfigDict(frozen=True)

    event_id: str
    kind: str = ""
    gateway_id: str = ""
    reference: str = ""


class Page(BaseModel):
    items: list[GatewayCharge]
    next_cursor: str | None = None


class GatewayUnavailable(Exception):  # noqa: N818 - it mirrors `Unavailable`, the value
    """A read could not be answered now. Reads have no ambiguity: try again later."""


class PaymentGateway(Protocol):
    """Writes return a `ChargeOutcome` and never raise for the network; reads raise `GatewayUnavailable`."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def charge(
        self,
        *,
        token: str,
        amount: Money,
        reference: str,
        idempotency_key: str,
        installments: int | None = None,
    ) -> ChargeOutcome:
        """Charge a card; `installments`: the customer pays its issuer in so many parts, 2 to 60. The merchant is paid
        at once all the same.
        """
        ...

    async def refund(
        self,
        *,
        charge_id: str,
        amount: Money,
        reference: str,
        idempotency_key: str,
        bank_account: str | None = None,
    ) -> ChargeOutcome:
        """Give money back. A Konbini charge goes back whole, as a bank remittance (`capabilities.konbini_refund`).

        `bank_account` is the gateway's token for the customer's account, never an account number; None: the gateway
        asks the customer itself. Cards need none.
        """
        ...

    async def create_konbini(
        self,
        *,
        store: str,
        amount: Money,
        customer_name: str,
        phone: str,
        deadline_at: datetime,
        reference: str,
        idempotency_key: str,
    ) -> ChargeOutcome:
        """Issue a slip, which is a charge that waits for its payment at a till.

        `Pending` with the slip: issued. `Declined`: refused (amount outside the limits, not yen, unknown store).
        """
        ...

    async def void_konbini(self, *, charge_id: str, reference: str, idempotency_key: str) -> ChargeOutcome:
        """Give up a slip, also one with a preliminary notice. `Declined` (`pending_expired`): this charge will never
        settle; `Settled`: too late, it was paid. A payment that reaches the till all the same is another charge under
        the slip's reference.
        """
        ...

    async def konbini_slip(self, gateway_id: str) -> KonbiniSlip | None:
        """The numbers of a slip issued earlier, whatever became of it; None: there is no such slip."""
        ...

    async def void(self, *, charge_id: str, reference: str, idempotency_key: str) -> ChargeOutcome:
        """Give up a pending charge. `Declined`: it will never settle; `Settled`: too late, it has."""
        ...

    async def lookup(self, reference: str) -> list[GatewayCharge]:
        """Everything the gateway holds under our reference, oldest first; several means trouble."""
        ...

    async def get(self, gateway_id: str) -> GatewayCharge | None: ...

    async def chargeback_of(self, charge_id: str) -> GatewayCharge | None:
        """The chargeback of a charge; None: the book shows none (yet). A charge is charged back once, and only what had
        not been returned.
        """
        ...

    async def list(self, *, since: datetime, cursor: str | None = None) -> Page:
        """Every charge, refund and chargeback that appeared in the gateway's book from `since` on, oldest appearance
        first.

        A record appears when it is made, or later where look-ups lag. Each page shows records as they stand now;
        `next_cursor` continues after its last one and None means: nothing more for the moment. Records that appear
        while somebody pages come behind the cursor, so nobody misses them. To list again later, begin at the
        instant at which the last listing *began*: a record that lags may have a `created_at` before it. Records that
        merely change (a pending charge settles) do not appear again.
        """
        ...

    async def token_details(self, token: str) -> TokenDetails | None: ...

    async def open_card_form(
        self, *, reference: str, return_url: str, amount: Money | None = None
    ) -> CardForm:
        """A new hosted card form; it sends the customer back to `return_url?form=<id>`. With an `amount` it says that
        this is paid; the payment itself is a `charge` of ours with the token that the form made.
        """
        ...

    async def card_form_url(self, form_id: str) -> str:
        """Where a form opened earlier is shown: a customer who left it half-way finds it again."""
        ...

    async def card_form_token(self, form_id: str) -> str | None:
        """The token a completed hosted form made; None while it is not completed."""
        ...

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> WebhookNotice:
        """Verify that the gateway sent this, within the replay window around `now`, and read its names.

        Raises:
            TeikiError: `webhook_refused` (`why`: `headers`, `signature`, `too_old`, `too_new`), or `settings_invalid`
                when no secret is known, without which nothing is believed.
        """
        ...

    async def close(self) -> None: ...
