"""The list of subscriptions: every filter of the specification, combinable, page by page (subscriptions.md §9).

Filters are typed fields, never a query language: what is not a field here cannot be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, not_, or_, select, text, union

from db.engine import Database
from db.reads.cursor import after, encode_cursor, page_size, prefix_pattern
from db.tables import attempts, customers, payment_methods, products, subscriptions
from domain.money import Money
from domain.subscription import Status

LIMIT_DEFAULT: Final = 50
_s, _c, _m = subscriptions.c, customers.c, payment_methods.c


class SubscriptionFilter(BaseModel):
    """Which subscriptions; every condition given must hold.

    Attributes:
        status: any of these.
        customer_email: the whole address, whatever its case.
        created_from: and later; `created_to`: and earlier, exclusive. The same for `next_*`, the next step's instant.
        cancel_scheduled: has (or has no) scheduled cancellation.
        has_unknown_payment: an attempt's outcome is not known, or waits for a person.
        has_failed_payment: a payment was declined and is not settled yet.
        metadata: all of these pairs.
        text: the beginning of its id, or of the customer's e-mail or name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: frozenset[Status] | None = None
    customer_id: str | None = None
    customer_email: str | None = Field(default=None, max_length=320)
    product_id: str | None = None
    card_brand: str | None = Field(default=None, max_length=40)
    card_last_four: str | None = Field(default=None, pattern=r"^\d{4}$")
    created_from: AwareDatetime | None = None
    created_to: AwareDatetime | None = None
    next_from: AwareDatetime | None = None
    next_to: AwareDatetime | None = None
    cancel_scheduled: bool | None = None
    has_unknown_payment: bool | None = None
    has_failed_payment: bool | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    text: str | None = Field(default=None, min_length=1, max_length=320)


class SubscriptionItem(BaseModel):
    """One line of the list. Instants are aware and in UTC; `zone` is the subscription's own."""

    model_config = ConfigDict(frozen=True)

    id: str
    status: Status
    reason: str
    customer_id: str
    customer_email: str
    customer_name: str
    product_id: str
    product_name: str
    card_brand: str
    card_last_four: str
    amount: Money
    period: str
    zone: str
    next_kind: str | None
    next_at: datetime | None
    next_amount_minor: int | None
    failing: bool
    has_unknown_payment: bool
    charges: int
    charged: Money
    cancel_at: datetime | None
    created_at: datetime


class SubscriptionPage(BaseModel):
    """`next_cursor` is None on the last page."""

    items: list[SubscriptionItem]
    next_cursor: str | None


# Written out, not as parameters: only so does the planner see that the partial index fits.
is_unknown: Final = text("attempts.state IN ('unknown', 'attention')")
_has_metadata: Final = text("subscriptions.metadata <> '{}'::jsonb")


def _shown(chosen: Select[Any]) -> Select[Any]:
    """The chosen subscriptions with what a line shows of their customer, product and card.

    Chosen first, joined then: a page joins at most its own lines, whatever the planner believes of the filter.
    """
    s = chosen.subquery("s")
    has_unknown = exists().where(attempts.c.object_id == s.c.id, is_unknown)
    return (
        select(
            s,
            _c.email.label("customer_email"),
            _c.name.label("customer_name"),
            products.c.name.label("product_name"),
            _m.brand.label("card_brand"),
            _m.last_four.label("card_last_four"),
            has_unknown.label("has_unknown_payment"),
        )
        .join(customers, _c.id == s.c.customer_id)
        .join(products, products.c.id == s.c.product_id)
        .join(payment_methods, _m.id == s.c.payment_method_id)
        .order_by(s.c.created_at.desc(), s.c.id.desc())
    )


async def list_subscriptions(
    db: Database,
    filter: SubscriptionFilter | None = None,  # noqa: A002 - the field's word
    cursor: str | None = None,
    limit: int = LIMIT_DEFAULT,
) -> SubscriptionPage:
    """One page, newest first.

    Raises:
        TeikiError: `invalid_cursor`, or `invalid_input` for a limit outside 1–200.
    """
    query = page_query(filter or SubscriptionFilter(), cursor, page_size(limit))
    async with db.reading() as connection:
        found = (await connection.execute(query)).all()
    rows = found[:limit]
    more = len(found) > limit
    return SubscriptionPage(
        items=[item_of(row) for row in rows],
        next_cursor=encode_cursor(rows[-1].created_at, rows[-1].id) if more else None,
    )


def page_query(wanted: SubscriptionFilter, cursor: str | None, limit: int) -> Select[Any]:
    """The statement of one page; one row more than the page tells whether another follows."""
    conditions = conditions_of(wanted)
    if cursor is not None:
        conditions.append(after(cursor, _s.created_at, _s.id))
    newest_first = (_s.created_at.desc(), _s.id.desc())
    return _shown(select(subscriptions).where(*conditions).order_by(*newest_first).limit(limit + 1))


def single_query(subscription_id: str) -> Select[Any]:
    return _shown(select(subscriptions).where(_s.id == subscription_id))


def item_of(row: Row[Any]) -> SubscriptionItem:
    shown = {name: row._mapping[name] for name in SubscriptionItem.model_fields if name in row._mapping}
    return SubscriptionItem.model_validate(
        shown
        | {
            "amount": Money(minor=row.amount_minor, currency=row.currency),
            "charged": Money(minor=row.charged_minor, currency=row.currency),
        }
    )


def conditions_of(wanted: SubscriptionFilter) -> list[ColumnElement[bool]]:
    """All of the filter's conditions, for the list and for the sheet of an export."""
    return [*_conditions(wanted), *_narrowing(wanted)]


def _conditions(wanted: SubscriptionFilter) -> Sequence[ColumnElement[bool]]:
    """Conditions on the subscription's own columns."""
    given: list[tuple[Any, Callable[[Any], ColumnElement[bool]]]] = [
        (wanted.status, lambda statuses: _s.status.in_([status.value for status in statuses])),
        (wanted.customer_id, _s.customer_id.__eq__),
        (wanted.product_id, _s.product_id.__eq__),
        (wanted.created_from, _s.created_at.__ge__),
        (wanted.created_to, _s.created_at.__lt__),
        (wanted.next_from, _s.next_at.__ge__),
        (wanted.next_to, _s.next_at.__lt__),
    ]
    conditions = [condition(value) for value, condition in given if value is not None]
    if wanted.cancel_scheduled is not None:
        conditions.append(_s.cancel_at.is_not(None) if wanted.cancel_scheduled else _s.cancel_at.is_(None))
    if wanted.has_failed_payment is not None:
        conditions.append(_s.failing if wanted.has_failed_payment else not_(_s.failing))
    if wanted.has_unknown_payment is not None:
        troubled = _s.id.in_(select(attempts.c.object_id).where(is_unknown))
        conditions.append(troubled if wanted.has_unknown_payment else not_(troubled))
    if wanted.metadata:
        conditions.append(and_(_s["metadata"].contains(wanted.metadata), _has_metadata))
    return conditions


def _narrowing(wanted: SubscriptionFilter) -> Sequence[ColumnElement[bool]]:
    """Conditions on the customer and the card, as sets of ids that their own indexes give."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.customer_email is not None:
        same = select(_c.id).where(func.lower(_c.email) == wanted.customer_email.lower())
        conditions.append(_s.customer_id.in_(same))
    if wanted.card_brand is not None or wanted.card_last_four is not None:
        cards = select(_m.id)
        if wanted.card_brand is not None:
            cards = cards.where(_m.brand == wanted.card_brand)
        if wanted.card_last_four is not None:
            cards = cards.where(_m.last_four == wanted.card_last_four)
        conditions.append(_s.payment_method_id.in_(cards))
    if wanted.text is not None:
        pattern = prefix_pattern(wanted.text.lower())
        people = or_(func.lower(_c.email).like(pattern), func.lower(_c.name).like(pattern))
        others = subscriptions.alias("others")
        conditions.append(
            _s.id.in_(
                union(
                    select(others.c.id).where(others.c.id.like(prefix_pattern(wanted.text))),
                    select(others.c.id).join(customers, _c.id == others.c.customer_id).where(people),
                )
            )
        )
    return conditions
