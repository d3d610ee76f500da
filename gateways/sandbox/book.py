"""The gateway's book: charges, refunds and the double-entry ledger behind them.

A record is shown from the instant at which look-ups can see it (`visible_at_us`), and the list is in that order: a
lagging record joins at its end, so that a pager that has passed its instant of creation still meets it.
`merchant_receivable` is what the gateway owes the merchant, `customer_card` where it came from; the lines of
one movement always sum to zero. Every method runs inside the caller's transaction and refuses before it writes
anything. What changed is collected for those who tell of it (`take_changes`).
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from domain.declines import DeclineCode
from domain.money import Money
from gateways.sandbox.outcomes import Plan
from gateways.sandbox.refusal import Refusal
from gateways.sandbox.schema import now_us, to_iso
from gateways.sandbox.tokens import object_of

PAGE_SIZE: Final = 100
_LOOKUP_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """A record that was decided or changed: `charge.settled`, `charge.declined`, `charge.voided`, `charge.refunded`,
    `refund.settled`.
    """

    kind: str
    record: dict[str, Any]
    """As the API shows it."""
    token: str


class Book:
    """Args: the open database; `clock`: microseconds since 1970."""

    def __init__(self, db: sqlite3.Connection, *, clock: Callable[[], int] = now_us) -> None:
        self._db = db
        self._clock = clock
        (latest,) = db.execute("SELECT coalesce(max(created_at_us), 0) FROM movements").fetchone()
        self._latest_us = int(latest)
        self._changes: list[Change] = []

    def take_changes(self) -> list[Change]:
        """Everything that changed since the last call; to be taken in the transaction of the change."""
        taken, self._changes = self._changes, []
        return taken

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

    def refund(
        self,
        *,
        charge_id: str,
        amount: Money,
        reference: str,
        attempt_key: str,
        lag_seconds: float = 0.0,
    ) -> dict[str, Any]:
        """Give back part or all of a settled charge; look-ups are blind to the refund for `lag_seconds`.

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
        self._changed("charge.refunded", self._charge_row(charge_id))
        return self._enter(
            kind="refund",
            id=f"rf_{secrets.token_hex(12)}",
            charge_id=charge_id,
            reference=reference,
            object=object_of(reference),
            token=charge["token"],
            attempt_key=attempt_key,
            minor=amount.minor,
            currency=amount.currency,
            state="settled",
            decline=None,
            decided_on_ask=None,
            decided_decline=None,
            lag_seconds=lag_seconds,
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
            self._changed("charge.voided", charge)
        return shown(charge)

    def token_of(self, name: str) -> str | None:
        """The card behind a record's id or a reference; None when there is none."""
        row = self._db.execute(
            "SELECT token FROM movements WHERE (id = ? OR reference = ?) AND token <> '' LIMIT 1",
            (name, name),
        ).fetchone()
        return None if row is None else str(row["token"])

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

    def page(
        self, *, after_us: int, after_seq: int, size: int = PAGE_SIZE
    ) -> tuple[list[dict[str, Any]], tuple[int, int] | None]:
        """Records that appeared after (instant, seq), in the order of appearance, and where the next page begins.

        Appearing is being made, or the end of its lag. Nothing can appear before what a page has shown already:
        whoever follows the cursors to their end has seen everything that was visible when they arrived there. Asks
        nothing.
        """
        rows = self._visible(
            "(visible_at_us, seq) > (?, ?) ORDER BY visible_at_us, seq LIMIT ?",
            (after_us, after_seq, size + 1),
        )
        page, more = rows[:size], len(rows) > size
        return [shown(row) for row in page], (page[-1]["visible_at_us"], page[-1]["seq"]) if more else None

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
            (self._now_us(), *values),
        ).fetchall()

    def _now_us(self) -> int:
        # Never backwards, also when the machine's clock is set: the list's order hangs on it.
        self._latest_us = max(self._clock(), self._latest_us)
        return self._latest_us

    def _changed(self, kind: str, row: sqlite3.Row) -> None:
        self._changes.append(Change(kind, shown(row), row["token"]))

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
        if decided:
            self._changed(f"charge.{state}", asked)
        return asked  # type: ignore[no-any-return]  # a row of the connection's row_factory

    def _enter(self, *, lag_seconds: float, **columns: Any) -> dict[str, Any]:
        columns["created_at_us"] = self._now_us()
        columns["visible_at_us"] = columns["created_at_us"] + int(lag_seconds * 1_000_000)
        names = ", ".join(columns)  # keyword names written in this file
        (row,) = self._db.execute(
            f"INSERT INTO movements ({names}) VALUES ({', '.join('?' * len(columns))}) RETURNING *",  # noqa: S608
            tuple(columns.values()),
        ).fetchall()
        if row["state"] == "settled":
            self._post(row["seq"], row["kind"], row["minor"], row["currency"])
        if row["state"] != "pending":
            self._changed(f"{row['kind']}.{row['state']}", row)
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
