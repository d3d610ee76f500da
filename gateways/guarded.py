"""The port behind a circuit: while it is open, nothing is called and the answer is "surely nothing happened".

`Unavailable` uses up no attempt (the workflow's own timer sends again), and reads raise `GatewayUnavailable` as they do
when the gateway itself does not answer, so nobody above has to know that there is a circuit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TypeVar

from domain.money import Money
from gateways.circuit import Circuit, CircuitOpenError
from gateways.port import (
    Capabilities,
    CardForm,
    ChargeOutcome,
    GatewayCharge,
    GatewayUnavailable,
    KonbiniSlip,
    Page,
    PaymentGateway,
    TokenDetails,
    Unavailable,
    Unknown,
    WebhookNotice,
)

T = TypeVar("T")


class GuardedGateway:
    """A `PaymentGateway` that calls `gateway` only while `circuit` lets it."""

    def __init__(self, gateway: PaymentGateway, circuit: Circuit) -> None:
        self._gateway = gateway
        self._circuit = circuit

    @property
    def capabilities(self) -> Capabilities:
        return self._gateway.capabilities

    async def charge(
        self,
        *,
        token: str,
        amount: Money,
        reference: str,
        idempotency_key: str,
        installments: int | None = None,
    ) -> ChargeOutcome:
        return await self._write(
            lambda: self._gateway.charge(
                token=token,
                amount=amount,
                reference=reference,
                idempotency_key=idempotency_key,
                installments=installments,
            )
        )

    async def refund(
        self,
        *,
        charge_id: str,
        amount: Money,
        reference: str,
        idempotency_key: str,
        bank_account: str | None = None,
    ) -> ChargeOutcome:
        return await self._write(
            lambda: self._gateway.refund(
                charge_id=charge_id,
                amount=amount,
                reference=reference,
                idempotency_key=idempotency_key,
                bank_account=bank_account,
            )
        )

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
        return await self._write(
            lambda: self._gateway.create_konbini(
                store=store,
                amount=amount,
                customer_name=customer_name,
                phone=phone,
                deadline_at=deadline_at,
                reference=reference,
                idempotency_key=idempotency_key,
            )
        )

    async def void_konbini(self, *, charge_id: str, reference: str, idempotency_key: str) -> ChargeOutcome:
        return await self._write(
            lambda: self._gateway.void_konbini(
                charge_id=charge_id, reference=reference, idempotency_key=idempotency_key
            )
        )

    async def konbini_slip(self, gateway_id: str) -> KonbiniSlip | None:
        return await self._read(lambda: self._gateway.konbini_slip(gateway_id))

    async def void(self, *, charge_id: str, reference: str, idempotency_key: str) -> ChargeOutcome:
        return await self._write(
            lambda: self._gateway.void(
                charge_id=charge_id, reference=reference, idempotency_key=idempotency_key
            )
        )

    async def lookup(self, reference: str) -> list[GatewayCharge]:
        return await self._read(lambda: self._gateway.lookup(reference))

    async def get(self, gateway_id: str) -> GatewayCharge | None:
        return await self._read(lambda: self._gateway.get(gateway_id))

    async def chargeback_of(self, charge_id: str) -> GatewayCharge | None:
        return await self._read(lambda: self._gateway.chargeback_of(charge_id))

    async def list(self, *, since: datetime, cursor: str | None = None) -> Page:
        return await self._read(lambda: self._gateway.list(since=since, cursor=cursor))

    async def token_details(self, token: str) -> TokenDetails | None:
        return await self._read(lambda: self._gateway.token_details(token))

    async def open_card_form(
        self, *, reference: str, return_url: str, amount: Money | None = None
    ) -> CardForm:
        return await self._read(
            lambda: self._gateway.open_card_form(reference=reference, return_url=return_url, amount=amount)
        )

    async def card_form_url(self, form_id: str) -> str:
        return await self._gateway.card_form_url(form_id)  # a name, no call

    async def card_form_token(self, form_id: str) -> str | None:
        return await self._read(lambda: self._gateway.card_form_token(form_id))

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> WebhookNotice:
        return self._gateway.parse_webhook(headers, body, now=now)  # reads what came, calls nobody

    async def close(self) -> None:
        await self._gateway.close()

    async def _write(self, send: Callable[[], Awaitable[ChargeOutcome]]) -> ChargeOutcome:
        try:
            async with self._circuit.call() as call:
                outcome = await send()
                match outcome:
                    case Unavailable(hint=hint) | Unknown(hint=hint, outage=True):
                        call.failure = hint
                    case Unknown():
                        pass  # somebody answers there, but what it says is no proof that it works
                    case _:
                        call.answered = True
        except CircuitOpenError as refused:
            return Unavailable(hint=str(refused), retry_after=refused.retry_after)
        return outcome

    async def _read(self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            async with self._circuit.call() as call:
                try:
                    answer = await ask()
                except GatewayUnavailable as error:
                    call.failure = str(error)
                    raise
                call.answered = True
        except CircuitOpenError as refused:
            raise GatewayUnavailable(f"The gateway is left alone for now ({refused}).") from None
        return answer
