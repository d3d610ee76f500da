"""The gateway's book: charges, refunds and the double-entry ledger behind them.

`merchant_receivable` is what the gateway owes the merchant, `customer_card` where it came from; the lines of
one movement always sum to zero. Every method runs inside the caller's transaction and refuses
before it writes anything.
"""

from __future__ import annotations

import secrets
import sqlite3
from typing import Any, Final

from domain.declines import DeclineCode
from domain.money import Money
from gateways.sandbox.outcomes import Plan
from gateways.sandbox.refusal import Refusal
from gateways.sandbox.schema import now_us, to_iso
from gateways.sandbox.tokens import object_of

PAGE_SIZE: Final = 100
_LOOKUP_MAX: Final = 1_000


class Book:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def charge(
        self,
        *,
        token: str,
        amount: Money,
        reference: str,
        attempt_key: str,
        plan: Plan,
        lag_seconds: float = 0.0,
    ) -> dict[str, Any]:
        """Enter one charge with the fate its plan gives it; look-ups are blind to it for `lag_seconds`."""
        state = "pending" if plan.pending else "declined" if plan.decline else "settled"
        return self._enter(
            kind="charge",
            id=f"ch_{secrets.token_hex(12)}",
            charge_id=None,
            reference=reference,
            object=object_of(reference),
            token=token,
            attempt_key=attempt_key,
            minor=amount.minor,
            currency=amount.currency,
            state=state,
            decline=plan.decline.value if plan.decline and state == "declined" else None,
            decided_on_ask=plan.decided_on_ask,
            decided_decline=plan.decline.value if plan.decline and state == "pending" else None,
            lag_seconds=lag_seconds,
        )

    def refund(self, *, charge_id: str, amount: Money, reference: str, attempt_key: str) -> dict[str, Any]:
        """Give back part or all of a settled charge.

        Raises:
            Refusal: 404 unknown charge; 409 not settled, another currency, or more than what is left.
        """
        charge = self._charge_row(charge_id)
        if charge["state"] != "settled":
            raise Refusal(409, "charge_not_settled", "Only a settled charge can be refunded.")
        if charge["currency"] != amount.currency:
            raise Refusal(409, "currency_mismatch", "A refund is made in the currency of its charge.")
        if charge["refunded_minor"] + amount.minor > charge["minor"]:
            raise Refusal(409, "refund_exceeds_charge", "Less than this is left of the charge.")
        self._db.execute(
            "UPDATE movements SET refunded_minor = refunded_minor + ? WHERE seq = ?",
            (amount.minor, charge["seq"]),
        )
        return self._enter(
            kind="refund",
            id=f"rf_{secrets.token_hex(12)}",
            charge_id=charge_id,
            reference=reference,
            object=object_of(reference),
            token="",
            attempt_key=attempt_key,
            minor=amount.minor,
            currency=amount.currency,
            state="settled",
            decline=None,
            decided_on_ask=None,
            decided_decline=None,
            lag_seconds=0.0,
        )

    def void(self, charge_id: str) -> dict[str, Any]:
        """Give up a pending charge; one that is already decided is answered as it stands.

        Raises:
            Refusal: 404 for an unknown charge.
        """
        charge = self._charge_row(charge_id)
        if charge["state"] == "pending":
            self._db.execute(
                "UPDATE movements SET state = 'voided', decline = ? WHERE seq = ?",
                (DeclineCode.PENDING_EXPIRED.value, charge["seq"]),
            )
            charge = self._charge_row(charge_id)
        return shown(charge)

    def declined_before(self, *, token: str, reference: str, attempt_key: str) -> int:
        """How many attempts of the reference's object this token has declined, this attempt apart."""
        (count,) = self._db.execute(
            "SELECT count(DISTINCT attempt_key) FROM movements"
            " WHERE object = ? AND token = ? AND state = 'declined' AND attempt_key <> ?",
            (object_of(reference), token, attempt_key),
        ).fetchone()
        return int(count)

    def ask(self, gateway_id: str) -> dict[str, Any] | None:
        """One record as it stands. Asking is what decides some pending charges."""
        rows = self._visible("id = ?", (gateway_id,))
        return shown(self._asked(rows[0])) if rows else None

    def lookup(self, reference: str) -> list[dict[str, Any]]:
        """Everything under a reference, oldest first; asks as well."""
        rows = self._visible(f"reference = ? ORDER BY seq LIMIT {_LOOKUP_MAX}", (reference,))
        return [shown(self._asked(row)) for row in rows]

    def page(self, *, after_us: int, after_seq: int) -> tuple[list[dict[str, Any]], tuple[int, int] | None]:
        """Records newer than (instant, seq), oldest first, and where the next page begins. Asks nothing."""
        rows = self._visible(
            f"(created_at_us, seq) > (?, ?) ORDER BY created_at_us, seq LIMIT {PAGE_SIZE + 1}",
            (after_us, after_seq),
        )
        page = rows[:PAGE_SIZE]
        more = len(rows) > PAGE_SIZE
        return [shown(row) for row in page], (page[-1]["created_at_us"], page[-1]["seq"]) if more else None

    def _charge_row(self, charge_id: str) -> sqlite3.Row:
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM movements WHERE id = ? AND kind = 'charge'", (charge_id,)
        ).fetchone()
        if row is None:
            raise Refusal(404, "charge_not_found", "There is no charge of this id.")
        return row

    def _visible(self, condition: str, values: tuple[Any, ...]) -> list[sqlite3.Row]:
        # `condition` is one of the three texts above, never a caller's.
        return self._db.execute(
            f"SELECT * FROM movements WHERE visible_at_us <= ? AND {condition}",  # noqa: S608
            (now_us(), *values),
        ).fetchall()

    def _asked(self, row: sqlite3.Row) -> sqlite3.Row:
        if row["state"] != "pending":
            return row
        decided = row["decided_on_ask"] is not None and row["asks"] + 1 >= row["decided_on_ask"]
        state = "pending" if not decided else "declined" if row["decided_decline"] else "settled"
        (asked,) = self._db.execute(
            "UPDATE movements SET asks = asks + 1, state = ?, decline = ? WHERE seq = ? RETURNING *",
            (state, row["decided_decline"] if state == "declined" else None, row["seq"]),
        ).fetchall()
        if state == "settled":
            self._post(asked["seq"], "charge", asked["minor"], asked["currency"])
        return asked  # type: ignore[no-any-return]  # a row of the connection's row_factory

    def _enter(self, *, lag_seconds: float, **columns: Any) -> dict[str, Any]:
        columns["created_at_us"] = now_us()
        columns["visible_at_us"] = columns["created_at_us"] + int(lag_seconds * 1_000_000)
        names = ", ".join(columns)  # keyword names written in this file
        (row,) = self._db.execute(
            f"INSERT INTO movements ({names}) VALUES ({', '.join('?' * len(columns))}) RETURNING *",  # noqa: S608
            tuple(columns.values()),
        ).fetchall()
        if row["state"] == "settled":
            self._post(row["seq"], row["kind"], row["minor"], row["currency"])
        return shown(row)

    def _post(self, movement: int, kind: str, minor: int, currency: str) -> None:
        signed = minor if kind == "charge" else -minor
        self._db.execute(
            "INSERT INTO ledger (movement, account, minor, currency) VALUES"
            " (?, 'merchant_receivable', ?, ?), (?, 'customer_card', ?, ?)",
            (movement, signed, currency, movement, -signed, currency),
        )


def shown(row: sqlite3.Row) -> dict[str, Any]:
    """A record as the API answers it: no token, no inner counters."""
    return {
        "id": row["id"],
        "kind": row["kind"],
        "charge_id": row["charge_id"],
        "reference": row["reference"],
        "amount": {"minor": row["minor"], "currency": row["currency"]},
        "state": row["state"],
        "decline": row["decline"],
        "refunded_minor": row["refunded_minor"],
        "created_at": to_iso(row["created_at_us"]),
    }
