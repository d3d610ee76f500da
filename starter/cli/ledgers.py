"""The gateway's book against ours, per currency (spec: charging.md §3). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.money import Money


@dataclass(frozen=True)
class Comparison:
    """Both sides in minor units per currency, and what differs in words."""

    gateway: dict[str, int]
    ours: dict[str, int]
    problems: list[str]

    @property
    def facts(self) -> dict[str, Any]:
        return {"gateway_settled": self.gateway, "database_settled": self.ours}

    @property
    def summary(self) -> str:
        totals = ", ".join(
            str(Money(minor=minor, currency=code)) for code, minor in sorted(self.ours.items())
        )
        return f"both books show {totals or 'nothing'}"

    advice = (
        "Wait until no attempt is under way and look again; if it stays, `teiki subscription list --unknown`."
    )


def compare(book: Mapping[str, Any], ours: Mapping[str, int]) -> Comparison:
    """What the gateway settled less refunds, against our ledger; differences and double charges by name.

    Args:
        book: the gateway's answer to `GET /_audit/ledger`.
        ours: `db.reads.ledger.settled_totals`.
    """
    gateway = {code: minor for code, minor in book["net"].items() if minor}
    known = {code: minor for code, minor in ours.items() if minor}
    problems = []
    for code in sorted(gateway.keys() | known.keys()):
        theirs, here = gateway.get(code, 0), known.get(code, 0)
        if theirs != here:
            difference = Money(minor=theirs - here, currency=code)
            problems.append(
                f"{code}: the gateway settled {Money(minor=theirs, currency=code)}, "
                f"we booked {Money(minor=here, currency=code)} (difference {difference})"
            )
    twice = sorted(name for name, of in book["references"].items() if of["settled_charges"] > 1)
    problems += [f"charged more than once: {name}" for name in twice]
    if not book["balanced"]:
        problems.append("the gateway's own book does not balance")
    return Comparison(gateway=gateway, ours=known, problems=problems)
