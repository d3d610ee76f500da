"""The sandbox's till, for tests, simulations and demonstrations: somebody pays a Konbini slip.

No merchant has this. It plays the customer, and the store that tells the payment company about it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import aiohttp

from domain.errors import ErrorCode, TeikiError

TIMEOUT: Final = timedelta(seconds=30)


async def pay(base_url: str, slip: str, *, notice: str = "confirmed") -> dict[str, Any]:
    """Pay a slip, or give one of the store's other notices about it.

    Args:
        base_url: where the sandbox answers.
        slip: its gateway id (`kb_…`) or its payment number.
        notice: `confirmed` (the money is there), `preliminary` (速報) or `preliminary_canceled` (速報取消).

    Returns:
        the charge in which the money stands, as the sandbox shows it: the slip's own, or a second one (`ch_…`) when the
        slip had been paid or voided before.

    Raises:
        TeikiError: `deposit_not_found` for an unknown slip, `invalid_status` for a notice that cannot be about it
            (nothing preliminary to cancel, say), `invalid_input` for an unknown notice, `gateway_unavailable`.
    """
    body = {"slip": slip, "notice": notice}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT.total_seconds())) as http,
            http.post(base_url.rstrip("/") + "/_shop/pay", json=body) as response,
        ):
            answer: dict[str, Any] = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise TeikiError(
            ErrorCode.GATEWAY_UNAVAILABLE, f"The till did not answer ({type(error).__name__})."
        ) from error
    if response.ok:
        return answer
    message = str(answer.get("error", {}).get("message", "The till refused."))
    match response.status:
        case 404:
            raise TeikiError(ErrorCode.DEPOSIT_NOT_FOUND, message, slip=slip)
        case 409:
            raise TeikiError(ErrorCode.INVALID_STATUS, message, slip=slip, notice=notice)
        case 422:
            raise TeikiError(ErrorCode.INVALID_INPUT, message, notice=notice)
        case status:
            raise TeikiError(ErrorCode.GATEWAY_UNAVAILABLE, f"The till answered {status}.")
