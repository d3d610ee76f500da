"""One gate for everything: the SDK, the command line and the web; and what the command line says of roles and audit."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer
from pydantic import BaseModel

import activities.contracts.orders as of_orders
import activities.contracts.records as of_records
import workflows.credit_messages as of_credits
import workflows.export_messages as of_exports
import workflows.messages as of_subscriptions
import workflows.order_messages as orders_own
import workflows.repayment_messages as of_repayments
from db.reads.audit import list_audit
from domain.errors import ErrorCode, TeikiError
from domain.roles import READ, RULES, Role
from starter import OrderSpec, SubscriptionSpec, Teiki
from starter.cli.app import app
from starter.gate import OPERATION_OF
from starter.simulate.lab import Lab
from tests.cli.roles import BOSS, YEN, Nowhere, call, names_an_actor, operations, roles_asked_for, services
from web.server import application
from web.webhooks import Webhooks

_NOBODY = "operator:nobody"
_OFFLINE = Teiki(Nowhere(), SimpleNamespace(task_queue="none"))  # type: ignore[arg-type]
MACHINE_ROOM = {
    "up",
    "worker",
    "simulate",
    "doctor",
    *(f"migrate {w}" for w in ("upgrade", "downgrade", "current", "check")),
}
"""For whoever may start processes and holds their settings: they look at no business and change none."""

OF_COMMAND = {
    "reconcile": "reconciliation.run",
    **{f"subscription {word}": f"subscription.{word.replace('-', '_')}" for word in (
        "suspend", "resume", "cancel", "recover", "change-card", "change-amount", "create")},
    "subscription card-link": "subscription.card_change_link",
    **{f"subscription what-if {word}": READ for word in (
        "nothing", "suspend", "resume", "cancel", "recover", "change-card", "change-amount")},
    **{f"{noun} {word}": READ for noun in ("subscription", "order", "deposit", "product") for word in ("show", "list")},
    "subscription explain": READ, "payment list": READ, "gateway status": READ, "attention list": READ,
    "webhook list": READ, "customer list": READ, "customer show": READ, "payment-method list": READ,
    "export request": "export.request", "export again": "export.request", "export cancel": "export.cancel",
    **{f"export {word}": "export.read" for word in ("list", "show", "download")},
    **{f"order {word}": f"order.{word.replace('-', '_')}" for word in (
        "place", "cancel", "cancel-subscription", "use", "note", "identify")},
    "order slip": "order.issue_slip", "order fields": "order.change_custom_fields",
    "ticket process-access": "order.process_access", "deposit pay": "order.notify_slip",
    **{
        f"endpoint {word}": "endpoint.change"
        for word in ("add", "change", "enable", "disable", "rotate-secret", "remove")
    },
    **{f"{noun} {word}": READ for noun in ("endpoint", "notification") for word in ("show", "list")},
    "notification resend": "notification.resend",
    "attention settle": "attention.settle", "webhook retry": "webhook.work_off",
    **{f"role {word}": f"role.{word}" for word in ("grant", "revoke", "list")},
    **{f"audit {word}": "audit.read" for word in ("list", "head", "verify")},
    "chargeback enter": "chargeback.enter", "gateway chargeback": READ,
    "repayment add": "repayment.add", "repayment cancel": "repayment.cancel",
    "repayment list": READ, "repayment show": READ,
    "credit give": "payment.credit", "credit list": READ, "credit show": READ,
    "customer block": "customer.block", "customer unblock": "customer.block",
    "customer put": "customer.put", "product put": "product.put", "payment-method add": "payment_method.add",
}  # fmt: skip


def leaves(group: Any, path: str = "") -> set[str]:
    found = set()
    for name, command in group.commands.items():
        here = f"{path} {name}".strip()
        found |= leaves(command, here) if hasattr(command, "commands") else {here}
    return found


def test_every_command_of_the_command_line_has_a_rule():
    assert leaves(typer.main.get_command(app)) - MACHINE_ROOM == set(OF_COMMAND)
    assert set(OF_COMMAND.values()) <= set(RULES)


OF_ROUTE = {
    ("/card-change/{token}", "GET"): READ,
    ("/card-change/{token}", "POST"): READ,
    ("/card-change/{token}/done", "GET"): "subscription.change_card",
    ("/repayment/{token}", "GET"): READ,
    ("/repayment/{token}", "POST"): READ,
    ("/repayment/{token}/done", "GET"): "repayment.pay",
    ("/webhooks/{gateway}", "POST"): "webhook.take_in",
    ("/health", "GET"): None,
    ("/assets/teiki.css", "GET"): None,
}


def test_every_route_of_the_web_has_a_rule():
    served = application(
        _OFFLINE,
        cast("Any", None),
        public_url="http://localhost",
        form_origin="http://localhost",
        webhooks=Webhooks(_OFFLINE, cast("Any", None)),
    )
    with pytest.warns(UserWarning, match="Duplicate Operation ID"):  # GET and HEAD are one function
        described = cast("Any", served)._app.openapi()["paths"]
    routes = {(path, method.upper()) for path, methods in described.items() for method in methods}
    routes -= {(path, "HEAD") for path, _ in routes}
    assert routes == set(OF_ROUTE)
    assert {rule for rule in OF_ROUTE.values() if rule} <= set(RULES)


def test_every_command_that_a_workflow_takes_has_a_rule():
    commands = {
        model.__name__
        for module in (
            of_subscriptions,
            of_credits,
            of_repayments,
            orders_own,
            of_exports,
            of_orders,
            of_records,
        )
        for model in vars(module).values()
        if inspect.isclass(model)
        and issubclass(model, BaseModel)
        and {"actor", "request_id"} <= model.model_fields.keys()
    }
    # What workflows ask activities for, and a block tells subscriptions: the command that led to it passed before.
    inside = {
        "Block",
        "Unblock",
        "OpenInput",
        "RecordInput",
        "OpenOrderInput",
        "RecordOrderInput",
        "StopSubscription",
        "RevokeAccess",
        "Command",
    }
    assert commands - inside - OPERATION_OF.keys() == set()
    assert set(OPERATION_OF.values()) <= RULES.keys()


@pytest.mark.parametrize("operation", operations(_OFFLINE))
async def test_every_operation_of_the_sdk_refuses_an_operator_without_a_role(lab: Lab, operation):
    async with roles_asked_for(lab) as db, Teiki(Nowhere(), lab.settings, principal=_NOBODY) as teiki:  # type: ignore[arg-type]
        with pytest.raises(TeikiError) as caught:
            await call(teiki, operation, actor=_NOBODY)
        assert caught.value.code is ErrorCode.FORBIDDEN
        newest = (await list_audit(db, limit=1)).items[0]
        assert (newest.actor, newest.outcome) == (_NOBODY, "denied")
        assert newest.action in RULES


_IN_A_NAME = [
    name
    for name in operations(_OFFLINE)
    if name != "audit.list"  # whose actor is a filter
    and names_an_actor(services(_OFFLINE)[name.partition(".")[0]], name.partition(".")[2])
]


@pytest.mark.parametrize("client", ["service:shop", BOSS])
@pytest.mark.parametrize("operation", _IN_A_NAME)
async def test_acting_in_the_name_of_somebody_without_a_role_is_refused_too(lab: Lab, operation, client):
    async with roles_asked_for(lab), Teiki(Nowhere(), lab.settings, principal=client) as teiki:  # type: ignore[arg-type]
        with pytest.raises(TeikiError) as caught:
            await call(teiki, operation, actor=_NOBODY)
        looked_up_first = {
            ErrorCode.EXPORT_NOT_FOUND,
            ErrorCode.NOTHING_TO_SETTLE,
            ErrorCode.ORDER_NOT_FOUND,
        }
        assert caught.value.code is ErrorCode.FORBIDDEN or caught.value.code in looked_up_first


async def test_an_operator_gains_nothing_by_naming_somebody_else(lab: Lab):
    nowhere = Nowhere()
    async with (
        roles_asked_for(lab, vera=Role.VIEWER) as db,
        Teiki(nowhere, lab.settings, principal="operator:vera") as teiki,  # type: ignore[arg-type]
    ):
        for actor in (BOSS, "service:shop", "system", "customer:cus_1"):
            with pytest.raises(TeikiError, match="forbidden"):
                await teiki.subscriptions.get("sub_1").suspend(actor=actor)
            newest = (await list_audit(db, limit=1)).items[0]
            assert (newest.actor, newest.details["in_the_name_of"]) == ("operator:vera", actor)


async def test_a_customer_reaches_only_what_is_the_customers(lab: Lab):
    async with Teiki(lab.client, lab.settings) as teiki:
        mine, theirs = await teiki.customers.put(), await teiki.customers.put()
        card = await teiki.payment_methods.add(customer_id=theirs, token="tok_ok")
        tea = await teiki.products.put(name="Tea", price=YEN)
        given = {"customer_id": theirs, "product_id": tea, "payment_method_id": card}
        subscription = await teiki.subscriptions.create(
            SubscriptionSpec(**given, amount=YEN, period="monthly")
        )
        order = await teiki.orders.place(OrderSpec(**given, pay="card"))
        me = {"actor": f"customer:{mine}"}
        calls = [
            subscription.cancel(**me),
            subscription.suspend(**me),
            subscription.change_card(card, **me),
            subscription.card_change_link(**me),
            order.use(**me),
            order.cancel(**me),
            order.note("mine?", **me),
            teiki.orders.identify(order.permission_id, {}, **me),
            teiki.orders.place(OrderSpec(**given, pay="card"), **me),
            teiki.subscriptions.create(SubscriptionSpec(**given, amount=YEN, period="monthly"), **me),
            teiki.payment_methods.add(customer_id=theirs, token="tok_ok", **me),
            teiki.customers.put(customer_id=theirs, name="Me", **me),
            teiki.products.put(name="Mine", **me),
            teiki.subscriptions.get("sub_nobodys").cancel(**me),
        ]
        for call_ in calls:
            with pytest.raises(TeikiError) as caught:
                await call_
            assert caught.value.code is ErrorCode.FORBIDDEN
            assert theirs not in str(caught.value.as_json())
        assert (await order.use(actor=f"customer:{theirs}")).status == "purchase_confirmed"
        with pytest.raises(TeikiError, match="forbidden"):
            await subscription.suspend(actor=f"customer:{theirs}")
        await subscription.cancel(actor=f"customer:{theirs}")


async def test_an_export_of_others_needs_an_admin_and_not_only_a_word(lab: Lab):
    async with (
        roles_asked_for(lab, fin=Role.FINANCE, fred=Role.FINANCE),
        Teiki(lab.client, lab.settings) as teiki,
    ):
        export = await teiki.exports.request("orders", actor="operator:fin")
        for who in ("operator:fred", "service:sdk"):
            with pytest.raises(TeikiError, match="export_not_found"):
                await teiki.exports.get(export.id, actor=who).show()
            with pytest.raises(TeikiError, match="forbidden"):
                await teiki.exports.get(export.id, actor=who, of_others=True).show()
            with pytest.raises(TeikiError, match="forbidden"):
                await teiki.exports.list(actor=who, of_others=True)
        assert (await teiki.exports.get(export.id, actor=BOSS, of_others=True).show()).id == export.id
        assert export.id in [item.id for item in (await teiki.exports.list(actor=BOSS, of_others=True)).items]
        await export.cancel()


async def test_the_command_line_from_the_first_admin_to_the_last(lab: Lab, teiki_in_lab, monkeypatch):
    free = await teiki_in_lab("role", "list")
    assert "every operator may do everything" in free.out
    async with roles_asked_for(lab, vera=Role.VIEWER):
        monkeypatch.setenv("TEIKI_ACTOR", "operator:vera")
        assert (await teiki_in_lab("order", "list", "--json")).status == 0
        refused = await teiki_in_lab("product", "put", "--name", "Tea", "--json")
        assert (refused.status, refused.document["code"]) == (1, "forbidden")
        assert (await teiki_in_lab("role", "grant", "operator:vera", "admin")).status == 1
        assert (await teiki_in_lab("audit", "list")).status == 1

        monkeypatch.setenv("TEIKI_ACTOR", BOSS)
        granted = await teiki_in_lab(
            "role", "grant", "operator:sue", "support", "--comment", "new at the desk"
        )
        assert "✓ operator:sue has the role support." in granted.out
        assert (await teiki_in_lab("role", "grant", "operator:sue", "support", "--json")).document[
            "changed"
        ] is False
        assert "operator:sue" in (await teiki_in_lab("role", "list")).out
        assert (await teiki_in_lab("role", "revoke", "operator:sue", "support")).status == 0
        last = await teiki_in_lab("role", "revoke", BOSS, "admin", "--json")
        assert (last.status, last.document["code"]) == (1, "last_admin")
        wrong = await teiki_in_lab("role", "grant", "operator:sue", "king", "--json")
        assert (wrong.status, wrong.document["code"]) == (1, "invalid_input")

        told = await teiki_in_lab("audit", "list", "--subject", "operator:sue", "--json")
        assert [item["action"] for item in told.document["items"]] == ["revoke_role", "grant_role"]
        denied = await teiki_in_lab("audit", "list", "--denied", "--actor", "operator:vera", "--json")
        assert [item["action"] for item in denied.document["items"]][:3] == [
            "audit.read",
            "role.grant",
            "product.put",
        ]
        kept = (await teiki_in_lab("audit", "head")).out.strip()
        sound = await teiki_in_lab("audit", "verify", "--head", kept, "--json")
        assert (sound.status, sound.document["holds"], sound.document["head"]) == (0, True, kept)
        forged = await teiki_in_lab("audit", "verify", "--head", kept[:-4] + "0000")
        assert (forged.status, "breaks at row" in forged.out) == (1, True)
