"""The cards the sandbox has given out, and which fate the next attempt with one of them meets.

Most cards need no row: their name says everything (`tokens.py`). Rows exist for scripts, for who took which
item of one, and for cards made with a fault of their own.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from typing import Any, Final

from domain.declines import DeclineCode
from gateways.sandbox.book import Book
from gateways.sandbox.faults import Fault, parse_fault
from gateways.sandbox.outcomes import APPROVED, Plan, check_script, parse_item
from gateways.sandbox.refusal import Refusal, invalid
from gateways.sandbox.schema import now_us
from gateways.sandbox.tokens import CHARGEABLE, SCRIPT_ID, read_token

_NOT_CHARGEABLE: Final = Plan(decline=DeclineCode.INVALID_CARD)


class Cards:
    """Every method runs inside the caller's transaction."""

    def __init__(self, db: sqlite3.Connection, book: Book) -> None:
        self._db = db
        self._book = book

    def details(self, token: str) -> dict[str, Any]:
        """What may be shown of a token.

        Raises:
            Refusal: 404 for one this gateway never gave out.
        """
        known = read_token(token)
        if known is None or (known.script_id is not None and self._script(known.script_id) is None):
            raise Refusal(404, "token_not_found", "There is no such token.")
        return known.details()

    def make(self, body: dict[str, Any]) -> str:
        """A new token from `{behaviour, fault?}` or `{script, script_id?, fault?}`.

        Tokens of one `script_id` are different cards that share one queue of outcomes.

        Raises:
            Refusal: 422 for what is not understood, 409 when another script has the id.
        """
        if set(body) - {"behaviour", "script", "script_id", "fault"}:
            raise invalid("A token is made from `behaviour` or `script`, with `script_id` and `fault`.")
        fault = body.get("fault")
        if fault is not None:
            parse_fault(fault)
        scripted = "script" in body or "script_id" in body
        token = self._scripted(body) if scripted else _behaving(body.get("behaviour"))
        self._db.execute("INSERT INTO tokens VALUES (?, ?, ?)", (token, fault, now_us()))
        return token

    def fault_of(self, token: str) -> Fault | None:
        """The fault a card was made with."""
        row = self._db.execute("SELECT fault FROM tokens WHERE token = ?", (token,)).fetchone()
        return None if row is None or row["fault"] is None else parse_fault(row["fault"])

    def plan_of(self, token: str, *, reference: str, attempt_key: str) -> Plan:
        """What this attempt meets. A script's next item is taken by it, once and for all its sendings."""
        known = read_token(token)
        if known is None or known.kind not in CHARGEABLE:
            return _NOT_CHARGEABLE
        if known.script_id is not None:
            return self._scripted_plan(known.script_id, attempt_key)
        assert known.plan is not None
        if known.declines_first:
            declined = self._book.declined_before(token=token, reference=reference, attempt_key=attempt_key)
            if declined < known.declines_first:
                return Plan(decline=DeclineCode.INSUFFICIENT_FUNDS)
        return known.plan

    def _scripted(self, body: dict[str, Any]) -> str:
        script_id = body.get("script_id", secrets.token_hex(8))
        if not isinstance(script_id, str) or not SCRIPT_ID.fullmatch(script_id):
            raise invalid("`script_id` is 1 to 64 letters, digits, - or _.", code="invalid_script")
        stored = self._script(script_id)
        if stored is None:
            items = json.dumps(check_script(body.get("script")))
            self._db.execute("INSERT INTO scripts VALUES (?, ?)", (script_id, items))
            return f"tok_script_{script_id}"
        if "script" in body and stored != check_script(body["script"]):
            raise Refusal(409, "script_exists", "Another script has this script_id.")
        return f"tok_script_{script_id}:{secrets.token_hex(6)}"

    def _scripted_plan(self, script_id: str, attempt_key: str) -> Plan:
        items = self._script(script_id)
        if items is None:
            return _NOT_CHARGEABLE
        taken = self._db.execute(
            "SELECT position FROM script_takes WHERE script_id = ? AND attempt_key = ?",
            (script_id, attempt_key),
        ).fetchone()
        if taken is not None:
            return _item(items, taken["position"]).sent_again()
        (position,) = self._db.execute(
            "SELECT count(*) FROM script_takes WHERE script_id = ?", (script_id,)
        ).fetchone()
        self._db.execute("INSERT INTO script_takes VALUES (?, ?, ?)", (script_id, attempt_key, position))
        return _item(items, position)

    def _script(self, script_id: str) -> list[Any] | None:
        row = self._db.execute("SELECT items FROM scripts WHERE script_id = ?", (script_id,)).fetchone()
        return None if row is None else json.loads(row["items"])


def _item(items: list[Any], position: int) -> Plan:
    return parse_item(items[position]) if position < len(items) else APPROVED


def _behaving(behaviour: Any) -> str:
    token = f"tok_{behaviour}:{secrets.token_hex(6)}"
    known = read_token(token) if isinstance(behaviour, str) else None
    if known is None or known.script_id is not None:
        raise invalid(f"{behaviour!r} is no behaviour of a test card.", code="invalid_behaviour")
    return token
