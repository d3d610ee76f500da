"""What an auditor reads: the whole book with its sums, and every request that wanted to change something."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from typing import Any, Final

from aiohttp import web

from gateways.sandbox.book import shown
from gateways.sandbox.refusal import invalid
from gateways.sandbox.schema import to_iso

REQUESTS_PAGE_SIZE: Final = 1_000
_COLUMNS: Final = "line, at_us, route, reference, idempotency_key, outcome"


class Audit:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/_audit/ledger", self.ledger), web.get("/_audit/requests", self.requests)]

    async def ledger(self, _: web.Request) -> web.Response:
        """GET /_audit/ledger: the whole book, its sums, and what each reference came to."""
        return web.json_response(audit(self._db))

    async def requests(self, request: web.Request) -> web.Response:
        """GET /_audit/requests: every request that wanted to change something, in order of arrival.

        `?reference=…`: all about one reference. Without it: all there are, page by page (`?after=<next_cursor>`).
        `outcome` is the state it came to, the fault that struck before the work, the refusal's code or `http_<status>`.
        """
        reference = request.query.get("reference")
        if reference is not None:
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM request_log WHERE reference = ? ORDER BY line",  # noqa: S608 - a constant
                (reference,),
            ).fetchall()
            return web.json_response({"requests": [_line(row) for row in rows], "next_cursor": None})
        after = request.query.get("after", "0")
        if not re.fullmatch(r"\d{1,18}", after):
            raise invalid("This gateway did not give this cursor.", code="invalid_cursor")
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM request_log WHERE line > ? ORDER BY line LIMIT ?",  # noqa: S608 - as above
            (int(after), REQUESTS_PAGE_SIZE + 1),
        ).fetchall()
        page, more = rows[:REQUESTS_PAGE_SIZE], len(rows) > REQUESTS_PAGE_SIZE
        cursor = str(page[-1]["line"]) if more else None
        return web.json_response({"requests": [_line(row) for row in page], "next_cursor": cursor})


def _line(row: sqlite3.Row) -> dict[str, Any]:
    return {**dict(row), "at": to_iso(row["at_us"])}


def audit(db: sqlite3.Connection) -> dict[str, Any]:
    """Everything an auditor needs. `settled` counts charges that settled (a voided one never did);
    `net` is `settled` minus `refunded` and `charged_back`; `fees` what was kept of it for remittances, failed ones too.
    `balanced`: the ledger's lines sum to zero and agree with both.
    """
    records = [shown(row) for row in db.execute("SELECT * FROM movements ORDER BY seq")]
    settled: Counter[str] = Counter()
    refunded: Counter[str] = Counter()
    charged_back: Counter[str] = Counter()
    sums = {"charge": settled, "refund": refunded, "chargeback": charged_back}
    fees: Counter[str] = Counter()
    references: dict[str, dict[str, Any]] = {}
    for record in records:
        amount, is_settled = record["amount"], record["state"] == "settled"
        of_reference = references.setdefault(
            record["reference"], {"charges": 0, "settled_charges": 0, "refunds": 0, "net": Counter()}
        )
        is_charge = record["kind"] == "charge"
        # A chargeback stands alone under a reference of its own; it counts where refunds do.
        of_reference["charges" if is_charge else "refunds"] += 1
        if record["fee_minor"]:
            fees[amount["currency"]] += record["fee_minor"]
        if is_settled:
            of_reference["settled_charges"] += is_charge
            of_reference["net"][amount["currency"]] += amount["minor"] if is_charge else -amount["minor"]
            sums[record["kind"]][amount["currency"]] += amount["minor"]
    net = {
        currency: settled[currency] - refunded[currency] - charged_back[currency]
        for currency in sorted({*settled, *refunded, *charged_back})
    }
    accounts: dict[str, dict[str, int]] = {}
    for row in db.execute(
        "SELECT currency, account, sum(minor) AS sum FROM ledger GROUP BY 1, 2 ORDER BY 1, 2"
    ):
        accounts.setdefault(row["currency"], {})[row["account"]] = row["sum"]
    uneven = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM ledger GROUP BY movement HAVING sum(minor) <> 0)"
    )
    receivable = {currency: sums["merchant_receivable"] for currency, sums in accounts.items()}
    kept = {currency: sums["fees"] for currency, sums in accounts.items() if "fees" in sums}
    owed = {currency: minor - fees[currency] for currency, minor in net.items()}
    return {
        "charges": [record for record in records if record["kind"] == "charge"],
        "refunds": [record for record in records if record["kind"] == "refund"],
        "chargebacks": [record for record in records if record["kind"] == "chargeback"],
        "accounts": accounts,
        "settled": dict(settled),
        "refunded": dict(refunded),
        "charged_back": dict(charged_back),
        "net": net,
        "fees": dict(fees),
        "references": references,
        "balanced": uneven.fetchone()[0] == 0 and receivable == owed and kept == fees,
    }
