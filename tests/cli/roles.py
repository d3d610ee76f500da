"""A laboratory in which roles are asked for, and arguments for every operation of the SDK."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy import make_url

from db.engine import Database
from db.role_grants import grant_role
from domain.product import ProductTerms
from domain.roles import Role
from starter import Money, OrderSpec, SubscriptionSpec, Teiki
from starter.simulate.lab import Lab

BOSS = "operator:boss"
ID = "01kb0000000000000000000000"
_OF = {"customer_id": f"cus_{ID}", "product_id": f"prd_{ID}", "payment_method_id": f"pm_{ID}"}
YEN = Money(minor=1, currency="JPY")
_GIVEN: dict[str, Any] = {
    **_OF,
    "operator": "operator:ann", "role": "viewer", "order_id": f"ord_{ID}", "permission": f"per_{ID}",
    "incident_id": "inc_1", "deposit_id": f"kon_{ID}1", "order": f"ord_{ID}", "reference": f"sub_{ID}/1/1",
    "word": "charged", "gateway_id": "ch_1", "comment": "", "text": "hello", "name": "Tea", "token": "tok_ok",
    "kind": "orders", "number": 1, "returns": None, "moved": False, "again": False, "slip": None, "amount": YEN,
    "identification": {}, "fields": {}, "inbox_id": 1, "gateway": "sandbox", "event_id": "e", "body": b"{}",
    "actor": "", "payment": f"sub_{ID}/1", "repayment_id": f"rep_{ID}",
    "request_id": "req-1", "credit_id": f"crd_{ID}", "customer": f"cus_{ID}",
    "url": "https://example.com/", "endpoint_id": f"end_{ID}", "notification_id": "ntf_1",
    "source": "here", "to": Path("nowhere.xlsx"), "terms": ProductTerms(),
}  # fmt: skip
_ANY_NUMBER = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
_SPECS = {
    "subscriptions": SubscriptionSpec(**_OF, amount=YEN, period="monthly"),
    "orders": OrderSpec(**_OF, pay="card"),
}


class Nowhere:
    """A client of Temporal that nobody may reach."""

    namespace = identity = "nowhere"

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"Temporal was asked ({name}) for somebody without a role")


@asynccontextmanager
async def roles_asked_for(lab: Lab, **granted: Role) -> AsyncIterator[Database]:
    """There is an admin, and operators by name with a role each; afterwards the laboratory is as it was."""
    db = Database.connect(lab.settings.database, pool_size=2)
    try:
        for operator, role in {"boss": Role.ADMIN, **granted}.items():
            given = {"actor": BOSS, "comment": "", "at": datetime.now(UTC), "request_id": uuid4().hex}
            await grant_role(db, f"operator:{operator}", role, **given)
        yield db
    finally:
        await db.close()
        plain = make_url(lab.settings.database).set(drivername="postgresql")
        with psycopg.connect(plain.render_as_string(hide_password=False)) as admin:
            admin.execute("SET session_replication_role = replica")
            admin.execute("DELETE FROM role_grants")


def services(teiki: Teiki) -> dict[str, Any]:
    """What hangs on the client, and the handles that it gives out."""
    on_it = {
        name: it
        for name, it in vars(teiki).items()
        if type(it).__module__.startswith("starter.") and name not in ("engine", "gate")
    }
    return on_it | {
        "subscription": teiki.subscriptions.get(f"sub_{ID}"),
        "order": teiki.orders.get(f"ord_{ID}"),
        "export": teiki.exports.get(f"exp_{ID}"),
    }


def operations(teiki: Teiki) -> list[str]:
    """Every public coroutine of the SDK, like `orders.note`."""
    return [
        f"{name}.{method}"
        for name, service in services(teiki).items()
        for method, function in inspect.getmembers(type(service), inspect.isroutine)
        if not method.startswith("_")
        and (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function))
    ]


def names_an_actor(service: Any, method: str) -> bool:
    return any(
        parameter.name == "actor" or parameter.kind is parameter.VAR_KEYWORD
        for parameter in inspect.signature(getattr(service, method)).parameters.values()
    )


async def call(teiki: Teiki, operation: str, *, actor: str) -> None:
    """The operation with arguments that fit, in somebody's name where it takes one."""
    name, _, method = operation.partition(".")
    service = services(teiki)[name]
    function = getattr(service, method)
    given = {
        parameter.name: _SPECS[name] if parameter.name == "spec" else _GIVEN[parameter.name]
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.kind not in _ANY_NUMBER
    }
    if operation == "order.settle_attention":
        given["number"] = 1
    if operation in ("repayments.add", "payments.add_repayment"):
        given["link"] = True
    if operation in ("payments.find", "payments.add_repayment"):
        given["name"] = f"sub_{ID}/1"
    if operation in ("credits.settle_attention", "repayments.settle_attention"):
        given |= {"number": 1, "request_id": "word-1"}
    if names_an_actor(service, method):
        given["actor"] = actor
    details = ("ann@example.com",) if operation in ("customers.block", "customers.unblock") else ()
    answer = function(given.pop("customer"), *details, **given) if details else function(**given)
    if inspect.isasyncgen(answer):
        await anext(answer)
    else:
        await answer
