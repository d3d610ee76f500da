"""The gateway's faults of a run: every name the sandbox knows, on every route it can strike.

Names come from `gateways.sandbox.faults.NAMES`, so that a new fault joins by itself. Together they strike more than
30 in 100 requests that move money, half as many look-ups, and whoever asks for a list.
"""

from __future__ import annotations

from typing import Any, Final

from gateways.sandbox.faults import AFTER_COMMIT, BEFORE_WORK, NAMES, OF_WEBHOOKS, READS, parse_fault
from tests.chaos.guards import LATE_S
from tests.chaos.plan import Plan

WANTED: Final = frozenset(NAMES - OF_WEBHOOKS - {"decline"})
"""`decline` is an outcome, and the cards decline enough. Nobody listens to webhooks yet: those would strike nobody."""

SINGLE: Final = BEFORE_WORK | AFTER_COMMIT
"""At most one of these strikes a request: counting them counts requests."""

_WRITES: Final = ("charge", "refund", "void")
_MONEY_SHARE: Final = 0.08
_READ_SHARE: Final = 0.05
_SECONDS: Final[dict[str, tuple[float, float]]] = {"slow": (2.2, LATE_S), "lookup_lag": (1.0, LATE_S)}
"""Within the horizon (but beyond the client's time-out), and beyond it, the one or the other in a run."""


def rules_of(plan: Plan) -> list[dict[str, Any]]:
    """The sandbox's fault plan for this run."""
    if plan.profile is not None:
        return list(plan.profile.rules)
    rules = []
    for name in sorted(WANTED):
        for route in (*_WRITES, *sorted(READS)):
            rules += [rule for rule in _rules(plan, name, route) if _applies(rule)]
    return rules


def _late_by(plan: Plan) -> str:
    """How the gateway breaks its promise in this run. Of one request both together are three horizons: then the money
    shows after the second look, and only the daily reconciliation finds it (docs/safety.md).
    """
    return "slow" if plan.seed % 2 else "lookup_lag"


def idempotency_of(plan: Plan) -> str:
    return "best_effort:0.3" if plan.profile is None else plan.profile.idempotency


def _rules(plan: Plan, name: str, route: str) -> list[dict[str, Any]]:
    share = _READ_SHARE if route in READS else _MONEY_SHARE
    if name not in _SECONDS:
        return [{"fault": name, "route": route, "probability": share}]
    within, beyond = _SECONDS[name]
    rules = [{"fault": name, "route": route, "probability": share, "seconds": within}]
    if plan.beyond_horizon and name == _late_by(plan) and route not in READS:
        rules.append({"fault": name, "route": route, "probability": share / 4, "seconds": beyond})
    return rules


def _applies(rule: dict[str, Any]) -> bool:
    return parse_fault(rule["fault"], rule.get("seconds")).applies_to(rule["route"])
