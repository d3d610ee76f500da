"""What only tests and simulations switch: faults, idempotency mode, the webhooks' receiver, the terms of remittances.
All of it survives a restart.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any, Final

from aiohttp import web

from gateways.sandbox.api import read_body
from gateways.sandbox.desk import Desk
from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.keys import parse_mode
from gateways.sandbox.refusal import invalid
from gateways.sandbox.remittance import parse_remittances
from gateways.sandbox.schema import to_iso, transaction
from gateways.sandbox.webhook_sender import WebhookSender
from gateways.sandbox.webhooks import parse_receiver

FIRED_SHOWN_MAX: Final = 1_000


class Control:
    def __init__(self, db: sqlite3.Connection, desk: Desk, sender: WebhookSender) -> None:
        self._db = db
        self._desk = desk
        self._sender = sender

    def routes(self) -> list[web.RouteDef]:
        return [
            web.put("/_control/faults", self.put_faults),
            web.get("/_control/faults", self.get_faults),
            web.put("/_control/idempotency", self.put_idempotency),
            web.put("/_control/remittances", self.put_remittances),
            web.put("/_control/webhooks", self.put_webhooks),
            web.get("/_control/webhooks", self.get_webhooks),
        ]

    async def put_faults(self, request: web.Request) -> web.Response:
        """PUT /_control/faults {seed, rules}: replaces the plan; it survives a restart."""
        body = await read_body(request)
        seed = body.get("seed", 0)
        if type(seed) is not int or set(body) - {"seed", "rules"}:
            raise invalid("A plan is {seed: integer, rules: [...]}.", code="invalid_fault")
        plan = FaultPlan(seed=seed, raw_rules=body.get("rules", []), serial=self._desk.plan.serial + 1)
        stored = {"seed": plan.seed, "rules": plan.raw_rules, "serial": plan.serial}
        with transaction(self._db):
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

    async def put_webhooks(self, request: web.Request) -> web.Response:
        """PUT /_control/webhooks {url, secret, retry_seconds?, timeout_seconds?}: registers the receiver.

        `{"url": null}` removes it, and what still waited is given up; another receiver inherits what waits.
        """
        body = await read_body(request)
        outbox = self._desk.outbox
        receiver = None if body == {"url": None} else parse_receiver(body)
        with transaction(self._db):
            save_setting(self._db, "webhooks", {"url": None} if receiver is None else receiver.stored())
            if receiver is None:
                outbox.forget()
        outbox.receiver = receiver
        self._sender.wake()
        return await self.get_webhooks(request)

    async def get_webhooks(self, _: web.Request) -> web.Response:
        """GET /_control/webhooks: where events go (never the secret) and how many deliveries are in which state."""
        outbox = self._desk.outbox
        url = None if outbox.receiver is None else outbox.receiver.url
        return web.json_response({"url": url, "deliveries": outbox.counts()})

    async def put_idempotency(self, request: web.Request) -> web.Response:
        """PUT /_control/idempotency {mode?, key_ttl_seconds?}: switches at run time; survives a restart."""
        body = await read_body(request)
        keys = self._desk.keys
        mode = parse_mode(body.get("mode", str(keys.mode)))
        ttl = body.get("key_ttl_seconds", keys.ttl_seconds)
        if type(ttl) not in {int, float} or ttl < 0 or set(body) - {"mode", "key_ttl_seconds"}:
            raise invalid("Give `mode` and `key_ttl_seconds` (0 or more).", code="invalid_idempotency_mode")
        with transaction(self._db):
            save_setting(self._db, "idempotency", {"mode": str(mode), "key_ttl_seconds": ttl})
        keys.mode, keys.ttl_seconds = mode, float(ttl)
        return web.json_response({"mode": str(mode), "key_ttl_seconds": ttl})

    async def put_remittances(self, request: web.Request) -> web.Response:
        """PUT /_control/remittances {refund?, remittance_fee_minor?}: whether what was paid at a till can go back, and
        what each request for it costs from now on.
        """
        terms = parse_remittances(await read_body(request), self._desk.remittances)
        with transaction(self._db):
            save_setting(self._db, "remittances", terms.stored())
        self._desk.remittances = terms
        return web.json_response(terms.stored())


def save_setting(db: sqlite3.Connection, name: str, value: dict[str, Any]) -> None:
    """Keep a setting, inside the caller's transaction."""
    db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, json.dumps(value)))


def load_setting(db: sqlite3.Connection, name: str) -> dict[str, Any] | None:
    row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return None if row is None else json.loads(row["value"])
