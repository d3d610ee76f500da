"""Bank remittances: how money that was paid at a till goes back (spec: orders.md §4).

Whole amounts only, slow, able to fail, and never free: each request takes a fee, also one that fails in the end.
Whether there are remittances at all is a switch, because there are payment companies that make none.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from domain.declines import DeclineCode
from domain.money import Money
from gateways.sandbox.outcomes import APPROVED, Plan
from gateways.sandbox.refusal import Refusal, invalid

FEE_MINOR: Final = 250
_FEE_MAX_MINOR: Final = 10_000
KonbiniRefund = Literal["none", "bank_remittance"]

_ACCOUNT: Final = re.compile(r"tok_bank[A-Za-z_]*(:[A-Za-z0-9_.-]{1,100})?")
"""A token names an account. No digits before the colon, so that an account number is none."""
_FATES: Final = {
    "tok_bank_wrong": Plan(decline=DeclineCode.REMITTANCE_FAILED),
    "tok_bank_slow": Plan(pending=True, decided_on_ask=2),
    "tok_bank_slow_wrong": Plan(pending=True, decided_on_ask=2, decline=DeclineCode.REMITTANCE_FAILED),
}
"""What becomes of a remittance to these accounts; to any other, or when the customer is asked, it settles at once."""


@dataclass(slots=True)
class Remittances:
    """The sandbox's terms: `mode` says whether Konbini charges can be refunded, `fee_minor` what a request costs."""

    mode: KonbiniRefund = "bank_remittance"
    fee_minor: int = FEE_MINOR

    def terms_of(self, charge: sqlite3.Row, amount: Money, bank_account: str | None) -> tuple[Plan, int]:
        """What becomes of a refund, and its fee. For a card's charge that is nothing special.

        Raises:
            Refusal: 409 `refund_not_supported` or `partial_refund_not_supported`.
        """
        if charge["slip_id"] is None:
            return APPROVED, 0
        if self.mode == "none":
            raise Refusal(409, "refund_not_supported", "What was paid at a till cannot be refunded here.")
        if amount.minor != charge["minor"]:
            raise Refusal(409, "partial_refund_not_supported", "A bank remittance returns the whole amount.")
        name = (bank_account or "").partition(":")[0]
        return _FATES.get(name, APPROVED), self.fee_minor

    def stored(self) -> dict[str, Any]:
        return {"refund": self.mode, "remittance_fee_minor": self.fee_minor}


def parse_remittances(raw: dict[str, Any], now: Remittances) -> Remittances:
    """The terms as changed by `{refund?, remittance_fee_minor?}`.

    Raises:
        Refusal: 422 `invalid_remittances`.
    """
    wanted = now.stored() | raw
    mode, fee = wanted.pop("refund"), wanted.pop("remittance_fee_minor")
    if (
        wanted
        or mode not in get_args(KonbiniRefund)
        or type(fee) is not int
        or not 0 <= fee <= _FEE_MAX_MINOR
    ):
        raise invalid(
            f"Give `refund` (none or bank_remittance) and `remittance_fee_minor` (0 to {_FEE_MAX_MINOR}).",
            code="invalid_remittances",
        )
    return Remittances(cast(KonbiniRefund, mode), fee)


def read_bank_account(body: dict[str, Any]) -> str | None:
    """The token of a bank account in a refund's body.

    Raises:
        Refusal: 422 for anything that is no such token, an account number above all.
    """
    account = body.get("bank_account")
    if account is not None and (not isinstance(account, str) or not _ACCOUNT.fullmatch(account)):
        # Not repeated: it may be what must not be written down.
        raise invalid("`bank_account` is a token, tok_bank….", code="invalid_bank_account")
    return account
