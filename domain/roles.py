"""Who may do what (spec: customers.md §7).

Every operation of the SDK, the command line and the web is a line of `RULES`; what is not there may be done by nobody.
A customer does what customers may, and to their own things only; a merchant's backend does everything but handing out
roles; an operator does what their grants say. Who somebody *is* was found out before: here an actor is taken at its
word.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Final, Literal, NamedTuple, cast

from domain.errors import ErrorCode, TeikiError

ActorKind = Literal["customer", "operator", "service", "system"]


class Role(StrEnum):
    """What an operator is granted; one operator may hold several."""

    VIEWER = "viewer"
    SUPPORT = "support"
    FINANCE = "finance"
    ADMIN = "admin"


class Rule(NamedTuple):
    """The role an operator needs, and whether customers (of their own) and merchants' backends may too."""

    role: Role
    customer: bool = False
    service: bool = True


READ: Final = "read"
"""Looking: every list and page whose contents are nobody's in particular."""

RULES: Final[dict[str, Rule]] = {
    READ: Rule(Role.VIEWER),
    # subscriptions
    "subscription.create": Rule(Role.ADMIN, customer=True),
    "subscription.suspend": Rule(Role.SUPPORT),
    "subscription.resume": Rule(Role.SUPPORT),
    "subscription.cancel": Rule(Role.SUPPORT, customer=True),
    "subscription.recover": Rule(Role.SUPPORT, customer=True),
    "subscription.change_card": Rule(Role.ADMIN, customer=True),
    "subscription.change_amount": Rule(Role.ADMIN),
    "subscription.card_change_link": Rule(Role.SUPPORT, customer=True),
    # orders
    "order.place": Rule(Role.ADMIN, customer=True),
    "order.use": Rule(Role.SUPPORT, customer=True),
    "order.process_access": Rule(Role.SUPPORT, customer=True),
    "order.cancel": Rule(Role.SUPPORT, customer=True),
    "order.cancel_subscription": Rule(Role.SUPPORT, customer=True),
    "order.issue_slip": Rule(Role.SUPPORT, customer=True),
    "order.notify_slip": Rule(Role.SUPPORT),
    "order.change_custom_fields": Rule(Role.SUPPORT),
    "order.note": Rule(Role.SUPPORT),
    "order.identify": Rule(Role.ADMIN, customer=True),
    # the catalogue
    "customer.put": Rule(Role.ADMIN, customer=True),
    "product.put": Rule(Role.ADMIN),
    "payment_method.add": Rule(Role.ADMIN, customer=True),
    "customer.block": Rule(Role.ADMIN),
    # money and the books
    "payment.credit": Rule(Role.FINANCE),
    "chargeback.enter": Rule(Role.FINANCE),
    "repayment.add": Rule(Role.FINANCE),
    "repayment.cancel": Rule(Role.FINANCE),
    "repayment.pay": Rule(Role.FINANCE, customer=True),
    "attention.settle": Rule(Role.FINANCE),
    "attention.close": Rule(Role.FINANCE),
    "reconciliation.run": Rule(Role.FINANCE),
    "webhook.take_in": Rule(Role.ADMIN),
    "webhook.work_off": Rule(Role.SUPPORT),
    # exports: one's own, and everybody's
    "export.request": Rule(Role.FINANCE),
    "export.read": Rule(Role.FINANCE),
    "export.cancel": Rule(Role.FINANCE),
    "export.of_others": Rule(Role.ADMIN, service=False),
    "endpoint.change": Rule(Role.ADMIN),
    "notification.resend": Rule(Role.SUPPORT),
    # who may do what, and who did
    "role.list": Rule(Role.VIEWER),
    "role.grant": Rule(Role.ADMIN, service=False),
    "role.revoke": Rule(Role.ADMIN, service=False),
    "audit.read": Rule(Role.ADMIN),
}


class Standing(NamedTuple):
    """What is known of an operator.

    Attributes:
        roles: granted and not taken back.
        enforced: an admin was granted once; before that every operator is one.
    """

    roles: frozenset[Role]
    enforced: bool


def kind_of(actor: str) -> ActorKind:
    """`operator` of `operator:desk-1`; a word nobody knows is refused.

    Raises:
        TeikiError: `forbidden`.
    """
    kind, colon, name = actor.partition(":")
    known = kind in ("customer", "operator", "service") and name if colon else kind == "system"
    if not known:
        raise TeikiError(ErrorCode.FORBIDDEN, "An actor is customer:…, operator:…, service:… or system.")
    return cast("ActorKind", kind)


def rule_of(operation: str) -> Rule:
    """The operation's line.

    Raises:
        TeikiError: `forbidden` when it has none: nobody may do what nobody was allowed.
    """
    rule = RULES.get(operation)
    if rule is None:
        raise TeikiError(ErrorCode.FORBIDDEN, "No role allows this operation.", operation=operation)
    return rule


def holds(rule: Rule, roles: Collection[Role]) -> bool:
    """Whether these roles suffice: an admin's always, and for looking any."""
    return Role.ADMIN in roles or rule.role in roles or (rule.role is Role.VIEWER and bool(roles))


def may(operation: str, kind: ActorKind, *, standing: Standing | None = None, is_own: bool = False) -> bool:
    """Whether such an actor may do it.

    Args:
        operation: a name of `RULES`.
        kind: of actor.
        standing: an operator's; without it an operator may nothing.
        is_own: the thing concerned belongs to this customer.

    Raises:
        TeikiError: `forbidden` for an operation without a rule.
    """
    rule = rule_of(operation)
    if kind == "customer":
        return rule.customer and is_own
    if kind == "operator":
        return standing is not None and (not standing.enforced or holds(rule, standing.roles))
    return rule.service


def forbidden(operation: str, kind: ActorKind) -> TeikiError:
    """The refusal: says what is needed, and nothing of the thing it was about."""
    rule = RULES.get(operation)
    if kind == "operator" and rule is not None:
        return TeikiError(
            ErrorCode.FORBIDDEN,
            f"This needs the role {rule.role.value}.",
            operation=operation,
            role=rule.role.value,
        )
    return TeikiError(ErrorCode.FORBIDDEN, f"A {kind} may not do this.", operation=operation)
