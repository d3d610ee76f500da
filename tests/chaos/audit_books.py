"""The two books the auditor reads, laid side by side: the gateway's into temporary tables beside ours.

Our database is read in one snapshot, and the gateway after it, so that an audit of a running system compares the same
instant: what the gateway entered later is left out. Everything here is psycopg, SQL and HTTP of the auditor's own; it
shares no code with what it judges.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

import psycopg

_GATEWAY_PATIENCE_S: Final = 60

_SETUP: Final = """
CREATE TEMP TABLE terms (at timestamptz, open_for interval, step_grace interval);
CREATE TEMP TABLE gw (
    id text, kind text, charge_id text, reference text, subject text, number integer, minor bigint, currency text,
    state text, created_at timestamptz
);
CREATE TEMP TABLE gw_accounts (currency text, account text, minor bigint);
CREATE TEMP TABLE gw_requests (at timestamptz, route text, reference text);
-- Known to be unknown: these may be ahead of or behind the gateway's book.
CREATE TEMP VIEW in_flight AS
    SELECT a.object_id, a.number FROM attempts a, terms t
    WHERE a.state = 'attention'
       OR a.state IN ('sent', 'unsent', 'unknown', 'pending') AND a.recorded_at > t.at - t.open_for;
-- From when to when nobody might charge whom; in the database's own time.
CREATE TEMP VIEW blocks AS
    SELECT b.subject_id AS id, b.recorded_at AS since,
           (SELECT min(u.recorded_at) FROM history u
            WHERE u.subject_id = b.subject_id AND u.seq > b.seq AND u.kind = 'operation'
              AND u.data->>'do' = 'unblock') AS until
    FROM history b WHERE b.kind = 'operation' AND b.data->>'do' = 'block'
    UNION ALL
    SELECT id, blocked_at, NULL FROM (
        SELECT id, blocked_at FROM customers UNION ALL SELECT id, blocked_at FROM payment_methods
    ) marked
    WHERE blocked_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM history h WHERE h.subject_id = marked.id AND h.data->>'do' = 'block');
-- What is sold, whose it is, and what it does next.
CREATE TEMP VIEW objects AS
    SELECT 'subscription' AS noun, id, customer_id, payment_method_id, status, next_kind, next_at FROM subscriptions
    UNION ALL SELECT 'order', id, customer_id, payment_method_id, status, next_kind, next_at FROM orders;
-- Whom each charge is taken from: the customer, and the card of that attempt.
CREATE TEMP VIEW charged AS
    SELECT a.reference, a.recorded_at, b.customer_id, a.payment_method_id
    FROM attempts a JOIN objects b ON b.id = a.object_id WHERE a.purpose IN ('charge', 'repayment');
"""
_INDEXES: Final = """
CREATE INDEX ON gw (reference);
CREATE INDEX ON gw (id);
CREATE INDEX ON gw (charge_id);
CREATE INDEX ON gw (subject, number);
CREATE INDEX ON gw_requests (reference);
ANALYZE gw;
ANALYZE gw_requests;
"""


@dataclass(frozen=True)
class Terms:
    """How long something may be open before it counts as stuck.

    Attributes:
        horizon: the gateway's in-flight horizon.
        attempt_grace: how much longer an attempt may be without an outcome.
        step_grace: how long a subscription's next step may be overdue.
    """

    horizon: timedelta = timedelta(minutes=10)
    attempt_grace: timedelta = timedelta(minutes=5)
    step_grace: timedelta = timedelta(minutes=5)


@contextmanager
def opened(database_url: str, gateway_url: str, terms: Terms) -> Iterator[psycopg.Cursor[Any]]:
    """A cursor over our tables, and over the gateway's book as `gw`, `gw_accounts` and `gw_requests`."""
    # A snapshot may read temporary tables only when it was there first: they are made before, and filled within.
    with psycopg.connect(_plain(database_url), autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute(_SETUP)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor = connection.cursor()
        open_for = terms.horizon + terms.attempt_grace
        cursor.execute(
            "INSERT INTO terms VALUES (clock_timestamp(), %s, %s) RETURNING at", (open_for, terms.step_grace)
        )
        row = cursor.fetchone()
        assert row is not None
        _lay_out(cursor, gateway_url, row[0])
        cursor.execute(_INDEXES)
        yield cursor
        connection.execute("ROLLBACK")


def _lay_out(cursor: psycopg.Cursor[Any], gateway_url: str, snapshot_at: datetime) -> None:
    book = _get(gateway_url, "/_audit/ledger")
    movements = [*book["charges"], *book["refunds"], *book["chargebacks"]]
    known = [m for m in movements if datetime.fromisoformat(m["created_at"]) <= snapshot_at]
    with cursor.copy("COPY gw FROM STDIN") as copy:
        for movement in known:
            copy.write_row(_movement(movement))
    if len(known) == len(movements):
        # The gateway's own sums are as of now: comparable only when nothing moved since the snapshot.
        with cursor.copy("COPY gw_accounts FROM STDIN") as copy:
            for currency, accounts in book["accounts"].items():
                for account, minor in accounts.items():
                    copy.write_row((currency, account, minor))
    with cursor.copy("COPY gw_requests FROM STDIN") as copy:
        for request in _requests(gateway_url, [m["reference"] for m in known]):
            if datetime.fromisoformat(request["at"]) <= snapshot_at:
                copy.write_row((request["at"], request["route"], request["reference"]))


def _movement(record: dict[str, Any]) -> tuple[Any, ...]:
    subject, _, rest = record["reference"].partition("/")
    number = rest.partition("/")[0]
    return (
        record["id"],
        record["kind"],
        record["charge_id"],
        record["reference"],
        subject,
        int(number) if number.isdecimal() else None,
        record["amount"]["minor"],
        record["amount"]["currency"],
        record["state"],
        record["created_at"],
    )


def _requests(gateway_url: str, references: list[str]) -> Iterator[dict[str, Any]]:
    """Every request that wanted to change something: the whole listing where there is one, else by reference."""
    page = _get(gateway_url, "/_audit/requests")
    if "next_cursor" not in page:
        for reference in dict.fromkeys(references):
            yield from _get(gateway_url, "/_audit/requests", reference=reference)["requests"]
        return
    while True:
        yield from page["requests"]
        if page["next_cursor"] is None:
            return
        page = _get(gateway_url, "/_audit/requests", after=page["next_cursor"])


def _get(base_url: str, path: str, **query: Any) -> Any:
    url = base_url.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
    if not url.startswith(("http://", "https://")):
        raise ValueError("The gateway's address begins with http:// or https://.")
    with urlopen(url, timeout=_GATEWAY_PATIENCE_S) as answer:
        return json.load(answer)


def _plain(url: str) -> str:
    """SQLAlchemy's form of the address is taken as well."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
