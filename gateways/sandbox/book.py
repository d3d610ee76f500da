"""The gateway's book: charges, refunds and the double-entry ledger behind them.

A record is shown from the instant at which look-ups can see it (`visible_at_us`), and the list is in that order: a
lagging record joins at its end, so that a pager that has passed its instant of creation still meets it.
`merchant_receivable` is what the gateway owes the merchant, `customer_card` or `konbini_float` where it came from,
`fees` what the gateway kept; the lines of one movement always sum to zero. Every method runs inside the caller's
transaction and refuses before it writes anything. What changed is collected for those who tell of it (`take_changes`).
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from domain.declines import DeclineCode
from domain.money import Money
from gateways.sandbox.outcomes import APPROVED, Plan
from gateways.sandbox.refusal import Refusal
from gateways.sandbox.schema import now_us, to_iso
from gateways.sandbox.tokens import object_of

PAGE_SIZE: Final = 100
_LOOKUP_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Change:
    """A record that was decided or changed: `charge.settled`, `charge.declined`, `charge.voided`, `charge.refunded`,
    `refund.settled`, `refund.declined`, `chargeback.settled`, `konbini.preliminary`, `konbini.preliminary_canceled`.
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
        installments: int | None = None,
        lag_seconds: float = 0.0,
    ) -> dict[str, Any]:
        """Enter one charge with the fate its plan gives it; look-ups are blind to it for `lag_seconds`."""
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
            installments=installments,
            lag_seconds=lag_seconds,
            **_fate(plan),
        )

    def deposit(
        self, *, amount: Money, reference: str, attempt_key: str, lag_seconds: float = 0.0
    ) -> dict[str, Any]:
        """Enter the charge behind a new slip: pending, unpaid, decided at a till or by a void."""
        charge_id = f"kb_{secrets.token_hex(12)}"
        return self._enter(
            kind="charge",
            id=charge_id,
            slip_id=charge_id,
            reference=reference,
            object=object_of(reference),
            attempt_key=attempt_key,
            minor=amount.minor,
            currency=amount.currency,
            state="pending",
            deposit="unpaid",
            lag_seconds=lag_seconds,
        )

    def notice(self, slip_id: str, deposit: str) -> dict[str, Any]:
        """A preliminary notice for a pending slip (`preliminary`), or its cancellation (`unpaid`)."""
        self._db.execute("UPDATE movements SET deposit = ? WHERE id = ?", (deposit, slip_id))
        row = self.charge_row(slip_id)
        self._changed(
            "konbini.preliminary" if deposit == "preliminary" else "konbini.preliminary_canceled", row
        )
        return shown(row)

    def paid(self, slip_id: str) -> dict[str, Any]:
        """Money at the till. A slip that waits for none is charged a second time, under the same reference."""
        slip = self.charge_row(slip_id)
        if slip["state"] == "pending":
            self._db.execute(
                "UPDATE movements SET state = 'settled', deposit = NULL WHERE seq = ?", (slip["seq"],)
            )
            slip = self.charge_row(slip_id)
            self._post(slip)
            self._changed("charge.settled", slip)
            return shown(slip)
        return self._enter(
            kind="charge",
            id=f"ch_{secrets.token_hex(12)}",
            slip_id=slip_id,
            reference=slip["reference"],
            object=slip["object"],
            attempt_key=f"till_{secrets.token_hex(8)}",
            minor=slip["minor"],
            currency=slip["currency"],
            state="settled",
            lag_seconds=0.0,
        )

    def refund(
        self,
        *,
        charge_id: str,
        amount: Money,
        reference: str,
        attempt_key: str,
        plan: Plan = APPROVED,
        fee_minor: int = 0,
        lag_seconds: float = 0.0,
    ) -> dict[str, Any]:
        """Give back part or all of a settled charge; look-ups are blind to the refund for `lag_seconds`.

        Args:
            charge_id: the charge.
            amount: what goes back.
            reference: the merchant's name for this refund.
            attempt_key: what tells one request from the next.
            plan: what becomes of it; while it is pending, its amount is no longer left of the charge.
            fee_minor: what the gateway takes for the request, however it ends.
            lag_seconds: how long look-ups are blind to it.

        Raises:
            Refusal: 404 unknown charge; 409 not settled, another currency, or more than what is left.
        """
        charge = self.charge_row(charge_id)
        if charge["state"] != "settled":
            raise Refusal(409, "charge_not_settled", "Only a settled charge can be refunded.")
        if charge["currency"] != amount.currency:
            raise Refusal(409, "currency_mismatch", "A refund is made in the currency of its charge.")
        if charge["refunded_minor"] + amount.minor > charge["minor"]:
            raise Refusal(409, "refund_exceeds_charge", "Less than this is left of the charge.")
        fate = _fate(plan)
        if fate["state"] != "declined":
            self._give_back(charge_id, amount.minor)
            self._changed("charge.refunded", self.charge_row(charge_id))
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
            fee_minor=fee_minor,
            slip_id=charge["slip_id"],
            lag_seconds=lag_seconds,
            **fate,
        )

    def charge_back(self, charge_id: str, *, lag_seconds: float = 0.0) -> dict[str, Any]:
        """The customer's bank takes back what is left of a settled charge; asked again, the same one is answered.

        Raises:
            Refusal: 404 unknown charge; 409 not settled, paid in cash, or nothing left of it.
        """
        charge = self.charge_row(charge_id)
        earlier = self._db.execute(
            "SELECT * FROM movements WHERE charge_id = ? AND forced = 1", (charge_id,)
        ).fetchone()
        if earlier is not None:
            return shown(earlier)
        if charge["state"] != "settled":
            raise Refusal(409, "charge_not_settled", "Only a settled charge can be charged back.")
        if charge["slip_id"] is not None:
            raise Refusal(409, "paid_in_cash", "What was paid at a till has no bank that could take it back.")
        left = charge["minor"] - charge["refunded_minor"]
        if left == 0:
            raise Refusal(409, "nothing_left", "All of this charge went back already.")
        self._give_back(charge_id, left)
        return self._enter(
            kind="refund",
            forced=1,
            id=f"cb_{secrets.token_hex(12)}",
            charge_id=charge_id,
            # Nobody asked for it under a name of the merchant's: it is named after the charge.
            reference=f"{charge['reference']}/chargeback",
            object=charge["object"],
            token=charge["token"],
            attempt_key=f"bank_{secrets.token_hex(8)}",
            minor=left,
            currency=charge["currency"],
            state="settled",
            lag_seconds=lag_seconds,
        )

    def chargeback_of(self, charge_id: str) -> dict[str, Any] | None:
        """The chargeback of a charge, as far as look-ups see it."""
        rows = self._visible("charge_id = ? AND forced = 1", (charge_id,))
        return shown(rows[0]) if rows else None

    def void(self, charge_id: str) -> dict[str, Any]:
        """Give up a pending charge; what is decided already is answered as it stands, and so is a refund: a remittance
        under way cannot be called back.

        Raises:
            Refusal: 404 for an unknown charge.
        """
        refund = self._db.execute(
            "SELECT * FROM movements WHERE id = ? AND kind = 'refund'", (charge_id,)
        ).fetchone()
        charge = refund or self.charge_row(charge_id)
        if charge["state"] == "pending" and refund is None:
            self._db.execute(
                "UPDATE movements SET state = 'voided', decline = ?, deposit = NULL WHERE seq = ?",
                (DeclineCode.PENDING_EXPIRED.value, charge["seq"]),
            )
            charge = self.charge_row(charge_id)
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

    def charge_row(self, charge_id: str) -> sqlite3.Row:
        """A charge with all its columns, whether look-ups see it or not.

        Raises:
            Refusal: 404 for an unknown charge.
        """
        row: sqlite3.Row | None = self._db.execute(
            "SELECT * FROM movements WHERE id = ? AND kind = 'charge'", (charge_id,)
        ).fetchone()
        if row is None:
            raise Refusal(404, "charge_not_found", "There is no charge of this id.")
        return row

    def _visible(self, condition: str, values: tuple[Any, ...]) -> list[sqlite3.Row]:
        # `condition` is one of the texts above, never a caller's.
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
            self._post(asked)
        elif state == "declined" and asked["kind"] == "refund":
            self._give_back(asked["charge_id"], -asked["minor"])
        if decided:
            self._changed(f"{asked['kind']}.{state}", asked)
        return asked  # type: ignore[no-any-return]  # a row of the connection's row_factory

    def _enter(self, *, lag_seconds: float, **columns: Any) -> dict[str, Any]:
        columns["created_at_us"] = self._now_us()
        columns["visible_at_us"] = columns["created_at_us"] + int(lag_seconds * 1_000_000)
        names = ", ".join(columns)  # keyword names written in this file
        (row,) = self._db.execute(
            f"INSERT INTO movements ({names}) VALUES ({', '.join('?' * len(columns))}) RETURNING *",  # noqa: S608
            tuple(columns.values()),
        ).fetchall()
        if row["fee_minor"]:
            self._book(row, "fees", -row["fee_minor"])
        if row["state"] == "settled":
            self._post(row)
        if row["state"] != "pending":
            self._changed(f"{shown(row)['kind']}.{row['state']}", row)
        return shown(row)

    def _give_back(self, charge_id: str, minor: int) -> None:
        self._db.execute(
            "UPDATE movements SET refunded_minor = refunded_minor + ? WHERE id = ?", (minor, charge_id)
        )

    def _post(self, row: sqlite3.Row) -> None:
        account = "customer_card" if row["slip_id"] is None else "konbini_float"
        self._book(row, account, row["minor"] if row["kind"] == "charge" else -row["minor"])

    def _book(self, row: sqlite3.Row, account: str, minor: int) -> None:
        """The merchant gets so much more (or less) out of an account."""
        self._db.execute(
            "INSERT INTO ledger (movement, account, minor, currency) VALUES"
            " (?, 'merchant_receivable', ?, ?), (?, ?, ?, ?)",
            (row["seq"], minor, row["currency"], row["seq"], account, -minor, row["currency"]),
        )


def _fate(plan: Plan) -> dict[str, Any]:
    """The columns in which a plan is written."""
    state = "pending" if plan.pending else "declined" if plan.decline else "settled"
    word = None if plan.decline is None else plan.decline.value
    return {
        "state": state,
        "decline": word if state == "declined" else None,
        "decided_on_ask": plan.decided_on_ask,
        "decided_decline": word if state == "pending" else None,
    }


def shown(row: sqlite3.Row) -> dict[str, Any]:
    """A record as the API answers it: no token, no inner counters."""
    return {
        "id": row["id"],
        "kind": "chargeback" if row["forced"] else row["kind"],
        "charge_id": row["charge_id"],
        "reference": row["reference"],
        "amount": {"minor": row["minor"], "currency": row["currency"]},
        "state": row["state"],
        "decline": row["decline"],
        "refunded_minor": row["refunded_minor"],
        "deposit": row["deposit"],
        "fee_minor": row["fee_minor"],
        "installments": row["installments"],
        "created_at": to_iso(row["created_at_us"]),
    }
