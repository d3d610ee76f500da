"""What somebody does at the till, or a store says, in a scenario (spec: interfaces.md §3, orders.md §4)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.errors import ErrorCode, TeikiError
from domain.money import Money

NOTICES: Final[dict[str, str | None]] = {
    "deposit_paid": "confirmed",
    "deposit_preliminary": "preliminary",
    "deposit_preliminary_canceled": "preliminary_canceled",
    "deposit_notice": None,
}
"""What the till is told. A notice that comes late, or once more, is no visit to it."""
_HELD_BY: Final = frozenset({"by", "actor", "comment", "store"})
"""Written by people, and of no consequence: whoever has the slip pays."""


class AtTheTill(BaseModel):
    """One visit, and what becomes of the payment company's notice about it.

    Attributes:
        slip: the number of the slip; None: the latest one.
        times: the same slip so often.
        lost: nobody is told; the slip's workflow finds out by asking.
        amount: what is paid; a till takes what is printed on the slip and nothing else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    do: str
    slip: int | None = Field(default=None, ge=1)
    times: int = Field(default=1, ge=1, le=20)
    lost: bool = False
    amount: Money | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_who(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if name not in _HELD_BY}

    def require_amount(self, price: Money | None) -> None:
        """Refuses another amount than the slip's."""
        if self.amount is not None and self.amount != price:
            raise TeikiError(ErrorCode.INVALID_INPUT, "A till takes the slip's amount and nothing else.")

    def slip_number(self, latest: int) -> int:
        """Which slip of the order it is about."""
        return latest if self.slip is None else self.slip

    async def pay(self, http: aiohttp.ClientSession, gateway_id: str, *, at: datetime) -> None:
        """Go to the till of the sandbox.

        Raises:
            TeikiError: `invalid_status` for a notice that cannot be about the slip any more.
        """
        if NOTICES[self.do] is None:
            return
        body = {"slip": gateway_id, "notice": NOTICES[self.do], "at": at.isoformat()}
        async with http.post("/_shop/pay", json=body) as answer:
            content = await answer.json()
        if answer.status == 409:
            raise TeikiError(ErrorCode.INVALID_STATUS, str(content.get("error", {}).get("message")))
        if answer.status >= 400:
            raise TeikiError(ErrorCode.INVALID_INPUT, f"The till refused: {content}")
