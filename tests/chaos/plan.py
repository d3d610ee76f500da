"""What a run is to be: everything the seed and the command line decide, before anything is started."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.chaos.guards import PROFILES, Profile


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run.

    Attributes:
        pairs: (subscription, payment) pairs that must at least be collected for.
        payments: of each subscription that meets no obstacle.
        strike_s: how long faults strike at least; while wanted faults are missing they go on, up to twice as long.
        pace_s: real time between two payments of a subscription.
        kills: workers killed at fault points and at random.
        orders: one-time ones, paid by card.
        credits: parts of payments that operators give back.
        every_fault: each single fault and each core fault point must be met; else it is enough that some are.
        beyond_horizon: also gateway faults that break the promise of the horizon, which only verification mends.
        guard_off: the guard that the workers lack.
        faults_of: only the faults that this guard protects against, turned up (`guards.PROFILES`).
    """

    seed: int = 7
    pairs: int = 500
    payments: int = 5
    workers: int = 4
    strike_s: float = 130.0
    pace_s: float = 6.0
    kills: int = 22
    server_kills: int = 2
    database_restarts: int = 2
    operations: int = 60
    blocks: int = 5
    orders: int = 60
    credits: int = 60
    strays: int = 5
    beyond_horizon: bool = True
    every_fault: bool = True
    guard_off: str | None = None
    faults_of: str | None = None

    @property
    def profile(self) -> Profile | None:
        """Of a run that looks at one guard; None: a run with every fault."""
        return None if self.faults_of is None else PROFILES[self.faults_of]

    @property
    def subscriptions(self) -> int:
        """Almost half as many again as needed: some are ended, suspended or blocked before they have paid all."""
        return -(-self.pairs * 29 // (self.payments * 20))

    def dice(self, name: str) -> random.Random:
        """Repeatable dice of one's own for each part, so that none disturbs another's."""
        return random.Random(f"{self.seed}:{name}")


def bounded(seed: int = 1) -> Plan:
    """Small enough for every test run: well under two minutes on two busy cores."""
    return Plan(
        seed=seed,
        pairs=30,
        payments=3,
        workers=3,
        strike_s=16.0,
        pace_s=2.5,
        kills=2,
        server_kills=1,
        database_restarts=1,
        operations=6,
        blocks=1,
        orders=5,
        credits=5,
        strays=1,
        every_fault=False,
    )


def focused(guard: str, *, seed: int, pairs: int, guard_off: bool) -> Plan:
    """Only what one guard protects against, turned up; with the guard or without it."""
    return Plan(
        seed=seed,
        pairs=pairs,
        payments=4,
        workers=2,
        strike_s=15.0,
        pace_s=1.0,
        kills=len(PROFILES[guard].kill_at),
        server_kills=0,
        database_restarts=0,
        operations=0,
        blocks=0,
        orders=0,
        credits=0,
        strays=PROFILES[guard].strays,
        guard_off=guard if guard_off else None,
        faults_of=guard,
    )
