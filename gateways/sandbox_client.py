"""The adapter for the sandbox: the payment port over HTTP.

What matters here is what each broken answer means. Refused connections and 429 are "surely nothing
happened"; resets, time-outs, 5xx, a key in flight, unreadable bodies and answers about another amount are
"we cannot tell" (spec: charging.md §2.3). Tokens never reach a log or a hint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote

import aiohttp
from pydantic import ValidationError

from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from gateways import standard_webhooks
from gateways.port import (
    Capabilities,
    CardForm,
    ChargeOutcome,
    GatewayCharge,
    GatewayUnavailable,
    Idempotency,
    KonbiniSlip,
    Page,
    Pending,
    TokenDetails,
    Unavailable,
    Unknown,
    WebhookNotice,
)
from gateways.sandbox_answers import accepted, json_object, readable, records, refused, slip_of

CONNECTIONS_MAX: Final = 200
REMITTANCE_FEE: Final = Money(minor=250, currency="JPY")
NAME_CHARACTERS_MAX: Final = 200


class SandboxGateway:
    """A `PaymentGateway`. Its session opens on the running loop at the first call; `close()` it in the end.

    Args:
        base_url: where the sandbox answers.
        timeout: how long one request may take before its outcome counts as unknown.
        inflight_horizon: how long after sending, an unanswered request may still take effect.
        idempotency: what to believe of the sandbox's keys; `STRICT` only where it was started so.
        konbini_refund: what to believe of its remittances; `"none"` where they were switched off.
        remittance_fee: what each of them costs, as the sandbox was told.
        webhook_secrets: any of them may have signed a webhook.

    Raises:
        TeikiError: `settings_invalid` when a secret is none.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: timedelta = timedelta(seconds=30),
        inflight_horizon: timedelta = timedelta(minutes=10),
        idempotency: Idempotency = Idempotency.STRICT,
        konbini_refund: Literal["none", "bank_remittance"] = "bank_remittance",
        remittance_fee: Money = REMITTANCE_FEE,
        webhook_secrets: Sequence[str] = (),
    ) -> None:
        self._webhook_keys = standard_webhooks.keys_of(webhook_secrets)
        self._base_url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout.total_seconds())
        self._session: aiohttp.ClientSession | None = None
        self._capabilities = Capabilities(
            name="sandbox",
            partial_refund=True,
            konbini=True,
            konbini_refund=konbini_refund,
            remittance_fee=None if konbini_refund == "none" else remittance_fee,
            webhook_auth="standard_webhooks",
            idempotency=idempotency,
            idempotency_key_ttl=timedelta(hours=24),
            lookup_by_reference=True,
            inflight_horizon=inflight_horizon,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def charge(
        self,
        *,
        token: str,
        amount: Money,
        reference: str,
        idempotency_key: str,
        installments: int | None = None,
    ) -> ChargeOutcome:
        body = {"token": token, "amount": amount.model_dump(), "reference": reference}
        # Left out where there are none: the same request as before there were installments, under the same key.
        parts = {} if installments is None else {"installments": installments}
        return await self._write("/charges", body | parts, idempotency_key, amount=amount)

    async def refund(
        self,
        *,
        charge_id: str,
        amount: Money,
        reference: str,
        idempotency_key: str,
        bank_account: str | None = None,
    ) -> ChargeOutcome:
        body: dict[str, Any] = {"amount": amount.model_dump(), "reference": reference}
        if bank_account is not None:
            body["bank_account"] = bank_account
        path = f"/charges/{quote(charge_id, safe='')}/refunds"
        return await self._write(path, body, idempotency_key, amount=amount)

    async def void(self, *, charge_id: str, reference: str, idempotency_key: str) -> ChargeOutcome:
        path = f"/charges/{quote(charge_id, safe='')}/void"
        return await self._write(path, {"reference": reference}, idempotency_key, charge_id=charge_id)

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
        body = {
            "store": store,
            "amount": amount.model_dump(),
            "customer_name": customer_name,
            "phone": phone,
            "deadline_at": deadline_at.isoformat(),
            "reference": reference,
        }
        outcome = await self._write("/konbini", body, idempotency_key, amount=amount)
        if isinstance(outcome, Pending) and outcome.slip is None:
            return Unknown(hint="an issued slip whose numbers cannot be read")
        return outcome

    async def void_konbini(self, *, charge_id: str, reference: str, idempotency_key: str) -> ChargeOutcome:
        return await self.void(charge_id=charge_id, reference=reference, idempotency_key=idempotency_key)

    async def konbini_slip(self, gateway_id: str) -> KonbiniSlip | None:
        answer = await self._read(f"/konbini/{quote(gateway_id, safe='')}")
        if answer is None:
            return None
        slip = slip_of(answer)
        if slip is None:
            raise GatewayUnavailable("The gateway's slip cannot be read.")
        return slip

    async def lookup(self, reference: str) -> list[GatewayCharge]:
        answer = await self._read("/charges", {"reference": reference})
        return records(answer)

    async def get(self, gateway_id: str) -> GatewayCharge | None:
        answer = await self._read(f"/charges/{quote(gateway_id, safe='')}")
        return None if answer is None else readable(answer)

    async def chargeback_of(self, charge_id: str) -> GatewayCharge | None:
        answer = await self._read(f"/charges/{quote(charge_id, safe='')}/chargeback")
        return None if answer is None else readable(answer)

    async def list(self, *, since: datetime, cursor: str | None = None) -> Page:
        query = {"since": since.isoformat()} | ({} if cursor is None else {"cursor": cursor})
        answer = await self._read("/charges", query)
        return Page(items=records(answer), next_cursor=(answer or {}).get("next_cursor"))

    async def token_details(self, token: str) -> TokenDetails | None:
        answer = await self._read(f"/tokens/{quote(token, safe='')}")
        if answer is None:
            return None
        try:
            return TokenDetails.model_validate(answer)
        except ValidationError:
            # `from None`: a validation error quotes its input, and a token must not reach a log.
            raise GatewayUnavailable("The gateway's answer about a token cannot be read.") from None

    async def open_card_form(
        self, *, reference: str, return_url: str, amount: Money | None = None
    ) -> CardForm:
        body: dict[str, Any] = {"reference": reference, "return_url": return_url}
        if amount is not None:
            body["amount"] = amount.model_dump()
        answer = await self._ask("POST", "/card-forms", body)
        try:
            return CardForm.model_validate(answer)
        except ValidationError:
            raise GatewayUnavailable("The gateway's card form cannot be opened.") from None

    async def card_form_url(self, form_id: str) -> str:
        return f"{self._base_url}/card-forms/{quote(form_id, safe='')}"

    async def card_form_token(self, form_id: str) -> str | None:
        answer = await self._read(f"/card-forms/{quote(form_id, safe='')}/result")
        token = (answer or {}).get("token")
        return None if token is None else str(token)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> WebhookNotice:
        if not self._webhook_keys:
            raise TeikiError(
                ErrorCode.SETTINGS_INVALID, "No webhook secret is set, so no webhook is believed."
            )
        event_id = standard_webhooks.verified_id(headers, body, self._webhook_keys, now=now)
        told = json_object(body) or {}
        data = told.get("data")
        record = data if isinstance(data, dict) else {}
        return WebhookNotice(
            event_id=event_id,
            kind=_name(told.get("type")),
            gateway_id=_name(record.get("id")),
            reference=_name(record.get("reference")),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
            )
        return self._session

    async def _write(
        self,
        path: str,
        body: dict[str, Any],
        idempotency_key: str,
        *,
        amount: Money | None = None,
        charge_id: str | None = None,
    ) -> ChargeOutcome:
        try:
            async with self._open().post(
                self._base_url + path,
                data=json.dumps(body).encode(),
                headers={"Idempotency-Key": idempotency_key, "Content-Type": "application/json"},
                allow_redirects=False,  # a followed redirect would turn this POST into a harmless-looking GET
            ) as response:
                raw = await response.read()
        except aiohttp.ClientConnectorError:
            return Unavailable(hint="no connection")
        except TimeoutError:
            return Unknown(hint="timeout", outage=True)
        except aiohttp.ClientError as error:
            return Unknown(hint=f"connection broken ({type(error).__name__})", outage=True)
        if response.status != 200:
            return refused(response.status, response.headers.get("Retry-After"), raw)
        check_failed = response.headers.get("Idempotency-Status") == "error"
        expected = (body["reference"] if charge_id is None else None, amount, charge_id)
        return accepted(raw, expected, check_failed=check_failed)

    async def _read(self, path: str, query: dict[str, str] | None = None) -> dict[str, Any] | None:
        return await self._ask("GET", path, query=query)

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, query: dict[str, str] | None = None
    ) -> dict[str, Any] | None:
        """A request that moves no money. None for 404."""
        try:
            async with self._open().request(
                method, self._base_url + path, json=body, params=query
            ) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            # `from None`: some of these errors carry the address, and an address may carry a token.
            raise GatewayUnavailable(f"The gateway did not answer ({type(error).__name__}).") from None
        if response.status == 404:
            return None
        if not response.ok:
            raise GatewayUnavailable(f"The gateway answered {response.status}.")
        answer = json_object(raw)
        if answer is None:
            raise GatewayUnavailable("The gateway's answer cannot be read.")
        return answer


def _name(value: Any) -> str:
    """A name that can be stored and shown; empty for anything else."""
    fits = isinstance(value, str) and len(value) <= NAME_CHARACTERS_MAX and value.isprintable()
    return str(value) if fits else ""
