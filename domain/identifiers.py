"""Names of things: sortable prefixed ids, workflow ids, references and idempotency keys.

Pure builders. Ids are opaque (they are readable in the Temporal Web UI, where nothing else is), keys are
functions of the business object and the attempt, never of a run: that is what makes a re-run harmless
(spec: subscriptions.md §8, charging.md §2).
"""

from __future__ import annotations

import re
import uuid
from typing import Final

from domain.errors import ErrorCode, TeikiError
from domain.free_text import repeatable

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing to misread aloud
_KEYS: Final = uuid.UUID("8d8bd5a0-6a3e-5f0e-9d55-7465696b6931")
_PATTERN: Final = re.compile(r"[a-z]{2,5}_[0-9a-z]{1,40}", re.ASCII)


def new_id(prefix: str, *, at_ms: int, entropy: int) -> str:
    """`sub_01k…`: 48 bits of time and 80 bits of the caller's randomness, so that ids sort by creation."""
    number = (at_ms & (2**48 - 1)) << 80 | (entropy & (2**80 - 1))
    digits = []
    for _ in range(26):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(digits))}"


def require_id(value: str, prefix: str) -> str:
    """The value, when it looks like an id of this kind; ids become parts of workflow ids and of queries."""
    if not (_PATTERN.fullmatch(value) and value.startswith(prefix + "_")):
        raise TeikiError(
            ErrorCode.INVALID_INPUT,
            f"This is no id of the form {prefix}_…",
            value=repeatable(value),
            expected=prefix,
        )
    return value


def subscription_workflow_id(subscription_id: str) -> str:
    return f"subscription/{subscription_id}"


def order_workflow_id(order_id: str) -> str:
    return f"order/{order_id}"


def deposit_workflow_id(deposit_id: str) -> str:
    return f"konbini/{deposit_id}"


def workflow_id_of(object_id: str) -> str:
    """The workflow of a subscription, an order, a slip, a credit or a repayment.

    Raises:
        TeikiError: `invalid_input` for what is none of them; ids become parts of queries.
    """
    prefix = object_id.partition("_")[0]
    names = {
        "ord": order_workflow_id,
        "kon": deposit_workflow_id,
        "crd": credit_workflow_id,
        "rep": repayment_workflow_id,
    }
    name = names.get(prefix, subscription_workflow_id)
    return name(require_id(object_id, prefix if prefix in names else "sub"))


def deposit_id(order_id: str, number: int) -> str:
    """A slip of an order: named after it, so that whoever has the order finds it."""
    return f"kon_{order_id.removeprefix('ord_')}{number}"


def permission_id(order_id: str) -> str:
    """An order brings one permission at most."""
    return f"per_{order_id.removeprefix('ord_')}"


def subscription_of_order(order_id: str) -> str:
    """The subscription that pays a recurring order."""
    return f"sub_{order_id.removeprefix('ord_')}"


def order_of_subscription(subscription_id: str) -> str:
    """What the order is called, if this subscription pays one."""
    return f"ord_{subscription_id.removeprefix('sub_')}"


def credit_workflow_id(credit_id: str) -> str:
    return f"credit/{credit_id}"


def repayment_workflow_id(repayment_id: str) -> str:
    return f"repayment/{repayment_id}"


def chargeback_workflow_id(object_id: str, number: int) -> str:
    """One per payment: whoever tells of the same chargeback tells the same workflow."""
    return f"chargeback/{object_id}/{number}"


def export_workflow_id(export_id: str) -> str:
    return f"export/{export_id}"


def charge_reference(object_id: str, payment_number: int, attempt_number: int) -> str:
    """Ours, stored by the gateway as metadata: what an unknown outcome is looked up by."""
    return f"{object_id}/{payment_number}/{attempt_number}"


def refund_reference(
    object_id: str,
    payment_number: int,
    *,
    twin: str | None = None,
    attempt: int = 1,
    repayment_id: str | None = None,
) -> str:
    """What a refund is looked up by: of the payment's own charge, or of a second one (its gateway id is `twin`), which
    a repayment may have made too.

    `attempt` rises only when a person answers a definite refusal with "again".
    """
    what = "refund" if twin is None else f"twin/{twin}"
    if repayment_id is not None:
        what = f"repayment/{repayment_id}/{what}"
    again = "" if attempt == 1 else f"/{attempt}"
    return f"{object_id}/{payment_number}/{what}{again}"


def credit_reference(object_id: str, payment_number: int, credit_id: str, *, attempt: int = 1) -> str:
    """What a credit's refund is looked up by. `attempt` rises as that of a refund."""
    again = "" if attempt == 1 else f"/{attempt}"
    return f"{object_id}/{payment_number}/credit/{credit_id}{again}"


def credit_of_reference(reference: str) -> str | None:
    """The credit that a reference is about; None: it is about something else."""
    parts = reference.split("/")
    return parts[3] if len(parts) >= 4 and parts[2] == "credit" else None


def chargeback_reference(charge_reference: str) -> str:
    """The name of a charge's one chargeback, which nobody asked for: as the gateway names it."""
    return f"{charge_reference}/chargeback"


def repayment_reference(object_id: str, payment_number: int, repayment_id: str, attempt: int) -> str:
    """What the charge of a repayment is looked up by."""
    return f"{object_id}/{payment_number}/repayment/{repayment_id}/{attempt}"


def repayment_of(reference: str) -> str | None:
    """The repayment that a reference is about: its charge, or the return of a second one; None: of none."""
    parts = reference.split("/")
    return parts[3] if parts[2:3] == ["repayment"] and len(parts) > 3 else None


def idempotency_key(purpose: str, reference: str) -> str:
    """The same purpose and reference always give the same key, whatever crashed in between."""
    return str(uuid.uuid5(_KEYS, f"{purpose}:{reference}"))
