"""What only tests, simulations and auditors ask of the sandbox: faults, idempotency mode, the whole book."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import Any, Final

from aiohttp import web

from gateways.sandbox.api import read_body
from gateways.sandbox.book import shown
from gateways.sandbox.desk import Desk
from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.keys import parse_mode
from gateways.sandbox.refusal import invalid
from gateways.sandbox.schema import to_iso, transaction

FIRED_SHOWN_MAX: Final = 1_000


class Control:
    def __init__(self, db: sqlite3.Connection, desk: Desk) -> None:
        self._db = db
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [
            web.put("/_control/faults", self.put_faults),
            web.get("/_control/faults", self.get_faults),
            web.put("/_control/idempotency", self.put_idempotency),
            web.get("/_audit/ledger", self.ledger),
            web.get("/_audit/requests", self.requests),
        ]

    async def put_faults(self, request: web.Request) -> web.Response:
        """PUT /_control/faults {seed, rules}: replaces the plan; it survives a restart."""
        body = await read_body(request)
        seed = body.get("seed", 0)
        if type(seed) is not int or set(body) - {"seed", "rules"}:
            raise invalid("A plan is {seed: integer, rules: [...]}.", code="invalid_fault")
        plan = FaultPlan(seed=seed, raw_rules=body.get("rules", []), serial=self._desk.plan.serial + 1)
        stored = {"seed": plan.seed, "rules": plan.raw_rules, "serial": plan.serial}
        save_setting(self._db, "fault_plan", stored)
        self._desk.plan = plan
        return web.json_response({"seed": plan.seed, "rules": plan.raw_rules})

    async def get_faults(self, _: web.Request) -> web.Response:
        """GET /_control/faults: the plan and every firing so far (counts of all, the newest rows)."""
        counts = dict(self._db.execute("SELECT fault, count(*) FROM fired_faults GROUP BY fault").fetchall())
        rows = self._db.execute(
            "SELECT ordinal, seed, source, fault, route, reference, at_us FROM fired_faults"
            " ORDER BY ordinal DESC LIMIT ?",
            (FIRED_SHOWN_MAX,),
        ).fetchall()
        fired = [{**dict(row), "at": to_iso(row["at_us"])} for row in reversed(rows)]
        plan = self._desk.plan
        return web.json_response(
            {
                "seed": plan.seed,
                "rules": plan.raw_rules,
                "total": sum(counts.values()),
                "counts": counts,
                "fired": fired,
            }
        )

    async def put_idempotency(self, request: web.Request) -> web.Response:
        """PUT /_control/idempotency {mode?, key_ttl_seconds?}: switches at run time; survives a restart."""
        body = await read_body(request)
        keys = self._desk.keys
        mode = parse_mode(body.get("mode", str(keys.mode)))
        ttl = body.get("key_ttl_seconds", keys.ttl_seconds)
        if type(ttl) not in {int, float} or ttl < 0 or set(body) - {"mode", "key_ttl_seconds"}:
            raise invalid("Give `mode` and `key_ttl_seconds` (0 or more).", code="invalid_idempotency_mode")
        save_setting(self._db, "idempotency", {"mode": str(mode), "key_ttl_seconds": ttl})
        keys.mode, keys.ttl_seconds = mode, float(ttl)
        return web.json_response({"mode": str(mode), "key_ttl_seconds": ttl})

    async def ledger(self, _: web.Request) -> web.Response:
        """GET /_audit/ledger: the whole book, its sums, and what each reference came to."""
        return web.json_response(audit(self._db))

    async def requests(self, request: web.Request) -> web.Response:
        """GET /_audit/requests?reference=…: every request that wanted to change something, in order."""
        rows = self._db.execute(
            "SELECT at_us, route, reference, idempotency_key, outcome FROM request_log"
            " WHERE reference = ? ORDER BY line",
            (request.query.get("reference", ""),),
        ).fetchall()
        return web.json_response({"requests": [{**dict(row), "at": to_iso(row["at_us"])} for row in rows]})


def audit(db: sqlite3.Connection) -> dict[str, Any]:
    """Everything an auditor needs. `settled` counts charges that settled (a voided one never did);
    `net` is `settled` minus `refunded`; `balanced`: the ledger's lines sum to zero and agree with it.
    """
    records = [shown(row) for row in db.execute("SELECT * FROM movements ORDER BY seq")]
    settled: Counter[str] = Counter()
    refunded: Counter[str] = Counter()
    references: dict[str, dict[str, Any]] = {}
    for record in records:
        amount, is_settled = record["amount"], record["state"] == "settled"
        of_reference = references.setdefault(
            record["reference"], {"charges": 0, "settled_charges": 0, "refunds": 0, "net": Counter()}
        )
        is_charge = record["kind"] == "charge"
        of_reference["charges" if is_charge else "refunds"] += 1
        if is_settled:
            of_reference["settled_charges"] += is_charge
            of_reference["net"][amount["currency"]] += amount["minor"] if is_charge else -amount["minor"]
            (settled if is_charge else refunded)[amount["currency"]] += amount["minor"]
    net = {currency: settled[currency] - refunded[currency] for currency in sorted({*settled, *refunded})}
    accounts: dict[str, dict[str, int]] = {}
    for row in db.execute(
        "SELECT currency, account, sum(minor) AS sum FROM ledger GROUP BY 1, 2 ORDER BY 1, 2"
    ):
        accounts.setdefault(row["currency"], {})[row["account"]] = row["sum"]
    uneven = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM ledger GROUP BY movement HAVING sum(minor) <> 0)"
    )
    receivable = {currency: sums["merchant_receivable"] for currency, sums in accounts.items()}
    return {
        "charges": [record for record in records if record["kind"] == "charge"],
        "refunds": [record for record in records if record["kind"] == "refund"],
        "accounts": accounts,
        "settled": dict(settled),
        "refunded": dict(refunded),
        "net": net,
        "references": references,
        "balanced": uneven.fetchone()[0] == 0 and receivable == net,
    }


def save_setting(db: sqlite3.Connection, name: str, value: dict[str, Any]) -> None:
    with transaction(db):
        db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value)))


def load_setting(db: sqlite3.Connection, name: str) -> dict[str, Any] | None:
    row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return None if row is None else json.loads(row["value"])
