"""Orders as a sheet: the list's filter, one row per order with its payment, permission and customer (exports.md)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Text, case, cast, func, select

from db.reads.orders import OrderFilter, conditions
from db.reads.sheets.sheet import CURRENCY, Sheet, SheetColumn
from db.tables import customers, deposits, orders, payment_methods, permissions

_o, _c, _m, _p, _d = orders.c, customers.c, payment_methods.c, permissions.c, deposits.c
_option = func.jsonb_array_elements_text(_o.options).table_valued("value")
_options = case(
    (
        cast(_o.options, Text) != "[]",
        select(func.string_agg(_option.c.value, ", ")).correlate(orders).scalar_subquery(),
    )
)
"""`Blue, Large`; empty when there are none."""


def _rows(wanted: OrderFilter, requested_at: datetime, selected: Sequence[ColumnElement[Any]]) -> Select[Any]:
    return (
        select(*selected)
        .select_from(orders)
        .join(customers, _c.id == _o.customer_id)
        .outerjoin(payment_methods, _m.id == _o.payment_method_id)
        .outerjoin(permissions, _p.order_id == _o.id)
        .outerjoin(deposits, _d.id == _o.deposit_id)
        .where(*conditions(wanted), _o.created_at <= requested_at)
        .order_by(_o.created_at.desc(), _o.id.desc())
    )


ORDERS: Final = Sheet(
    kind="orders",
    ja="注文",
    en="Orders",
    filter_type=OrderFilter,
    rows=_rows,
    columns=(
        SheetColumn("number", "注文番号", "Order no.", _o.number),
        SheetColumn("created_at", "注文日時", "Date created", _o.created_at, "instant"),
        SheetColumn("product_type", "商品タイプ", "Product type", _o.product_type),
        SheetColumn("product_name", "商品名", "Product name", _o.product_name),
        SheetColumn("options", "オプション", "Options", _options),
        SheetColumn("status", "注文ステータス", "Order status", _o.status),
        SheetColumn("reason", "理由", "Reason", _o.reason),
        SheetColumn("payment_status", "決済ステータス", "Payment status", _o.payment_status),
        SheetColumn("pay", "決済手段", "Payment method", _o.pay),
        SheetColumn("amount", "金額", "Amount", _o.amount_minor, "money"),
        SheetColumn("refunded", "返金額", "Refunded", _o.refunded_minor, "money"),
        SheetColumn(CURRENCY, "通貨", "Currency", _o.currency),
        SheetColumn("payments", "決済回数", "Payments", _o.payments, "integer"),
        SheetColumn("card_brand", "カードブランド", "Card brand", _m.brand),
        SheetColumn("card_last_four", "カード下4桁", "Card last four", _m.last_four),
        SheetColumn("store", "コンビニ", "Store", _d.store),
        SheetColumn("payment_number", "払込番号", "Payment no.", _d.payment_number),
        SheetColumn("completed_at", "注文完了日時", "Completed at", _o.completed_at, "instant"),
        SheetColumn("confirmed_at", "購入確定日時", "Confirmed at", _o.confirmed_at, "instant"),
        SheetColumn("points", "獲得ポイント", "Points", _o.points_earned, "integer"),
        SheetColumn("permission_id", "利用権ID", "Permission", _p.id),
        SheetColumn("permission_status", "利用権の状態", "Permission status", _p.status),
        SheetColumn("starts_at", "利用開始", "Usage from", _p.starts_at, "instant"),
        SheetColumn("ends_at", "利用終了", "Usage until", _p.ends_at, "instant"),
        SheetColumn("membership_number", "会員番号", "Membership no.", _p.membership_number, "integer"),
        SheetColumn("customer_id", "顧客ID", "Customer", _o.customer_id),
        SheetColumn("customer_email", "メールアドレス", "E-mail", _c.email),
        SheetColumn("customer_name", "顧客名", "Name", _c.name),
        SheetColumn("notes", "メモ数", "Notes", _o.notes, "integer"),
        SheetColumn("latest_note", "最新のメモ", "Latest note", _o.latest_note),
    ),
)
