"""A sandbox's remote control: what a test, a simulation or an auditor may ask and a merchant may not."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp


class SandboxRemote:
    """Use as `async with SandboxRemote(base_url) as remote`.

    Every method raises `ValueError` with the sandbox's own words when it refuses.
    """

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def token(self, behaviour: str, *, fault: str | None = None) -> str:
        """A new card that behaves like `tok_<behaviour>`; `fault` strikes every request that uses it."""
        made = await self._call("POST", "/tokens", {"behaviour": behaviour, "fault": fault})
        return str(made["token"])

    async def script(self, items: Sequence[Any], *, script_id: str | None = None) -> str:
        """A new card whose attempts meet these outcomes in order, then are approved (`outcomes.py`).

        Cards of one `script_id` share the queue.
        """
        body: dict[str, Any] = {"script": list(items)}
        if script_id is not None:
            body["script_id"] = script_id
        return str((await self._call("POST", "/tokens", body))["token"])

    async def faults(self, *rules: dict[str, Any], seed: int = 0) -> None:
        """Replace the global fault plan; without rules, no faults."""
        await self._call("PUT", "/_control/faults", {"seed": seed, "rules": list(rules)})

    async def fired(self) -> dict[str, Any]:
        """`{"total", "counts": {fault: n}, "fired": [rows], "seed", "rules"}`."""
        return await self._call("GET", "/_control/faults")

    async def idempotency(self, mode: str, *, key_ttl_seconds: float | None = None) -> None:
        """Switch to `strict`, `best_effort:<probability>` or `off`."""
        body: dict[str, Any] = {"mode": mode}
        if key_ttl_seconds is not None:
            body["key_ttl_seconds"] = key_ttl_seconds
        await self._call("PUT", "/_control/idempotency", body)

    async def remittances(self, refund: str = "bank_remittance", *, fee_minor: int = 250) -> None:
        """Whether Konbini charges can be refunded (`bank_remittance` or `none`) and what each request costs, in yen."""
        await self._call(
            "PUT", "/_control/remittances", {"refund": refund, "remittance_fee_minor": fee_minor}
        )

    async def ledger(self) -> dict[str, Any]:
        """The whole book for an auditor (`audit.audit` says what is in it)."""
        return await self._call("GET", "/_audit/ledger")

    async def requests(self, reference: str) -> list[dict[str, Any]]:
        """Every request that wanted to change something under this reference, in order of arrival."""
        answer = await self._call("GET", "/_audit/requests", query={"reference": reference})
        return list(answer["requests"])

    async def all_requests(self) -> list[dict[str, Any]]:
        """Every request that ever wanted to change something, in order of arrival."""
        found: list[dict[str, Any]] = []
        after: str | None = "0"
        while after is not None:
            answer = await self._call("GET", "/_audit/requests", query={"after": after})
            found += answer["requests"]
            after = answer["next_cursor"]
        return found

    async def webhooks(self, url: str | None, secret: str = "", **more: Any) -> None:
        """Send events to `url`, signed with `secret` (`webhooks.Receiver` says what else); None: to nobody."""
        body = {"url": None} if url is None else {"url": url, "secret": secret, **more}
        await self._call("PUT", "/_control/webhooks", body)

    async def webhooks_sent(self) -> dict[str, int]:
        """How many deliveries are `waiting`, `delivered`, `lost` or `given_up`."""
        return dict((await self._call("GET", "/_control/webhooks"))["deliveries"])

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, query: dict[str, str] | None = None
    ) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        async with self._session.request(method, self._base_url + path, json=body, params=query) as response:
            answer: dict[str, Any] = await response.json()
        if not response.ok:
            raise ValueError(f"{answer['error']['code']}: {answer['error']['message']}")
        return answer
