"""The guards, each with a variant that is switched off: the mutation proof of quality.md.

A guard is switched off in the chaos workers only, when they are composed; the product has no switch. Each guard has
the faults it protects against (`Profile`): with them turned up and the guard on there must be no violation, with the
guard off there must be one. A guard whose absence nobody notices protects nothing, or is not tested.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, LiteralString

import psycopg
from temporalio import activity

from activities.billing import BillingActivities
from activities.contracts.billing import VERIFY, VerifyInput, VerifyResult
from db import attempts, catalogue, opening, requests, subscriptions
from db.engine import Parameters
from gateways.port import GatewayCharge
from tests.chaos.fuses import FusedDatabase
from tests.chaos.scale import CLIENT_TIMEOUT, HORIZON_S

Rules = tuple[dict[str, Any], ...]

LATE_S: Final = HORIZON_S + CLIENT_TIMEOUT.total_seconds() + 0.6
"""After the second sending (a horizon after the first one timed out), before the verification a horizon later: only
that sees such a charge. The gateway breaks its promise here, by so little that it can be mended."""
NEVER_SEEN_S: Final = 60.0
"""A look-up that lags longer than any protocol waits: only the key is left."""
_SLOW_S: Final = 2.2


@dataclass(frozen=True)
class Profile:
    """What surrounds a run that looks at one guard.

    Attributes:
        idempotency: the sandbox's mode.
        rules: the gateway's faults.
        strays: attempts that a second worker sends beside a live one.
        kill_at: a fault point at which every worker dies once.
        repeats: the share of calls that are repeated at once with the same request id.
    """

    says: str
    idempotency: str = "strict"
    rules: Rules = ()
    strays: int = 0
    kill_at: tuple[str, ...] = ()
    repeats: float = 0.0


def _charge(fault: str, probability: float, seconds: float | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"fault": fault, "probability": probability, "route": "charge"}
    return rule if seconds is None else rule | {"seconds": seconds}


PROFILES: Final[dict[str, Profile]] = {
    "key": Profile(
        "answers lost after the commit, look-ups that lag far beyond every horizon; the gateway honours keys",
        rules=(_charge("drop_after", 0.4), _charge("lookup_lag", 0.9, NEVER_SEEN_S)),
    ),
    "live_attempt": Profile(
        "a stray worker sends the next attempt beside one whose outcome is unknown",
        rules=(_charge("drop_after", 0.5), _charge("lookup_lag", 0.9, 2.0)),
        strays=6,
    ),
    "horizon": Profile(
        "slower than the client's time-out, then success; no key is ever recognised",
        idempotency="best_effort:1",
        rules=(_charge("slow", 0.4, _SLOW_S),),
    ),
    "lookup": Profile(
        "answers lost after the commit; no key is ever recognised",
        idempotency="best_effort:1",
        rules=(_charge("drop_after", 0.4),),
    ),
    "verification": Profile(
        "answers lost after the commit, look-ups that lag beyond the horizon; no key is ever recognised",
        idempotency="best_effort:1",
        rules=(_charge("drop_after", 0.4), _charge("lookup_lag", 0.9, LATE_S)),
    ),
    "outbox": Profile(
        "workers die right after a charge was settled in the books",
        kill_at=("attempts.settle.after",),
    ),
    "request_ids": Profile(
        "every call is repeated at once under the same request id",
        repeats=1.0,
    ),
}
GUARDS: Final = tuple(PROFILES)


# ---------------------------------------------------------------------- the variants


class KeylessGateway:
    """`key` off: every call that moves money sends a fresh random idempotency key."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._gateway, name)
        if name not in ("charge", "refund", "void", "create_konbini", "void_konbini"):
            return value

        async def call(**given: Any) -> Any:
            return await value(**{**given, "idempotency_key": str(uuid.uuid4())})

        return call


class BlindGateway:
    """`lookup` off: the gateway's book is never found to hold anything under a reference."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    async def lookup(self, reference: str) -> list[GatewayCharge]:
        return []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)


def horizon(guard_off: str | None) -> timedelta:
    """`horizon` off: a lost request is believed to be dead at once, and sent again."""
    return timedelta() if guard_off == "horizon" else timedelta(seconds=HORIZON_S)


_NOTICE: Final = re.compile(r", notice AS \(.*?\)(?=, subscription AS)", re.DOTALL)
_NOTICE_ALONE: Final[LiteralString] = """
INSERT INTO outbox (topic, subject_id, payload)
SELECT 'payment.settled', object_id, jsonb_build_object('subscription_id', object_id, 'number', number,
       'attempt', attempt, 'amount_minor', amount_minor, 'currency', currency)
FROM attempts WHERE key = %(key)s
UNION ALL
SELECT 'subscription.status', a.object_id,
       move || jsonb_build_object('subscription_id', a.object_id, 'number', a.number)
FROM attempts a, jsonb_array_elements(%(moves)s::jsonb) AS move WHERE a.key = %(key)s
"""


class ForgetfulDatabase(FusedDatabase):
    """`outbox` off: the notice of a settlement is written in a transaction of its own, after the settling one."""

    async def fetch_one(self, sql: LiteralString, parameters: Parameters) -> dict[str, Any] | None:
        settle = attempts._SETTLE
        if sql != settle:
            return await super().fetch_one(sql, parameters)
        mutant, cut = _NOTICE.subn("", settle)
        assert cut == 1, "the statement has changed; tests/chaos/guards.py must follow"
        row = await super().fetch_one(mutant, parameters)
        self.fuses.reach("attempts.settle.after")
        if row is not None:
            async with self.connection() as driver:
                await driver.execute(_NOTICE_ALONE, parameters)
        return row


async def _always_new(
    cursor: Any, *, scope: str, request_id: str, subject_id: str, **_: Any
) -> requests.Claim:
    return requests.Claim("new", subject_id)


class CarelessBilling(BillingActivities):
    """`verification` off: the second look at what was in doubt is taken with closed eyes."""

    @activity.defn(name=VERIFY)
    async def verify(self, order: VerifyInput) -> VerifyResult:
        return await BillingActivities(self.db, BlindGateway(self.gateway)).verify(order)


def forget_requests() -> None:
    """`request_ids` off: the table never recognises a repetition."""
    for module in (opening, subscriptions, catalogue):
        assert vars(module)["claim"] is requests.claim, (
            f"{module.__name__} takes its claims from elsewhere now"
        )
        vars(module)["claim"] = _always_new


async def drop_live_attempt_index(database_url: str) -> None:
    """`live_attempt` off: the database no longer refuses a second live attempt of a payment."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("DROP INDEX uq_attempts_live")
