"""Idempotency keys as gateways really keep them: strictly, best-effort, or not at all.

A stored answer is replayed to the same request, also when it was a "no"; another body under the key is a
conflict; a key at work is "in flight". In `best_effort` mode the check fails with a seeded probability: then
the request is processed as if it were new and the answer says so (`Idempotency-Status: error`).
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gateways.sandbox.refusal import Refusal, invalid
from gateways.sandbox.schema import now_us

KEY_TTL_SECONDS: Final = 24 * 60 * 60.0


class CheckResult(StrEnum):
    """The `Idempotency-Status` header's words."""

    NEW = "new"
    REPLAYED = "replayed"
    ERROR = "error"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Mode:
    """`strict`, `off`, or `best_effort:0.3` (the check fails 30 times in 100)."""

    name: str
    failure_probability: float = 0.0

    def __str__(self) -> str:
        return f"{self.name}:{self.failure_probability:g}" if self.name == "best_effort" else self.name


def parse_mode(text: Any) -> Mode:
    """The mode a word names.

    Raises:
        Refusal: 422 `invalid_idempotency_mode`.
    """
    if text in {"strict", "off"}:
        return Mode(text)
    if isinstance(text, str) and text.startswith("best_effort:"):
        try:
            probability = float(text.partition(":")[2])
        except ValueError:
            probability = -1.0
        if 0 <= probability <= 1:
            return Mode("best_effort", probability)
    raise invalid("The mode is strict, best_effort:<0 to 1> or off.", code="invalid_idempotency_mode")


@dataclass(frozen=True, slots=True)
class Check:
    result: CheckResult
    status: int = 0
    answer: dict[str, Any] | None = None


def fingerprint(path: str, body: dict[str, Any]) -> str:
    """Two requests are the same when their path and body are, whatever the order of the fields."""
    text = path + "\n" + json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class KeyBook:
    """Remembers answers in the database (with the effect, atomically) and keys at work in memory."""

    def __init__(self, db: sqlite3.Connection, *, seed: int) -> None:
        self._db = db
        self._at_work: set[str] = set()
        self._dice = random.Random(f"idempotency:{seed}")  # noqa: S311 - repeatable on purpose
        self.mode = Mode("strict")
        self.ttl_seconds = KEY_TTL_SECONDS

    def check(self, key: str | None, mark: str, *, fails: bool = False) -> Check:
        """What is known of this key; `fails`: a fault wants the check to fail.

        Raises:
            Refusal: 409 `idempotency_conflict` for another body, 409 `request_in_flight` for a key at work.
        """
        if key is None or self.mode.name == "off":
            return Check(CheckResult.NONE)
        if fails:
            return Check(CheckResult.ERROR)
        if self.mode.failure_probability and self._dice.random() < self.mode.failure_probability:
            return Check(CheckResult.ERROR)
        if key in self._at_work:
            raise Refusal(409, "request_in_flight", "A request with this idempotency key is being processed.")
        row = self._db.execute(
            "SELECT fingerprint, status, answer FROM idempotency_keys WHERE key = ? AND created_at_us > ?",
            (key, self._oldest_us()),
        ).fetchone()
        if row is None:
            return Check(CheckResult.NEW)
        if row["fingerprint"] != mark:
            raise Refusal(409, "idempotency_conflict", "This idempotency key belongs to another request.")
        return Check(CheckResult.REPLAYED, row["status"], json.loads(row["answer"]))

    @contextmanager
    def at_work(self, key: str | None, check: Check) -> Iterator[None]:
        """Marks the key while its request is processed, when the check is one that keeps keys."""
        if key is None or check.result is not CheckResult.NEW:
            yield
            return
        self._at_work.add(key)
        try:
            yield
        finally:
            self._at_work.discard(key)

    def remember(self, key: str | None, check: Check, mark: str, status: int, answer: dict[str, Any]) -> None:
        """Store the answer in the transaction of the effect. An expired key starts a new life."""
        if key is None or check.result is not CheckResult.NEW:
            return
        self._db.execute(
            "INSERT OR REPLACE INTO idempotency_keys (key, fingerprint, status, answer, created_at_us)"
            " VALUES (?, ?, ?, ?, ?)",
            (key, mark, status, json.dumps(answer), now_us()),
        )

    def _oldest_us(self) -> int:
        return now_us() - int(self.ttl_seconds * 1_000_000)
