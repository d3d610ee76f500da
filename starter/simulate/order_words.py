"""What people may reasonably write in the scenario of an order, put into the words of the SDK (spec: interfaces.md §3).

Only other spellings are understood here; what they mean is judged where it always is, by `OrderSpec` and
`ProductTerms`, so nothing becomes possible that the SDK refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_STARTS: Final = ("starts_at", "start", "starts", "from")
_ENDS: Final = ("ends_at", "end", "ends", "to", "until")
_WAYS: Final = {
    "credit_card": "card",
    "one_time": "card",
    "convenience_store": "konbini",
    "subscription": "recurring",
    "token_auth": "none",
    "token": "none",
    "nft": "none",
}
_PRODUCT: Final = {"membership_numbering": "membership_numbers", "points_rate": "point_rate"}
_KONBINI: Final = {
    "name": "customer_name",
    "telephone": "phone",
    "deadline": "deadline_days",
    "grace": "grace_minutes",
}


def order_in_our_words(given: Any) -> Any:
    """The `order` of a scenario; what is no mapping is left for the model to refuse."""
    if not isinstance(given, Mapping):
        return given
    order = dict(given)
    if isinstance(order.get("pay"), Mapping):
        # `pay: {konbini: {store: lawson}}`, as people nest it.
        ((way, terms),) = list(order["pay"].items())[:1] or [("", {})]
        order["pay"] = way
        if isinstance(terms, Mapping) and way in ("konbini", "subscription", "recurring"):
            order.setdefault("konbini" if way == "konbini" else "subscription", dict(terms))
    way = order.get("pay")
    if isinstance(way, str):
        order["pay"] = _WAYS.get(way, way)
    if "option" in order:
        order.setdefault("options", order.pop("option"))
    if isinstance(order.get("options"), str):
        order["options"] = [order["options"]]
    order["product"] = product_in_our_words(order.get("product"))
    if isinstance(order.get("konbini"), str):
        order["konbini"] = {"store": order["konbini"]}
    if isinstance(order.get("konbini"), Mapping):
        order["konbini"] = _konbini(order["konbini"])
    if isinstance(order.get("subscription"), str):
        order["subscription"] = {"period": order["subscription"]}
    return {name: value for name, value in order.items() if value is not None}


def product_in_our_words(given: Any) -> Any:
    """What a product says."""
    if not isinstance(given, Mapping):
        return given
    product = {_PRODUCT.get(name, name): value for name, value in given.items()}
    period = product.get("usage_period")
    if isinstance(period, Mapping):
        product["usage_period"] = {_instant_name(name): value for name, value in period.items()}
    elif period in ("none", "unlimited", ""):
        product["usage_period"] = None
    if isinstance(product.get("point_rate"), float):
        # Its shortest text is what was typed: 0.01 is written "0.01".
        product["point_rate"] = f"{product['point_rate']:.10f}".rstrip("0")
    for name in ("options", "custom_fields"):
        if isinstance(product.get(name), list):
            product[name] = [{"name": one} if isinstance(one, str) else one for one in product[name]]
    return product


def _instant_name(name: str) -> str:
    return "starts_at" if name in _STARTS else "ends_at" if name in _ENDS else name


def _konbini(given: Mapping[str, Any]) -> dict[str, Any]:
    konbini = {_KONBINI.get(name, name): value for name, value in given.items()}
    store = konbini.get("store")
    if isinstance(store, str):
        konbini["store"] = store.strip().lower().replace("-", "_").replace(" ", "_")
    return konbini


def actor_of(given: dict[str, Any], *, customer: str, usually: str) -> str:
    """Who does it, taken out of the arguments: `by` or `actor`, a role or an actor as the SDK writes one.

    Args:
        given: the arguments; `by` and `actor` are removed.
        customer: the id of the scenario's customer, who is meant by `customer`.
        usually: the role of whoever does this when nobody is named.
    """
    named = [given.pop(name, None) for name in ("by", "actor")]
    who = next((one for one in named if one), usually)
    role = _ROLES.get(who) if isinstance(who, str) else None
    if role == _CUSTOMER:
        return f"customer:{customer}"
    return role or str(who)


_CUSTOMER: Final = "customer"
_ROLES: Final = {
    "customer": _CUSTOMER,
    "user": _CUSTOMER,
    "admin": "operator:scenario",
    "administrator": "operator:scenario",
    "operator": "operator:scenario",
    "staff": "operator:scenario",
    "merchant": "operator:scenario",
    "service": "service:scenario",
}
