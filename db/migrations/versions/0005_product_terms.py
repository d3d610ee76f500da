"""What a product says: its type and sales method as columns, for lists and checks; the rest as JSON.

What was entered before is a digital product, sold once, as the defaults of `ProductTerms` say.

Revision 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("products", sa.Column("type", sa.Text(), server_default="digital", nullable=False))
    op.add_column("products", sa.Column("sales_method", sa.Text(), server_default="one_time", nullable=False))
    op.add_column(
        "products", sa.Column("terms", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_products_type_known"),
        "products",
        "type IN ('digital', 'membership', 'sponsorship', 'subscription_voucher', 'ticket')",
    )
    op.create_check_constraint(
        op.f("ck_products_sales_method_known"),
        "products",
        "sales_method IN ('one_time', 'recurring', 'token_auth')",
    )
    op.create_index("ix_products_type", "products", ["type", sa.text("created_at DESC"), sa.text("id DESC")])


def downgrade() -> None:
    op.drop_index("ix_products_type", "products")
    for name in ("terms", "sales_method", "type"):
        op.drop_column("products", name)
