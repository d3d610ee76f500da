"""The language of outcomes: what one charge attempt will meet, as a token or a script says it.

A script item is a word (`"approve"`, `"timeout_then_approved"`) or a one-key object (`{"decline":
"lost_card"}`); scenarios use the same words (spec: interfaces.md §3). A fault in a plan breaks only the
first sending of an attempt: the gateway's caller must be able to find out afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from domain.declines import DeclineCategory, DeclineCode, category_of
from gateways.sandbox.refusal import invalid

SCRIPT_ITEMS_MAX: Final = 1_000

_WORDS_OF_DECLINES: Final[dict[str, DeclineCode]] = {
    **{code.value: code for code in DeclineCode},
    "insufficient": DeclineCode.INSUFFICIENT_FUNDS,
    "issuer_down": DeclineCode.ISSUER_UNAVAILABLE,
    "do_not_honour": DeclineCode.DO_NOT_HONOR,
    "generic_decline": DeclineCode.CARD_DECLINED,
    "declined": DeclineCode.CARD_DECLINED,
    "expired": DeclineCode.EXPIRED_CARD,
    "card_expired": DeclineCode.EXPIRED_CARD,
    "lost": DeclineCode.LOST_CARD,
    "stolen": DeclineCode.STOLEN_CARD,
    "closed": DeclineCode.CLOSED_ACCOUNT,
    "closed_card": DeclineCode.CLOSED_ACCOUNT,
    "account_closed": DeclineCode.CLOSED_ACCOUNT,
    "seized": DeclineCode.SEIZED_CARD,
    "seizure": DeclineCode.SEIZED_CARD,
    "seize_card": DeclineCode.SEIZED_CARD,
    "fraud": DeclineCode.FRAUD_SUSPECTED,
    "fraudulent": DeclineCode.FRAUD_SUSPECTED,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """One attempt's fate. `decline` is None when it is approved, at once or in the end.

    `pending` with `decided_on_ask` None stays pending until somebody voids it. `fault` is the name of the
    fault (`faults.py`) that breaks the attempt's first sending.
    """

    decline: DeclineCode | None = None
    pending: bool = False
    decided_on_ask: int | None = None
    fault: str | None = None

    def sent_again(self) -> Plan:
        return replace(self, fault=None)


APPROVED: Final = Plan()


def decline_word(word: Any) -> DeclineCode:
    """A decline code or a gateway's usual word for one.

    Raises:
        Refusal: 422 for an unknown word, and for the product's own blocks, which never reach a gateway.
    """
    if isinstance(word, str):
        code = _WORDS_OF_DECLINES.get(word)
        if code is not None and category_of(code) is not DeclineCategory.BLOCKED:
            return code
    raise invalid(f"{word!r} is not a reason this gateway declines for.", code="invalid_decline")


_WORDS: Final[dict[str, Plan]] = {
    "approve": APPROVED,
    "timeout": Plan(fault="drop_before"),
    "timeout_then_approved": Plan(fault="drop_after"),
    "server_error": Plan(fault="error_before"),
    "server_error_then_approved": Plan(fault="error_after"),
    "rate_limited": Plan(fault="rate_limit_429"),
    "malformed_then_approved": Plan(fault="malformed"),
    "pending": Plan(pending=True),
    "pending_then_approved": Plan(pending=True, decided_on_ask=2),
}

_WITH_A_REASON: Final[dict[str, Callable[[DeclineCode], Plan]]] = {
    "decline": lambda code: Plan(decline=code),
    "timeout_then_declined": lambda code: Plan(decline=code, fault="drop_after"),
    "pending_then_declined": lambda code: Plan(decline=code, pending=True, decided_on_ask=2),
}


def parse_item(item: Any) -> Plan:
    """One script item.

    Raises:
        Refusal: 422 `invalid_script`, naming what would have been understood.
    """
    if isinstance(item, str) and item in _WORDS:
        return _WORDS[item]
    if isinstance(item, dict) and len(item) == 1:
        (word, reason) = next(iter(item.items()))
        if word in _WITH_A_REASON:
            return _WITH_A_REASON[word](decline_word(reason))
    known = ", ".join([*_WORDS, *(f'{{"{word}": code}}' for word in _WITH_A_REASON)])
    raise invalid(f"{item!r} is no outcome a script can hold. Known: {known}.", code="invalid_script")


def check_script(items: Any) -> list[Any]:
    """The items as given, all of them understood.

    Raises:
        Refusal: 422 for anything else than a list of at most `SCRIPT_ITEMS_MAX` known items.
    """
    if not isinstance(items, list):
        raise invalid("A script is a list of outcomes.", code="invalid_script")
    if len(items) > SCRIPT_ITEMS_MAX:
        raise invalid(f"A script holds at most {SCRIPT_ITEMS_MAX} outcomes.", code="invalid_script")
    for item in items:
        parse_item(item)
    return items
