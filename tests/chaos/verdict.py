"""What a run found: the auditor's violations, what never fired, what never came to rest, and the one line of JSON."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos import gateway_faults, proxy, scale
from tests.chaos.asking import Answered
from tests.chaos.books import Books
from tests.chaos.crew import Crew
from tests.chaos.fuses import CORE_POINTS
from tests.chaos.nursery import ROOT
from tests.chaos.plan import Plan
from tests.chaos.servers import Servers
from tests.chaos.strays import Strays

INVARIANTS: Final = tuple(f"I{number}" for number in range(1, 9))
GATEWAY_SHARE_MIN: Final = 0.30


@dataclass
class Facts:
    """What the run gathered on its way."""

    plan: Plan
    crew: Crew
    stage: Servers
    books: Books
    answered: Answered = field(init=False)
    strays: Strays = field(init=False)
    servers_hit: Counter[str] = field(default_factory=Counter)
    gateway_fired: dict[str, int] = field(default_factory=dict)
    blocks: Counter[str] = field(default_factory=Counter)
    deployed: bool = False
    healed_at: float = 0.0
    pairs_at_healing: int = 0
    recovery_s: float | None = None
    converged_s: float | None = None
    unfinished: list[str] = field(default_factory=list)
    open_attempts: list[str] = field(default_factory=list)
    still_running: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """`line` is the last line of the run on standard output."""

    line: dict[str, Any]
    complaints: list[str]
    examples: dict[str, list[Any]]

    @property
    def passed(self) -> bool:
        return not self.complaints


async def judge(facts: Facts, say: Callable[[str], None]) -> Verdict:
    """Run the auditor over both books, as a program of its own, and add what only the harness can know."""
    say("auditing")
    audit = await asyncio.to_thread(_audit, facts)
    violations: dict[str, int] = {name: int(audit["violations"].get(name, 0)) for name in INVARIANTS}
    examples: dict[str, list[Any]] = dict(audit.get("examples", {}))
    for invariant, found in (await _of_the_harness(facts)).items():
        violations[invariant] += len(found)
        if found:
            examples[invariant] = [*examples.get(invariant, []), *found[:5]]
    pairs = await facts.books.pairs()
    await facts.stage.sandbox.stop()
    share = _share_of_requests(facts)
    missing = _missing(facts, pairs, share)
    crew = facts.crew
    line = {
        "pairs": pairs,
        "kills": crew.killed,
        "server_kills": facts.servers_hit["server_kills"],
        "database_restarts": facts.servers_hit["database_restarts"],
        "faults": _faults(facts),
        "violations": violations,
        "seconds": round(facts.seconds, 1),
        "seed": facts.plan.seed,
        "commit": _commit(),
        "guard_off": facts.plan.guard_off,
        "faults_of": facts.plan.faults_of,
        "gateway_fault_share": round(share, 3),
        "fault_points": dict(sorted(crew.kills.items())),
        "missing_faults": missing,
        "recovery_seconds": None if facts.recovery_s is None else round(facts.recovery_s, 1),
        "convergence_seconds": None if facts.converged_s is None else round(facts.converged_s, 1),
        "pairs_at_healing": facts.pairs_at_healing,
        "checked": audit.get("checked", {}),
        "waiting_for_people": audit.get("waiting_for_people", 0),
        "incidents": await facts.books.incidents(),
        "statuses": facts.statuses,
        "orders_and_credits": facts.others,
        "leaked_exceptions": dict(facts.answered.leaked),
    }
    complaints = [f"{name} is broken {count} times" for name, count in violations.items() if count]
    complaints += [f"wanted, and never fired: {name}" for name in missing]
    complaints += _unrest(facts)
    return Verdict(line, complaints, examples)


def _unrest(facts: Facts) -> list[str]:
    found = []
    bar_s = 2 * scale.LONGEST_TIMEOUT_S
    if facts.converged_s is None:
        found.append(
            f"no convergence: unfinished {facts.unfinished[:5]}, open attempts {facts.open_attempts[:5]}, "
            f"running {facts.still_running[:5]}"
        )
    if facts.recovery_s is None or facts.recovery_s >= bar_s:
        found.append(f"recovery took {facts.recovery_s} s; the bar is {bar_s:.0f} s")
    if facts.answered.unanswered:
        found.append(f"never answered: {facts.answered.unanswered[:5]}")
    return found


async def _of_the_harness(facts: Facts) -> dict[str, list[Any]]:
    """What cannot be seen in the two books: promises to callers, and Temporal's own word."""
    answered, recorded = facts.answered, await facts.books.recorded_requests()
    lost = sorted(request for request in answered.accepted if request not in recorded)
    lost += sorted(request for request in answered.created if request not in recorded)
    twice = sorted(request for request, ids in answered.created.items() if len(ids) > 1)
    return {
        "I1": [f"the callers of {request} were answered with different ids" for request in twice],
        "I4": [f"TemporalReportedProblems: {name}" for name in facts.problems],
        "I8": [f"accepted, and not in the history: {request}" for request in lost],
    }


def _audit(facts: Facts) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.chaos.auditor", "--json"]
    command += [
        "--horizon-seconds",
        str(scale.HORIZON_S),
        "--attempt-grace-seconds",
        str(scale.LONGEST_TIMEOUT_S),
    ]
    command += ["--database-url", facts.stage.database_url, "--gateway-url", facts.stage.sandbox.base_url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise RuntimeError(f"The auditor failed ({done.returncode}):\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _share_of_requests(facts: Facts) -> float:
    """Requests that move money and were struck ÷ all of them, from the stopped sandbox's own log.

    Each request is struck by at most one fault of those counted here, so the share is never overstated;
    `slow` and `lookup_lag` come on top.
    """
    single = gateway_faults.SINGLE
    book = sqlite3.connect(f"file:{facts.stage.home / 'sandbox.db'}?mode=ro", uri=True)
    try:
        marks = ", ".join("?" * len(single))
        writes = "('charge', 'refund', 'void')"
        struck = book.execute(
            f"SELECT count(*) FROM fired_faults WHERE route IN {writes} AND fault IN ({marks})",
            sorted(single),
        ).fetchone()[0]
        total = book.execute(f"SELECT count(*) FROM request_log WHERE route IN {writes}").fetchone()[0]
    finally:
        book.close()
    return struck / total if total else 0.0


def _faults(facts: Facts) -> dict[str, int]:
    answered = facts.answered
    found = {f"gateway.{name}": count for name, count in sorted(facts.gateway_fired.items())}
    found |= {f"network.{name}": facts.stage.touched[name] for name in proxy.FAULTS}
    found |= {
        "clock_skew": len(_skewed(facts)),
        "deploy": _moved(facts),
        "stray_attempt": facts.strays.fired,
        "block": facts.blocks["block"],
        "unblock": facts.blocks["unblock"],
        "repeated_at_once": answered.repeated["at once"],
        "repeated_answer_lost": answered.repeated["answer lost"],
    }
    return found


def _skewed(facts: Facts) -> list[str]:
    """Incarnations that talked to the gateway with a wall clock far in the future."""
    return [
        each["worker"] for each in facts.crew.evidence() if each["what"] == "charged" and each["is_skewed"]
    ]


def _moved(facts: Facts) -> int:
    """Workers of the second build that charged somebody."""
    return len(facts.crew.has_charged("b")) if facts.deployed else 0


def _missing(facts: Facts, pairs: int, share: float) -> list[str]:
    """Faults that were wanted and did not happen: such a run proves nothing."""
    plan, faults = facts.plan, _faults(facts)
    missing = [] if pairs >= plan.pairs else [f"pairs: {pairs} of {plan.pairs}"]
    wanted = {"kills": (facts.crew.killed, plan.kills)}
    wanted |= {
        name: (facts.servers_hit[name], getattr(plan, name)) for name in ("server_kills", "database_restarts")
    }
    wanted["strays"] = (facts.strays.fired, plan.strays)
    wanted["orders"] = (_ended(facts, "order "), plan.orders * 4 // 5)
    wanted["credits"] = (facts.others.get("credit returned: returned", 0), plan.credits // 3)
    missing += [f"{name}: {there} of {least}" for name, (there, least) in wanted.items() if there < least]
    if plan.profile is not None:
        fired = {rule["fault"] for rule in plan.profile.rules}
        return missing + sorted(f"gateway.{name}" for name in fired if not facts.gateway_fired.get(name))
    never = {name for name, count in faults.items() if not count}
    never |= {f"gateway.{name}" for name in gateway_faults.WANTED if not facts.gateway_fired.get(name)}
    if not plan.every_fault:
        some = [kind for kind in ("gateway", "network") if not _any(faults, f"{kind}.")]
        return missing + some + sorted(never & {"clock_skew", "deploy", "block", "unblock"})
    never |= {f"killed at {point}" for point in CORE_POINTS if not facts.crew.kills[point]}
    if share < GATEWAY_SHARE_MIN:
        never.add(f"gateway faults: {share:.0%} of the requests that move money")
    return missing + sorted(never)


def _ended(facts: Facts, beginning: str) -> int:
    return sum(count for what, count in facts.others.items() if what.startswith(beginning))


def _any(faults: dict[str, int], prefix: str) -> bool:
    return any(count for name, count in faults.items() if name.startswith(prefix))


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
