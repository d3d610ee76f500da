"""What happened to an order, sorted into the tabs under which people look for it (spec: orders.md §8).

`history` is all of it; each event is in one further tab. `shipping` is there because the specification names it:
nothing that is sold here is shipped, so no event belongs to it yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

Tab = Literal["orders", "payments_points", "shipping", "claim", "comments"]
TABS: Final = ("history", "orders", "payments_points", "shipping", "claim", "comments")

_OF_KIND: Final[dict[str, Tab]] = {
    "payment": "payments_points",
    "skip": "payments_points",
    "link": "payments_points",
    "incident": "payments_points",
    "points": "payments_points",
    "refund": "claim",
    "fee": "claim",
    "note": "comments",
    "custom_fields": "orders",
    "identification": "orders",
}
_OF_OBJECT: Final[dict[str, Tab]] = {
    "order": "orders",
    "permission": "orders",
    "payment": "payments_points",
    "deposit": "payments_points",
    "subscription": "payments_points",
}
_OF_OPERATION: Final[dict[str, Tab]] = {
    "cancel": "claim",
    "cancel_order": "claim",
    "credit": "claim",
    "cancel_subscription": "claim",
    "refund": "claim",
    "settle_attention": "claim",
    "note": "comments",
    "comment": "comments",
    "change_card": "payments_points",
    "change_amount": "payments_points",
    "reissue_slip": "payments_points",
    "deposit_paid": "payments_points",
}


class Told(NamedTuple):
    """An event in people's words: `before` and `after` only where something changed."""

    tab: Tab
    what: str
    before: Any = None
    after: Any = None


def tab_of(kind: str, data: Mapping[str, Any], *, of: str = "order") -> Tab:
    """The tab of an event; what nobody knows is with the orders.

    A claim is what goes back: a cancellation that somebody asked for, refunds, and the fees of remitting them.

    Args:
        kind: of history.
        data: what it says.
        of: the object in whose history it stands; a change of status may name another one itself.
    """
    if kind == "status":
        return _OF_OBJECT.get(str(data.get("object", of)), "orders")
    if kind == "operation":
        return _OF_OPERATION.get(str(data.get("do", "")), "orders")
    return _OF_KIND.get(kind, "orders")


def told(kind: str, data: Mapping[str, Any], *, of: str = "order") -> Told:
    """The event as a line of its tab; arguments as of `tab_of`."""
    tab = tab_of(kind, data, of=of)
    if kind == "status":
        what = f"{data.get('object', of)} status: {data.get('reason', '')}".removesuffix(": ")
        return Told(tab, what, data.get("from"), data.get("to"))
    if kind == "operation":
        return Told(tab, str(data.get("do", kind)), after=data.get("arguments") or None)
    if kind == "points":
        return Told(tab, f"points {data.get('what', '')}".strip(), after=data.get("points"))
    if kind in ("fee", "refund"):
        return Told(tab, f"{kind} {data.get('outcome', '')}".strip())
    return Told(tab, kind, data.get("before"), data.get("after"))
