"""Named fault points: where a worker may be told to die, without a hook in the product.

A worker is composed with a gateway and a database that reach named points around every call: `charge.before`,
`charge.after`, `attempts.settle.before` … (a statement is known by the constant that holds its text, so a new one
has its points at once), `subscriptions.commit.before` around a transaction's commit. A fuse says: at the n-th time
this point is reached, write that down, flushed to the disk, and die by SIGKILL.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

import db
from db.engine import Database, Parameters

CORE_POINTS: Final = tuple(
    f"{place}.{side}"
    for place in (
        *("charge", "lookup", "begin.begin", "attempts.settle", "attempts.decline"),
        *("attempt_rows.note", "subscriptions.commit"),
    )
    for side in ("before", "after")
)
"""Every run of full size kills a worker at each of these."""
SCARCE_POINTS: Final = frozenset({"attempts.decline.before", "attempts.decline.after"})
"""Those of them that few pass: dealt first, and met the first time."""
RARE_POINTS: Final = tuple(
    f"{place}.{side}"
    for place in (
        *("refund", "void", "get", "refunds.settle", "attempt_rows.claim_resend"),
        *("twins.book", "twins.begin", "twins.settle", "attempt_rows.verified"),
        # Of payments locked for a refund or a credit: balances.
        *("opening.commit", "catalogue.commit", "orders.commit", "balances.commit", "credit_rows.commit"),
    )
    for side in ("before", "after")
)
"""Some runs pass here; who does may die here."""

_GATEWAY_CALLS: Final = frozenset({"charge", "refund", "void", "lookup", "get", "list"})
_A_DAY_S: Final = 86_400.0
_A_STATEMENT: Final = re.compile(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE)\b")


@lru_cache(maxsize=1)
def statements() -> Mapping[str, str]:
    """Text of a statement → its name: `attempts.settle` for `db.attempts._SETTLE`."""
    found: dict[str, str] = {}
    for info in pkgutil.iter_modules(db.__path__):
        if info.name.startswith("__") or info.ispkg:
            continue
        for name, value in vars(importlib.import_module(f"db.{info.name}")).items():
            if name.startswith("_") and isinstance(value, str) and _A_STATEMENT.match(value):
                found.setdefault(value, f"{info.name}.{name.strip('_').lower()}")
    return found


@dataclass(frozen=True)
class Fuse:
    """Die when `point` is reached for the `nth` time, counted from `armed_after_s` after the worker's start."""

    point: str
    nth: int
    armed_after_s: float


def truce_of(journal: Path) -> Path:
    """A file beside the workers' journal: once it is there nobody dies any more, whatever fuse is in his hands."""
    return journal.with_suffix(".truce")


class Fuses:
    """A worker's fuses, and its journal: lines of JSON that survive its death."""

    def __init__(self, fuses: list[Fuse], journal: Path, worker: str) -> None:
        self._fuses = fuses
        self._journal = journal
        self._worker = worker
        self._reached: Counter[str] = Counter()
        self._has_charged = False
        self._born = time.monotonic()
        self._born_at = time.time()

    def reach(self, point: str) -> None:
        """Pass this point, or end here."""
        age = time.monotonic() - self._born
        for fuse in self._fuses:
            if fuse.point == point and age >= fuse.armed_after_s:
                self._reached[point] += 1
                if self._reached[point] >= fuse.nth and not truce_of(self._journal).exists():
                    self.write("killed", point=point)
                    os.kill(os.getpid(), signal.SIGKILL)

    def write(self, what: str, **facts: Any) -> None:
        line = json.dumps({"what": what, "worker": self._worker, **facts}) + "\n"
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.write(line)
            journal.flush()
            os.fsync(journal.fileno())

    def note_first_charge(self) -> None:
        """Proof that this incarnation did its work, and under which wall clock."""
        if not self._has_charged:
            self._has_charged = True
            self.write("charged", is_skewed=abs(time.time() - self._born_at) > _A_DAY_S)


class FusedGateway:
    """The gateway, with a point before and after every call."""

    def __init__(self, gateway: Any, fuses: Fuses) -> None:
        self._gateway = gateway
        self._fuses = fuses

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._gateway, name)
        if name not in _GATEWAY_CALLS:
            return value

        async def call(*given: Any, **named: Any) -> Any:
            self._fuses.reach(f"{name}.before")
            answer = await value(*given, **named)
            self._fuses.reach(f"{name}.after")
            if name == "charge":
                self._fuses.note_first_charge()
            return answer

        return call


class FusedDatabase(Database):
    """The database, with points around every statement of its own and around every commit."""

    fuses: Fuses

    @classmethod
    def fused(cls, url: str, fuses: Fuses, *, pool_size: int) -> FusedDatabase:
        database = cls.connect(url, pool_size=pool_size)
        assert isinstance(database, FusedDatabase)
        database.fuses = fuses
        return database

    async def fetch_one(self, sql: LiteralString, parameters: Parameters) -> dict[str, Any] | None:
        name = statements().get(sql)
        if name is None:
            return await super().fetch_one(sql, parameters)
        self.fuses.reach(f"{name}.before")
        row = await super().fetch_one(sql, parameters)
        self.fuses.reach(f"{name}.after")
        return row

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[psycopg.AsyncCursor[dict[str, Any]]]:
        async with super().transaction() as cursor:
            named: Any = _NamingCursor(cursor)
            yield named
            self.fuses.reach(f"{named.room}.commit.before")
        self.fuses.reach(f"{named.room}.commit.after")


class _NamingCursor:
    """A cursor that remembers whose statements it ran: the transaction is named after the first room but `requests`."""

    def __init__(self, cursor: psycopg.AsyncCursor[dict[str, Any]]) -> None:
        self._cursor = cursor
        self.room = "unnamed"

    async def execute(self, sql: Any, *given: Any, **named: Any) -> Any:
        room = statements().get(sql, "requests.").partition(".")[0]
        if self.room == "unnamed" and room not in ("requests", "steps"):
            self.room = room
        return await self._cursor.execute(sql, *given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)
