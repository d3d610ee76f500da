"""The customer page reads what a customer subscribes to from the index alone.

Revision 0015, after 0014.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_INDEX = "ix_subscriptions_customer"


def upgrade() -> None:
    _of_customer(include=["product_id"])


def downgrade() -> None:
    _of_customer(include=[])


def _of_customer(*, include: list[str]) -> None:
    op.drop_index(_INDEX, "subscriptions")
    op.create_index(
        _INDEX,
        "subscriptions",
        ["customer_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        postgresql_include=include,
    )
