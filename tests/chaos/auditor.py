"""The auditor: are the promises kept, judged from outside?

    python -m tests.chaos.auditor --database-url URL --gateway-url URL [--horizon-seconds 600] [--json]

Reads only the sandbox gateway's audit pages and our Postgres, with SQL of its own, and checks the invariants I1–I8 of
quality.md. It may look while the system works, but judges best when it has come to rest: what is in flight cannot be
compared. Exit code 0: nothing found; 1: violations; 2: it could not look.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.error import URLError

import psycopg

from tests.chaos import audit_money, audit_orders, audit_records
from tests.chaos.audit_books import Terms, opened
from tests.chaos.audit_money import Check

CHECKS: Final[tuple[Check, ...]] = (
    *audit_money.I1,
    *audit_orders.I1,
    *audit_money.I2,
    *audit_money.I3,
    *audit_orders.I3,
    *audit_money.I4,
    *audit_orders.I4,
    *audit_records.I5,
    *audit_records.I6,
    *audit_orders.I6,
    *audit_records.I7,
    *audit_records.I8,
)
PROMISES: Final = {
    "I1": "charged once, sold once",
    "I2": "our ledger is the gateway's",
    "I3": "no charge without an attempt, none the other way round",
    "I4": "nothing stuck",
    "I5": "no secret past its use",
    "I6": "every end has a reason, an actor, an event and a notice",
    "I7": "nobody charged after a block",
    "I8": "every accepted command in history",
}
EXAMPLES_MAX: Final = 5


@dataclass
class Findings:
    """What was found; `waiting_for_people` counts attempts in `attention`: unknown, and shown as such."""

    violations: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PROMISES, 0))
    checked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PROMISES, 0))
    examples: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in PROMISES})
    waiting_for_people: int = 0

    @property
    def total(self) -> int:
        return sum(self.violations.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "violations": self.violations,
            "checked": self.checked,
            "examples": {name: shown for name, shown in self.examples.items() if shown},
            "waiting_for_people": self.waiting_for_people,
        }


def audit(database_url: str, gateway_url: str, terms: Terms | None = None) -> Findings:
    """Check everything.

    Args:
        database_url: `postgresql://…`; SQLAlchemy's `postgresql+psycopg://…` is understood as well.
        gateway_url: the sandbox's address.
        terms: how long something may be open; the sandbox's usual horizon when not given.

    Raises:
        psycopg.Error: the database cannot be read.
        OSError: the gateway cannot be read.
    """
    findings = Findings()
    with opened(database_url, gateway_url, terms or Terms()) as cursor:
        for check in CHECKS:
            cursor.execute(check.counted)
            findings.checked[check.invariant] += _number(cursor)
            cursor.execute(check.broken)
            broken = [str(row[0]) for row in cursor.fetchall()]
            findings.violations[check.invariant] += len(broken)
            shown = findings.examples[check.invariant]
            shown += broken[: EXAMPLES_MAX - len(shown)]
        cursor.execute("SELECT count(*) FROM attempts WHERE state = 'attention'")
        findings.waiting_for_people = _number(cursor)
    return findings


def _number(cursor: psycopg.Cursor[Any]) -> int:
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def main(arguments: list[str] | None = None) -> int:
    """Look, print and say by the exit code."""
    asked = _arguments(arguments)
    terms = Terms(
        horizon=timedelta(seconds=asked.horizon_seconds),
        attempt_grace=timedelta(seconds=asked.attempt_grace_seconds),
        step_grace=timedelta(seconds=asked.step_grace_seconds),
    )
    try:
        findings = audit(asked.database_url, asked.gateway_url, terms)
    except (psycopg.Error, URLError, OSError) as error:
        # Not the address: it may carry a password.
        print(f"The books could not be read ({type(error).__name__}).", file=sys.stderr)
        return 2
    print(json.dumps(findings.as_json(), ensure_ascii=False) if asked.json else _table(findings))
    return 1 if findings.total else 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="auditor", description="Checks I1 to I8 from outside.")
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--gateway-url", required=True)
    parser.add_argument("--horizon-seconds", type=float, default=600)
    parser.add_argument("--attempt-grace-seconds", type=float, default=300)
    parser.add_argument("--step-grace-seconds", type=float, default=300)
    parser.add_argument("--json", action="store_true", help="one line for machines")
    return parser.parse_args(arguments)


def _table(findings: Findings) -> str:
    lines = [f"{'':4} {'promise':58} {'checked':>9} {'violations':>11}"]
    for name, promise in PROMISES.items():
        lines.append(f"{name:4} {promise:58} {findings.checked[name]:9} {findings.violations[name]:11}")
        lines += [f"     ! {example}" for example in findings.examples[name]]
    if findings.waiting_for_people:
        lines.append(f"{findings.waiting_for_people} attempts wait for a person.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
