"""Who may do what: the table, read line by line."""

from __future__ import annotations

import pytest

from domain.errors import ErrorCode, TeikiError
from domain.roles import READ, RULES, Role, Standing, forbidden, holds, kind_of, may


def standing(*roles: Role, enforced: bool = True) -> Standing:
    return Standing(frozenset(roles), enforced)


def operations_of(*roles: Role) -> set[str]:
    return {name for name in RULES if may(name, "operator", standing=standing(*roles))}


SUPPORT = {
    "order.note", "order.cancel", "order.cancel_subscription", "order.process_access", "order.use",
    "order.issue_slip", "order.notify_slip", "order.change_custom_fields",
    "subscription.suspend", "subscription.resume", "subscription.cancel", "subscription.recover",
    "subscription.card_change_link", "webhook.work_off", "notification.resend",
}  # fmt: skip
FINANCE = {
    "attention.settle", "attention.close", "reconciliation.run",
    "export.request", "export.read", "export.cancel",
    "payment.credit", "chargeback.enter", "repayment.add", "repayment.cancel", "repayment.pay",
}  # fmt: skip


def test_each_role_may_do_its_own_and_look():
    looking = {READ, "role.list"}
    assert operations_of(Role.VIEWER) == looking
    assert operations_of(Role.SUPPORT) == looking | SUPPORT
    assert operations_of(Role.FINANCE) == looking | FINANCE
    assert operations_of(Role.SUPPORT, Role.FINANCE) == looking | SUPPORT | FINANCE
    assert operations_of(Role.ADMIN) == set(RULES)
    assert operations_of() == set()


def test_before_the_first_admin_every_operator_is_one():
    assert all(may(name, "operator", standing=standing(enforced=False)) for name in RULES)
    assert not any(may(name, "operator") for name in RULES), "an operator of whom nothing is known"


def test_a_customer_may_only_with_what_is_the_customers():
    allowed = {name for name in RULES if may(name, "customer", is_own=True)}
    assert allowed == {
        "subscription.create", "subscription.cancel", "subscription.recover", "subscription.change_card",
        "subscription.card_change_link", "order.place", "order.use", "order.process_access", "order.cancel",
        "repayment.pay",
        "order.cancel_subscription", "order.issue_slip", "order.identify", "customer.put", "payment_method.add",
    }  # fmt: skip
    assert not any(may(name, "customer") for name in RULES)


def test_a_backend_hands_out_no_roles_and_sees_no_other_persons_exports():
    refused = {name for name in RULES if not may(name, "service")}
    assert refused == {"role.grant", "role.revoke", "export.of_others"}
    assert refused == {name for name in RULES if not may(name, "system")}


@pytest.mark.parametrize("actor", ["", "nobody", "root:me", "operator", "operator:", "system:x", "customer:"])
def test_an_actor_nobody_knows_is_refused(actor):
    with pytest.raises(TeikiError) as caught:
        kind_of(actor)
    assert caught.value.code is ErrorCode.FORBIDDEN


@pytest.mark.parametrize("kind", ["customer", "operator", "service", "system"])
def test_what_has_no_rule_may_be_done_by_nobody(kind):
    with pytest.raises(TeikiError, match="forbidden"):
        may("order.give_away", kind, standing=standing(Role.ADMIN), is_own=True)


def test_a_refusal_says_which_role_is_missing():
    refusal = forbidden("order.note", "operator")
    assert refusal.facts == {"operation": "order.note", "role": "support"}
    assert "customer" in forbidden("order.note", "customer").message
    assert not holds(RULES["order.note"], {Role.FINANCE})
