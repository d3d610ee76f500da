"""Permissions as a sheet: the list's filter, one row per permission (spec: exports.md, orders.md §6)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Text, case, cast, select

from db.reads.permissions import PermissionFilter, conditions
from db.reads.sheets.sheet import Sheet, SheetColumn
from db.tables import customers, orders, permissions

_p, _o, _c = permissions.c, orders.c, customers.c
_identification = case((cast(_p.identification, Text) == "{}", "-"), else_=cast(_p.identification, Text))
"""Nothing collected is shown as "-"."""


def _rows(
    wanted: PermissionFilter, requested_at: datetime, selected: Sequence[ColumnElement[Any]]
) -> Select[Any]:
    return (
        select(*selected)
        .select_from(permissions)
        .join(orders, _o.id == _p.order_id)
        .join(customers, _c.id == _p.customer_id)
        .where(*conditions(wanted), _p.created_at <= requested_at)
        .order_by(_p.created_at.desc(), _p.id.desc())
    )


PERMISSIONS: Final = Sheet(
    kind="permissions",
    ja="利用権",
    en="Permissions",
    filter_type=PermissionFilter,
    rows=_rows,
    columns=(
        SheetColumn("id", "利用権ID", "Permission", _p.id),
        SheetColumn("order_number", "注文番号", "Order no.", _o.number),
        SheetColumn("product_id", "商品ID", "Product", _p.product_id),
        SheetColumn("product_name", "商品名", "Product name", _o.product_name),
        SheetColumn("status", "状態", "Status", _p.status),
        SheetColumn("reason", "理由", "Reason", _p.reason),
        SheetColumn("acquisition", "取得方法", "Acquired by", _p.acquisition),
        SheetColumn("acquired_at", "取得日時", "Acquired at", _p.acquired_at, "instant"),
        SheetColumn("starts_at", "利用開始", "Usage from", _p.starts_at, "instant"),
        SheetColumn("ends_at", "利用終了", "Usage until", _p.ends_at, "instant"),
        SheetColumn("used_at", "使用日時", "Used at", _p.used_at, "instant"),
        SheetColumn("used_by", "使用処理者", "Used by", _p.used_by),
        SheetColumn("membership_number", "会員番号", "Membership no.", _p.membership_number, "integer"),
        SheetColumn("identification", "識別情報", "Identification", _identification),
        SheetColumn("customer_id", "顧客ID", "Customer", _p.customer_id),
        SheetColumn("customer_email", "メールアドレス", "E-mail", _c.email),
        SheetColumn("customer_name", "顧客名", "Name", _c.name),
    ),
)
