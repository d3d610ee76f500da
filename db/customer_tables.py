"""E-mail addresses and phone numbers, and whose they are (spec: customers.md §§1–2).

One row per address or number, however many customers share it: blocked is the address, and with it everybody who has
it, today or later. An address that was corrected stays a detail of the customer.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from db.columns import id_, instant, metadata, one_of
from domain.customer_details import CONTACT_KINDS

contacts: Final = Table(
    "contacts",
    metadata,
    id_("id", primary_key=True),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    # What makes two of them the same: an address in small letters, a number's digits.
    id_("key", nullable=False),
    instant("blocked_at", nullable=True),
    instant("created_at"),
    UniqueConstraint("kind", "key", name="uq_contacts_key"),
    one_of("kind", CONTACT_KINDS),
)

customer_contacts: Final = Table(
    "customer_contacts",
    metadata,
    id_("customer_id", ForeignKey("customers.id"), nullable=False),
    id_("contact_id", ForeignKey("contacts.id"), nullable=False),
    instant("since"),
    PrimaryKeyConstraint("customer_id", "contact_id"),
    Index("ix_customer_contacts_contact", "contact_id", "customer_id"),
)
