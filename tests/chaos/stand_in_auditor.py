"""A tiny auditor for I1 to I3, with the real one's interface, for as long as that is not there."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter

import psycopg

from gateways.sandbox.remote import SandboxRemote

_OURS = "SELECT currency, sum(CASE kind WHEN 'charge' THEN amount_minor ELSE -amount_minor END) FROM ledger GROUP BY 1"


async def audit(database_url: str, gateway_url: str) -> dict[str, object]:
    async with SandboxRemote(gateway_url) as remote:
        book = await remote.ledger()
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        ours = {currency: int(net) for currency, net in await (await connection.execute(_OURS)).fetchall()}
        known = {r[0] for r in await (await connection.execute("SELECT reference FROM attempts")).fetchall()}
        booked = {
            r[0]
            for r in await (
                await connection.execute("SELECT gateway_id FROM attempts WHERE state = 'settled'")
            ).fetchall()
        }
        outbox = await (
            await connection.execute(
                "SELECT a.reference FROM attempts a WHERE a.state = 'settled' AND a.purpose = 'charge' AND NOT EXISTS"
                " (SELECT FROM outbox o WHERE o.topic = 'payment.settled' AND o.subject_id = a.subscription_id"
                " AND (o.payload->>'number')::int = a.number)"
            )
        ).fetchall()
        doubled = await (
            await connection.execute(
                "SELECT data->>'request_id', count(*) FROM history WHERE kind = 'operation' AND data ? 'request_id'"
                " GROUP BY 1 HAVING count(*) > 1"
            )
        ).fetchall()
    per_pair: Counter[str] = Counter()
    for charge in book["charges"]:
        if charge["state"] == "settled" and charge["refunded_minor"] < charge["amount"]["minor"]:
            per_pair["/".join(charge["reference"].split("/")[:2])] += 1
    gateway_ids = {c["id"] for c in book["charges"] if c["state"] == "settled"}
    examples = {
        "I1": [pair for pair, count in per_pair.items() if count > 1],
        "I2": [] if ours == book["net"] else [{"ours": ours, "gateway": book["net"]}],
        "I3": sorted({c["reference"] for c in book["charges"]} - known)
        + sorted(i for i in booked - gateway_ids if i and i.startswith("ch_")),
        "I6": [r[0] for r in outbox],
        "I8": [list(r) for r in doubled],
    }
    return {
        "violations": {name: len(found) for name, found in examples.items()},
        "checked": {"charges": len(book["charges"])},
        "examples": {name: found[:5] for name, found in examples.items() if found},
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--gateway-url", required=True)
    parser.add_argument("--horizon-seconds", type=float, default=600)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = asyncio.run(audit(given.database_url, given.gateway_url))
    print(json.dumps(found, default=str))
    return 1 if any(found["violations"].values()) else 0  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())
