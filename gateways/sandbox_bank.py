"""The sandbox's other side of a card, for tests, simulations and demonstrations: a bank charges a payment back.

No merchant has this. It plays the customer who disputes a payment, and the bank that takes the money back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import aiohttp

from domain.errors import ErrorCode, TeikiError

TIMEOUT: Final = timedelta(seconds=30)


async def charge_back(base_url: str, charge_id: str, *, lag_seconds: float = 0.0) -> dict[str, Any]:
    """Take back what is left of a settled charge; once, and repeated it answers the same.

    Args:
        base_url: where the sandbox answers.
        charge_id: the gateway's id of the charge (`ch_…`).
        lag_seconds: for how long the merchant's look-ups do not see it.

    Returns:
        the chargeback as the sandbox shows it.

    Raises:
        TeikiError: `payment_not_found` for an unknown charge; `invalid_status` when nothing of it can be charged back
            (not settled, all returned, paid at a till); `gateway_unavailable`.
    """
    body = {"charge": charge_id, "lag_seconds": lag_seconds}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT.total_seconds())) as http,
            http.post(base_url.rstrip("/") + "/_shop/chargeback", json=body) as response,
        ):
            answer: dict[str, Any] = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise TeikiError(
            ErrorCode.GATEWAY_UNAVAILABLE, f"The sandbox did not answer ({type(error).__name__})."
        ) from error
    if response.ok:
        return answer
    message = str(answer.get("error", {}).get("message", "The sandbox refused."))
    match response.status:
        case 404:
            raise TeikiError(ErrorCode.PAYMENT_NOT_FOUND, message, gateway_id=charge_id)
        case 409:
            raise TeikiError(ErrorCode.INVALID_STATUS, message, gateway_id=charge_id)
        case status:
            raise TeikiError(ErrorCode.GATEWAY_UNAVAILABLE, f"The sandbox answered {status}.")
