"""The workers of a run: started, killed, started again, and replaced by a new version in mid-flight.

Fuses (`fuses.py`) are dealt from a shuffled deck: each incarnation of a worker gets a few, and what it did not use
when it died goes back, so that every point of the deck is met. Besides, workers are killed at random moments.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.service import RPCError

from runtime.settings import Settings
from tests.chaos.fuses import CORE_POINTS, RARE_POINTS, SCARCE_POINTS, Fuse, truce_of
from tests.chaos.nursery import ROOT, Child, Nursery
from tests.chaos.plan import Plan
from tests.chaos.servers import Servers
from tests.chaos.timelapse import PACE_VARIABLE
from tests.chaos.worker import VARIABLE, Orders

DEPLOYMENT: Final = "chaos"
SKEW_DAYS: Final = 400
_FUSES_DEALT: Final = 4
_RARE_DEALT: Final = 4
_REGISTER_SECONDS: Final = 60.0
_ROUTE_TIMEOUT: Final = timedelta(seconds=3)
"""A server that was killed meanwhile may never answer."""
_FAREWELL_SECONDS: Final = 8.0


@dataclass
class Member:
    """One place in the crew; its process changes, its proxies stay."""

    name: str
    build: str
    settings: Settings
    skew_days: int = 0
    incarnation: int = 0
    fuses: list[Fuse] = field(default_factory=list)
    process: Child | None = None
    shot: bool = False
    dismissed: bool = False

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.returncode is None


class Crew:
    """Keeps `plan.workers` workers running until told otherwise."""

    def __init__(self, plan: Plan, servers: Servers) -> None:
        self._plan = plan
        self._servers = servers
        self._dice = plan.dice("crew")
        self._deck = _deck(plan, self._dice)
        self._used_rare: set[str] = set()
        self._nursery = Nursery()
        self._keepers: set[asyncio.Task[None]] = set()
        self.members: list[Member] = []
        self.journal = servers.home / "journal.jsonl"
        self.kills: Counter[str] = Counter()
        self.refused_starts = 0

    @property
    def killed(self) -> int:
        return sum(self.kills.values())

    @property
    def deck_left(self) -> list[str]:
        """Points still to be met, those in workers' hands included."""
        core = set(CORE_POINTS) if self._plan.profile is None else set(self._plan.profile.kill_at)
        return sorted({point for point in core if point in self._deck} | self._in_hands(core))

    def _in_hands(self, core: set[str]) -> set[str]:
        return {fuse.point for member in self.members if member.is_up for fuse in member.fuses} & core

    async def open(self) -> None:
        """Make ready for births; takes as long as a worker's imports."""
        await self._nursery.open(self._servers.home / "nursery.log", _inherited(self._plan))

    async def hire(self, count: int, *, build: str, letter: str) -> list[Member]:
        """Start new members. The first of the first ones has a wall clock that is off."""
        hired = []
        for number in range(count):
            settings = await self._servers.proxied()
            skew = SKEW_DAYS if not self.members and number == 0 else 0
            hired.append(Member(f"{letter}{number}", build, settings, skew_days=skew))
        self.members += hired
        for member in hired:
            await self._start(member)
            keeper = asyncio.create_task(self._keep(member))
            self._keepers.add(keeper)
        return hired

    async def make_current(self, client: Client, build: str) -> None:
        """Route new workflows, and runs cut from now on, to this build."""
        request = SetWorkerDeploymentCurrentVersionRequest(
            namespace=client.namespace, deployment_name=DEPLOYMENT, build_id=build, identity="chaos"
        )
        async with asyncio.timeout(_REGISTER_SECONDS):
            while True:
                try:
                    await client.workflow_service.set_worker_deployment_current_version(
                        request, timeout=_ROUTE_TIMEOUT
                    )
                except (
                    RPCError
                ):  # its workers have not reported for work yet, or a server is down or was just now
                    await asyncio.sleep(0.3)
                else:
                    return

    def mend(self) -> None:
        """Faults are over: nobody gets a fuse any more, and those in hands are out."""
        truce_of(self.journal).touch()

    def redeal(self) -> None:
        """Points are left in the deck and nobody dies any more: somebody must go, so that the next one gets them."""
        core = set(self.deck_left)
        if core and not core & {
            f.point for m in self.members if m.is_up and not m.dismissed for f in m.fuses
        }:
            self.shoot()

    def shoot(self) -> None:
        """SIGKILL to somebody, at this very moment."""
        up = [member for member in self.members if member.is_up and not member.dismissed]
        if up:
            victim = self._dice.choice(up)
            victim.shot = True
            assert victim.process is not None
            victim.process.send_signal(signal.SIGKILL)

    async def dismiss(self, members: list[Member]) -> None:
        """End these for good, as the end of a deploy does."""
        for member in members:
            member.dismissed = True
            if member.process is not None:
                member.process.send_signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(member.process.wait(), _FAREWELL_SECONDS)
                member.process.kill()

    async def close(self) -> None:
        for member in self.members:
            member.dismissed = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await self._nursery.close()

    def evidence(self) -> list[dict[str, Any]]:
        """What the workers wrote down before they died, or once."""
        if not self.journal.exists():
            return []
        return [json.loads(line) for line in self.journal.read_text(encoding="utf-8").splitlines()]

    def has_charged(self, letter: str) -> list[str]:
        """Incarnations of workers with this letter that charged somebody."""
        charged = [line["worker"] for line in self.evidence() if line["what"] == "charged"]
        return [worker for worker in charged if worker.startswith(letter)]

    # ------------------------------------------------------------------ one worker's life

    async def _start(self, member: Member) -> None:
        member.incarnation += 1
        member.shot = False
        member.fuses = [] if truce_of(self.journal).exists() else self._deal()
        orders = Orders(
            name=f"{member.name}-{member.incarnation}",
            journal=str(self.journal),
            fuses=member.fuses,
            guard_off=self._plan.guard_off,
            skew_days=member.skew_days,
        )
        log = self._servers.home / f"worker-{member.name}.log"
        member.process = await self._nursery.bear(log, _environment(self._plan, member, orders))

    async def _keep(self, member: Member) -> None:
        """A supervisor: whoever ends is started again, unless dismissed."""
        while True:
            assert member.process is not None
            status = await member.process.wait()
            self._take_back(member, status)
            if member.dismissed:
                return
            await asyncio.sleep(0.2)
            await self._start(member)

    def _take_back(self, member: Member, status: int) -> None:
        name = f"{member.name}-{member.incarnation}"
        died_at = {
            line["point"] for line in self.evidence() if line["what"] == "killed" and line["worker"] == name
        }
        for point in died_at:
            self.kills[point] += 1
            self._used_rare.add(point)
        if member.shot and not died_at:
            self.kills["at random"] += 1
        elif status not in (0, -signal.SIGKILL):
            self.refused_starts += (
                1  # a server was down when it wanted to connect; its supervisor tries again
            )
        self._deck += [fuse.point for fuse in member.fuses if fuse.point not in {*died_at, *RARE_POINTS}]
        member.fuses = []

    def _deal(self) -> list[Fuse]:
        """A few points of the deck, and the rare ones that nobody has met yet."""
        calm_s = self._calm_s()
        count = _FUSES_DEALT if self._plan.profile is None else 1
        dealt, self._deck = self._deck[:count], self._deck[count:]
        often = 4 if self.killed < self._plan.kills // 2 else 1
        fuses = [
            Fuse(point, 1 if point in SCARCE_POINTS else self._dice.randint(1, often), calm_s)
            for point in dealt
        ]
        if self._plan.every_fault and self._plan.profile is None:
            unmet = [point for point in RARE_POINTS if point not in self._used_rare]
            rare = self._dice.sample(unmet, min(len(unmet), _RARE_DEALT))
            fuses += [Fuse(point, 1, calm_s) for point in rare]
        return fuses

    def _calm_s(self) -> float:
        """How long a worker lives unharmed: so that deaths spread over the run."""
        if self._plan.profile is not None:
            return self._dice.uniform(1.0, 4.0)  # its load is soon over
        deaths = max(1, self._plan.kills)
        life_s = self._plan.strike_s * self._plan.workers / deaths
        return self._dice.uniform(0.15, 0.75) * life_s


def _deck(plan: Plan, dice: random.Random) -> list[str]:
    if plan.profile is not None:
        return list(plan.profile.kill_at) * plan.kills
    deck = list(CORE_POINTS)
    dice.shuffle(deck)
    if plan.kills < len(deck):
        return deck[: plan.kills]
    return sorted(deck, key=lambda point: point not in SCARCE_POINTS)


def _environment(plan: Plan, member: Member, orders: Orders) -> dict[str, str]:
    settings = member.settings
    return {
        **_inherited(plan),
        "TEIKI_DATABASE_URL": settings.database,
        "TEIKI_CODEC_KEYS": settings.codec_keys.get_secret_value() if settings.codec_keys else "",
        "TEIKI_GATEWAY_URL": settings.gateway_url,
        "TEIKI_PUBLIC_URL": settings.public_url,
        "TEIKI_STATE_DIR": str(settings.state_dir),
        "TEIKI_TEMPORAL_ADDRESS": settings.temporal_address or "",
        "TEIKI_LOG_LEVEL": "WARNING",
        "TEIKI_GRACEFUL_SHUTDOWN_SECONDS": "3",
        "TEIKI_DEPLOYMENT_NAME": DEPLOYMENT,
        "TEIKI_BUILD_ID": member.build,
        VARIABLE: orders.to_json(),
    }


def _inherited(plan: Plan) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "TEIKI_"))
    }
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    return {**inherited, "PYTHONPATH": path, PACE_VARIABLE: str(plan.pace_s)}
