"""Subscriptions as a sheet: the list's filter and columns, one row per subscription."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Text, cast, exists, select

from db.reads.sheets.sheet import CURRENCY, Sheet, SheetColumn
from db.reads.subscriptions import SubscriptionFilter, conditions_of, is_unknown
from db.tables import attempts, customers, payment_methods, products, subscriptions

_s, _c, _m = subscriptions.c, customers.c, payment_methods.c


def _rows(
    wanted: SubscriptionFilter, requested_at: datetime, selected: Sequence[ColumnElement[Any]]
) -> Select[Any]:
    return (
        select(*selected)
        .select_from(subscriptions)
        .join(customers, _c.id == _s.customer_id)
        .join(products, products.c.id == _s.product_id)
        .join(payment_methods, _m.id == _s.payment_method_id)
        .where(*conditions_of(wanted), _s.created_at <= requested_at)
        .order_by(_s.created_at.desc(), _s.id.desc())
    )


_has_unknown: Final = exists().where(attempts.c.object_id == _s.id, is_unknown)

SUBSCRIPTIONS: Final = Sheet(
    kind="subscriptions",
    ja="定期課金",
    en="Subscriptions",
    filter_type=SubscriptionFilter,
    rows=_rows,
    columns=(
        SheetColumn("id", "定期課金ID", "Subscription", _s.id),
        SheetColumn("status", "状態", "Status", _s.status),
        SheetColumn("reason", "理由", "Reason", _s.reason),
        SheetColumn("customer_id", "顧客ID", "Customer", _s.customer_id),
        SheetColumn("customer_email", "メールアドレス", "E-mail", _c.email),
        SheetColumn("customer_name", "顧客名", "Name", _c.name),
        SheetColumn("product_id", "商品ID", "Product", _s.product_id),
        SheetColumn("product_name", "商品名", "Product name", products.c.name),
        SheetColumn("card_brand", "カードブランド", "Card brand", _m.brand),
        SheetColumn("card_last_four", "カード下4桁", "Card last four", _m.last_four),
        SheetColumn("amount", "金額", "Amount", _s.amount_minor, "money"),
        SheetColumn(CURRENCY, "通貨", "Currency", _s.currency),
        SheetColumn("period", "周期", "Period", _s.period),
        SheetColumn("zone", "タイムゾーン", "Time zone", _s.zone),
        SheetColumn("next_kind", "次の予定", "Next", _s.next_kind),
        SheetColumn("next_at", "次の予定日時", "Next at", _s.next_at, "instant"),
        SheetColumn("next_amount", "次回金額", "Next amount", _s.next_amount_minor, "money"),
        SheetColumn("failing", "支払い失敗中", "Payment failing", _s.failing, "boolean"),
        SheetColumn("has_unknown_payment", "結果不明の支払い", "Unknown payment", _has_unknown, "boolean"),
        SheetColumn("charges", "課金回数", "Charges", _s.charges, "integer"),
        SheetColumn("charged", "課金合計", "Charged in all", _s.charged_minor, "money"),
        SheetColumn("cancel_at", "解約予定日時", "Ends at", _s.cancel_at, "instant"),
        SheetColumn("metadata", "メタデータ", "Metadata", cast(_s["metadata"], Text)),
        SheetColumn("created_at", "作成日時", "Created at", _s.created_at, "instant"),
    ),
)
