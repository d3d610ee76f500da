"""The fault plan: which requests break, how, and proof that they did.

Faults come from the request's `X-Sandbox-Fault` header, from the token (`POST /tokens`), from a script item
and from the global plan's rules (`PUT /_control/faults`). Draws are seeded; every firing is a row with the
seed and an ordinal, because a chaos run whose faults never fired proves nothing.

The route `webhook` stands for the events that tell of a change (`webhooks.py`): its faults may be asked for by the
request that makes the change, by the card, or by the plan, and are logged when the event is written.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from domain.declines import DeclineCode
from gateways.sandbox.outcomes import decline_word
from gateways.sandbox.refusal import invalid

BEFORE_WORK: Final = frozenset({"drop_before", "error_before", "in_flight_409", "rate_limit_429"})
"""Nothing happens; the answer is an error or none at all."""
AFTER_COMMIT: Final = frozenset({"drop_after", "error_after", "malformed", "wrong_amount_echoed"})
"""The money moves; the answer is wrong or none at all."""
KEY_CHECK_FAILED: Final = "key_check_failed"
"""The idempotency check of this request fails: it is processed as new, and the answer says so."""
OF_WEBHOOKS: Final = frozenset(
    {"webhook_duplicate", "webhook_reorder", "webhook_delay", "webhook_lose", "webhook_forge"}
)
_TIMED: Final = frozenset({"slow", "lookup_lag", "webhook_delay"})
NAMES: Final = BEFORE_WORK | AFTER_COMMIT | OF_WEBHOOKS | _TIMED | {"decline", KEY_CHECK_FAILED}
_OF_NEW_WORK: Final = {
    "decline": frozenset({"charge"}),
    "lookup_lag": frozenset({"charge", "refund", "konbini"}),
}

READS: Final = frozenset({"lookup", "get", "list"})
ROUTES: Final = READS | {"charge", "refund", "void", "konbini", "webhook"}
_FAULTS_OF_READS: Final = frozenset({"drop_before", "error_before", "rate_limit_429", "slow", "malformed"})
_SECONDS_MAX: Final = 3_600.0
_RULES_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break. `seconds` belongs to `slow`, `lookup_lag` and `webhook_delay`, `code` to `decline`."""

    name: str
    seconds: float = 0.0
    code: DeclineCode | None = None

    def applies_to(self, route: str) -> bool:
        if self.name in OF_WEBHOOKS or route == "webhook":
            return self.name in OF_WEBHOOKS and route == "webhook"
        if self.name in _OF_NEW_WORK:
            return route in _OF_NEW_WORK[self.name]
        return route not in READS or self.name in _FAULTS_OF_READS


def parse_fault(text: Any, seconds: Any = None) -> Fault:
    """`drop_after`, `slow:2.5`, `lookup_lag:5`, `decline:lost_card`.

    Raises:
        Refusal: 422 `invalid_fault` for an unknown name or a wrong number of seconds.
    """
    name, _, argument = text.partition(":") if isinstance(text, str) else ("", "", "")
    if name not in NAMES:
        raise invalid(f"{text!r} is no fault. Known: {', '.join(sorted(NAMES))}.", code="invalid_fault")
    if name == "decline":
        return Fault(name, code=decline_word(argument))
    if name not in _TIMED:
        if argument:
            raise invalid(f"{name} takes no argument.", code="invalid_fault")
        return Fault(name)
    given = argument if seconds is None else str(seconds)
    if not re.fullmatch(r"\d{1,4}(\.\d{1,6})?", given) or float(given) > _SECONDS_MAX:
        raise invalid(
            f"{name} needs its seconds, as in {name}:2.5 (at most {_SECONDS_MAX:g}).", "invalid_fault"
        )
    return Fault(name, seconds=float(given))


@dataclass(slots=True)
class Rule:
    """`fault` strikes matching requests with `probability`, at most `times` times in all."""

    fault: Fault
    probability: float = 1.0
    route: str = "charge"
    token: str | None = None
    reference_prefix: str | None = None
    times: int | None = None
    fired: int = 0

    def matches(self, route: str, token: str | None, reference: str) -> bool:
        return (
            self.route in {route, "any"}
            and self.fault.applies_to(route)
            and (self.times is None or self.fired < self.times)
            and (self.token is None or self.token == token)
            and (self.reference_prefix is None or reference.startswith(self.reference_prefix))
        )


_RULE_KEYS: Final = frozenset(
    {"fault", "seconds", "probability", "route", "token", "reference_prefix", "times"}
)


def parse_rule(raw: Any) -> Rule:
    """One rule of the plan.

    Raises:
        Refusal: 422 `invalid_fault`, saying which part is not understood.
    """
    if not isinstance(raw, dict) or set(raw) - _RULE_KEYS:
        raise invalid(f"A rule is an object with {', '.join(sorted(_RULE_KEYS))}.", code="invalid_fault")
    fault = parse_fault(raw.get("fault"), raw.get("seconds"))
    usual_route = "webhook" if fault.name in OF_WEBHOOKS else "charge"
    probability, route, times = raw.get("probability", 1.0), raw.get("route", usual_route), raw.get("times")
    if type(probability) not in {int, float} or not 0 <= probability <= 1:
        raise invalid("`probability` is a number from 0 to 1.", code="invalid_fault")
    if route != "any" and (route not in ROUTES or not fault.applies_to(route)):
        raise invalid(f"{fault.name} cannot strike the route {route!r}.", code="invalid_fault")
    if times is not None and (type(times) is not int or times < 1):
        raise invalid("`times` is a whole number from 1.", code="invalid_fault")
    for matcher in ("token", "reference_prefix"):
        if not isinstance(raw.get(matcher, ""), str):
            raise invalid(f"`{matcher}` is a text.", code="invalid_fault")
    return Rule(
        fault=fault,
        probability=float(probability),
        route=route,
        token=raw.get("token"),
        reference_prefix=raw.get("reference_prefix"),
        times=times,
    )


@dataclass(slots=True)
class Strike:
    """A fault about to be applied and where it came from: `header`, `token`, `script`, `plan`, or `mode` for a key
    check that failed because the sandbox's idempotency is `best_effort`.
    """

    fault: Fault
    source: str
    rule: int | None = None
    plan: FaultPlan | None = None
    """The plan whose rule it is: by the time a slow request is done, another one may be in force."""


@dataclass(slots=True)
class FaultPlan:
    """The global rules and their seeded dice. `serial` tells one plan's firings from the next one's."""

    seed: int = 0
    raw_rules: list[Any] = field(default_factory=list)
    serial: int = 0
    fired: dict[int, int] = field(default_factory=dict)
    """Firings of this plan before a restart, by the rule's position."""
    rules: list[Rule] = field(init=False)
    _dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.raw_rules, list) or len(self.raw_rules) > _RULES_MAX:
            raise invalid(f"`rules` is a list of at most {_RULES_MAX} rules.", code="invalid_fault")
        self.rules = [parse_rule(raw) for raw in self.raw_rules]
        for position, count in self.fired.items():
            self.rules[position].fired = count
        # Repeatable dice on purpose; a restarted server goes on with other numbers, not the same again.
        self._dice = random.Random(f"{self.seed}:{self.serial}:{sum(self.fired.values())}")  # noqa: S311

    def choose(
        self, route: str, *, token: str | None, reference: str, asked: Iterable[Strike] = ()
    ) -> list[Strike]:
        """The faults that strike this request: those asked for, then every rule whose die says so."""
        strikes = [strike for strike in asked if strike.fault.applies_to(route)]
        for position, rule in enumerate(self.rules):
            if rule.matches(route, token, reference) and self._dice.random() < rule.probability:
                strikes.append(Strike(rule.fault, "plan", position, self))
        return sensible(strikes)

    @property
    def minds_tokens(self) -> bool:
        """Whether a rule is about one token, so that it is worth asking whose charge a request is about."""
        return any(rule.token is not None for rule in self.rules)

    def count(self, strike: Strike) -> None:
        if strike.rule is not None:
            self.rules[strike.rule].fired += 1


def sensible(strikes: Sequence[Strike]) -> list[Strike]:
    """What can happen together: one fault before the work and nothing else, or one of each other name.

    Only one broken answer can be given, so of those after the commit the first stands. `slow` and
    `lookup_lag` join any of them: the lost answer nobody can look up yet is the dangerous pair.
    """
    for strike in strikes:
        if strike.fault.name in BEFORE_WORK:
            return [strike]
    kept: dict[str, Strike] = {}
    for strike in strikes:
        slot = "after" if strike.fault.name in AFTER_COMMIT else strike.fault.name
        kept.setdefault(slot, strike)
    return list(kept.values())
