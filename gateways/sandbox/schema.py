"""The sandbox's own database: one SQLite file that only its server opens.

A commit is on the disk before the answer leaves (WAL, synchronous=FULL), so an acknowledged charge survives
SIGKILL and power loss. The exclusive lock keeps every other process out, ours included.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

IN_MEMORY: Final = ":memory:"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS movements (          -- charges and refunds, in the order they were accepted
    seq            INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    kind           TEXT NOT NULL CHECK (kind IN ('charge', 'refund')),
    charge_id      TEXT REFERENCES movements (id),
    reference      TEXT NOT NULL,
    object         TEXT NOT NULL,
    token          TEXT NOT NULL DEFAULT '',
    attempt_key    TEXT NOT NULL,
    minor          INTEGER NOT NULL CHECK (minor > 0),
    currency       TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('settled', 'declined', 'pending', 'voided')),
    decline        TEXT,
    refunded_minor INTEGER NOT NULL DEFAULT 0 CHECK (refunded_minor BETWEEN 0 AND minor),
    asks           INTEGER NOT NULL DEFAULT 0,
    decided_on_ask INTEGER,
    decided_decline TEXT,
    visible_at_us  INTEGER NOT NULL,
    created_at_us  INTEGER NOT NULL,
    slip_id        TEXT REFERENCES movements (id),   -- of Konbini charges: the slip they were paid with
    deposit        TEXT CHECK (deposit IN ('unpaid', 'preliminary')),
    fee_minor      INTEGER NOT NULL DEFAULT 0 CHECK (fee_minor >= 0),
    installments   INTEGER CHECK (installments BETWEEN 2 AND 60),
    forced         INTEGER NOT NULL DEFAULT 0 CHECK (forced IN (0, 1))   -- 1: a refund by the bank: a chargeback
) STRICT;
CREATE INDEX IF NOT EXISTS movements_reference ON movements (reference, seq);
CREATE INDEX IF NOT EXISTS movements_visible ON movements (visible_at_us, seq);
DROP INDEX IF EXISTS movements_created;         -- of earlier files: the list was by creation
CREATE INDEX IF NOT EXISTS movements_declined ON movements (object, token) WHERE state = 'declined';

CREATE TABLE IF NOT EXISTS ledger (             -- double entry: the lines of one movement sum to zero
    line        INTEGER PRIMARY KEY,
    movement    INTEGER NOT NULL REFERENCES movements (seq),
    account     TEXT NOT NULL,
    minor       INTEGER NOT NULL,
    currency    TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS ledger_is_never_changed BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS ledger_is_never_shortened BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TABLE IF NOT EXISTS konbini_slips (      -- what is printed; whether it was paid is the charge's business
    charge_id           TEXT PRIMARY KEY REFERENCES movements (id),
    store               TEXT NOT NULL,
    payment_number      TEXT NOT NULL UNIQUE,
    confirmation_number TEXT NOT NULL,
    deadline_us         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS konbini_payments (   -- when a slip was paid, as the till says
    charge_id           TEXT PRIMARY KEY REFERENCES movements (id),
    paid_us             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS idempotency_keys (
    key           TEXT PRIMARY KEY,
    fingerprint   TEXT NOT NULL,
    status        INTEGER NOT NULL,
    answer        TEXT NOT NULL,
    created_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS tokens (             -- the tokens made on purpose; named ones need no row
    token         TEXT PRIMARY KEY,
    fault         TEXT,
    created_at_us INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS scripts (
    script_id TEXT PRIMARY KEY,
    items     TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS script_takes (       -- which attempt took which item; a re-send takes no other
    script_id   TEXT NOT NULL REFERENCES scripts (script_id),
    attempt_key TEXT NOT NULL,
    position    INTEGER NOT NULL,
    PRIMARY KEY (script_id, attempt_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS card_forms (
    id            TEXT PRIMARY KEY,
    reference     TEXT NOT NULL,
    return_url    TEXT,
    token         TEXT,
    created_at_us INTEGER NOT NULL,
    minor         INTEGER,                      -- of a payment form: what is to be paid
    currency      TEXT
) STRICT;

CREATE TABLE IF NOT EXISTS webhook_deliveries ( -- what the registered receiver is told, in the order of writing
    seq       INTEGER PRIMARY KEY,
    event_id  TEXT NOT NULL,                    -- two rows may tell of one event: a duplicate
    kind      TEXT NOT NULL,
    reference TEXT NOT NULL,
    body      TEXT NOT NULL,
    forged    INTEGER NOT NULL DEFAULT 0 CHECK (forged IN (0, 1)),
    overtaken INTEGER NOT NULL DEFAULT 0 CHECK (overtaken IN (0, 1)),
    state     TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'lost', 'given_up')),
    tries     INTEGER NOT NULL DEFAULT 0,
    made_us   INTEGER NOT NULL,
    next_us   INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS webhook_deliveries_waiting ON webhook_deliveries (next_us, seq) WHERE state = 'waiting';

CREATE TABLE IF NOT EXISTS request_log (        -- every request that wanted to change something
    line            INTEGER PRIMARY KEY,
    at_us           INTEGER NOT NULL,
    route           TEXT NOT NULL,
    reference       TEXT NOT NULL,
    idempotency_key TEXT,
    outcome         TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS request_log_reference ON request_log (reference, line);
CREATE TABLE IF NOT EXISTS fired_faults (
    ordinal   INTEGER PRIMARY KEY,
    at_us     INTEGER NOT NULL,
    seed      INTEGER NOT NULL,
    serial    INTEGER NOT NULL,
    rule      INTEGER,
    source    TEXT NOT NULL,
    fault     TEXT NOT NULL,
    route     TEXT NOT NULL,
    reference TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

_LATER_COLUMNS: Final = {
    "slip_id": "TEXT REFERENCES movements (id)",
    "deposit": "TEXT CHECK (deposit IN ('unpaid', 'preliminary'))",
    "fee_minor": "INTEGER NOT NULL DEFAULT 0 CHECK (fee_minor >= 0)",
    "installments": "INTEGER CHECK (installments BETWEEN 2 AND 60)",
    "forced": "INTEGER NOT NULL DEFAULT 0 CHECK (forced IN (0, 1))",
}
"""Columns of `movements` that a file made by an earlier version lacks; `card_forms` got two."""
_LATER_FORM_COLUMNS: Final = {"minor": "INTEGER", "currency": "TEXT"}
_LATER_INDEX: Final = (
    "CREATE UNIQUE INDEX IF NOT EXISTS movements_charged_back ON movements (charge_id) WHERE forced = 1"
)
"""A charge is charged back once."""

_LOCK_SECONDS: Final = 1.0
"""How long a new server waits for an old one to let go of the file."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def now_us() -> int:
    """Now, in microseconds since 1970: an integer compares and sorts without surprises."""
    return to_us(datetime.now(UTC))


def to_us(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def to_iso(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat()


def open_database(path: str) -> sqlite3.Connection:
    """The sandbox's book, made when it is not there yet.

    Raises:
        sqlite3.OperationalError: the file cannot be written, or another server holds it.
    """
    db = sqlite3.connect(path, isolation_level=None, timeout=_LOCK_SECONDS, cached_statements=256)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA foreign_keys = ON")
    if path != IN_MEMORY:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
    db.executescript(_SCHEMA)
    for table, columns in (("movements", _LATER_COLUMNS), ("card_forms", _LATER_FORM_COLUMNS)):
        there = {row["name"] for row in db.execute(f"PRAGMA table_info({table})")}
        for name, definition in columns.items():
            if name not in there:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {definition}")
    db.execute(_LATER_INDEX)
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and on the disk when it returns."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
