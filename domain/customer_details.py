"""A customer's details: the id, cards and accounts, e-mails and phones; each active or blocked (customers.md §2).

Every detail has an id that says its kind (`cus_… pm_… eml_… tel_…`), so that logs and histories name it without saying
it. People may also name an address or a number by itself.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final


class DetailKind(StrEnum):
    CUSTOMER = "customer"
    CARD = "card"
    ACCOUNT = "account"
    EMAIL = "email"
    PHONE = "phone"


CONTACT_KINDS: Final = (DetailKind.EMAIL.value, DetailKind.PHONE.value)
CONTACT_PREFIXES: Final = {DetailKind.EMAIL: "eml", DetailKind.PHONE: "tel"}


def contact_key(value: str) -> str:
    """What makes two addresses or numbers the same: small letters; a number's digits, +81 and 0 alike."""
    text = value.strip()
    if "@" in text:
        return text.lower()
    digits = re.sub(r"[\s\-()]", "", text)
    return "0" + digits.removeprefix("+81").removeprefix("0") if digits.startswith("+81") else digits
