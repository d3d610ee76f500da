"""Payments as a sheet: the list's filter and columns, one row per scheduled payment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, literal, select

from db.reads.payments import PaymentFilter, conditions_of, last_charge
from db.reads.sheets.sheet import CURRENCY, Sheet, SheetColumn
from db.tables import customers, payers, payment_methods, payments, products

_p, _s, _c, _m = payments.c, payers.c, customers.c, payment_methods.c
_last = last_charge(payments)
_attempts = func.coalesce(_last.c.attempts, 0)


def _rows(
    wanted: PaymentFilter, requested_at: datetime, selected: Sequence[ColumnElement[Any]]
) -> Select[Any]:
    return (
        select(*selected)
        .select_from(payments)
        .join(payers, _s.id == _p.object_id)
        .join(customers, _c.id == _s.customer_id)
        .join(products, products.c.id == _s.product_id)
        .outerjoin(_last, literal(True))
        .outerjoin(payment_methods, _m.id == _last.c.payment_method_id)
        .where(*conditions_of(wanted), _p.recorded_at <= requested_at)
        .order_by(_p.due_at.desc(), _p.object_id.desc(), _p.number.desc())
    )


PAYMENTS: Final = Sheet(
    kind="payments",
    ja="支払い",
    en="Payments",
    filter_type=PaymentFilter,
    rows=_rows,
    columns=(
        SheetColumn("object_id", "定期課金・注文ID", "Subscription or order", _p.object_id),
        SheetColumn("number", "回数", "Payment", _p.number, "integer"),
        SheetColumn("state", "状態", "State", _p.state),
        SheetColumn("skip_reason", "スキップ理由", "Skipped because", _p.skip_reason),
        SheetColumn("customer_id", "顧客ID", "Customer", _s.customer_id),
        SheetColumn("customer_email", "メールアドレス", "E-mail", _c.email),
        SheetColumn("customer_name", "顧客名", "Name", _c.name),
        SheetColumn("product_id", "商品ID", "Product", _s.product_id),
        SheetColumn("product_name", "商品名", "Product name", products.c.name),
        SheetColumn("amount", "金額", "Amount", _p.amount_minor, "money"),
        SheetColumn(CURRENCY, "通貨", "Currency", _p.currency),
        SheetColumn("due_at", "支払予定日時", "Due at", _p.due_at, "instant"),
        SheetColumn("settled_at", "支払日時", "Settled at", _p.settled_at, "instant"),
        SheetColumn("attempts", "試行回数", "Attempts", _attempts, "integer"),
        SheetColumn("last_attempt_state", "最後の試行", "Last attempt", _last.c.last_attempt_state),
        SheetColumn(
            "last_attempt_at", "最後の試行日時", "Last attempt at", _last.c.last_attempt_at, "instant"
        ),
        SheetColumn("decline", "拒否理由", "Declined because", _last.c.decline),
        SheetColumn("gateway_id", "決済会社の番号", "Gateway's id", _last.c.gateway_id),
        SheetColumn("card_brand", "カードブランド", "Card brand", _m.brand),
        SheetColumn("card_last_four", "カード下4桁", "Card last four", _m.last_four),
    ),
)
