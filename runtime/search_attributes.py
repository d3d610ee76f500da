"""The search attributes Teiki registers, in one place.

They are plaintext in Temporal, never encrypted: statuses, kinds and opaque ids only, no names and no
amounts (reference: gateways_safety_ux.md C2). Typed keys live in `workflows`; registration is
`runtime.temporal.ensure_search_attributes`, `teiki up` passes them to the embedded server as flags, and
docker-compose.yml's one-shot registers the same list (a test compares them).
"""

from __future__ import annotations

from typing import Final

SEARCH_ATTRIBUTES: Final[dict[str, str]] = {
    "TeikiStatus": "Keyword",
    "TeikiCustomer": "Keyword",
    "TeikiProduct": "Keyword",
    "TeikiKind": "Keyword",
}
"""Name → Temporal's type name (`Keyword`, `Text`, `Int`, `Double`, `Bool`, `Datetime`, `KeywordList`)."""
