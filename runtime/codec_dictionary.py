"""Preset dictionaries for the codec's compression.

A billing payload is a few hundred bytes of JSON: too short for deflate to learn anything from, long enough
to cost more than the rest of its history event. A preset dictionary gives deflate the words in advance, so
that a key costs two or three bytes.

The number of a dictionary is written into every payload, and histories live for years:
**a published dictionary never changes and is never removed.** To improve on it, add the next number and make
it `CURRENT`; `tests/runtime/test_codec.py` pins the bytes of each.
deflate finds matches nearest the end most cheaply, so the most frequent strings stand last.
"""

from __future__ import annotations

from typing import Final

_V1: Final = (
    # rare first
    b'"metadata":{}"comment":null"operator:"customer:"system""reason":"first_payment_succeeded""user_request"'
    b'"retries_exhausted""preserve_end_of_month":false"start_on":null"total_charges":null"total_amount":null'
    b'"initial_amount":null"cancel_at":null"cancel_mode":"period_end""resume_at":null"resume_policy":"next_cycle"'
    b'"catch_up""shifted":0"scenario_offset_seconds":0"clock_offset":0"seen_request_ids":[]"card_change""link"'
    b'"overrides":{}"next_amount":null"paused_at":null"suspended_at":null"history":[]"events":[]"skipped":[]'
    b'"retry":{"attempts":4,"interval":"P1D"},"period":"weekly""daily""yearly""P30D","cycles""terms":{"spec":{'
    b'"insufficient_funds""issuer_unavailable""expired_card""do_not_honor""decline_code":null,"gateway":"sandbox"'
    b'"message":"","stack_trace":"","encoded_attributes""type":"","details":"next_retry_delay"'
    b'"unverified""unpaid""suspended""canceled""completed""current""unconfirmed""unknown""refused""authorized"'
    b'"due_on":"2026-"effective_at":"2026-"created_at":"2026-"updated_at":"2026-"at":"2026-"until":"2027-"horizon_at":"'
    b'"request_id":"actor":"currency":"USD""EUR"'
    b'"retry_number":0,"next_attempt_at":null,"last_attempt":null,"paid_count":0,"charges_made":0,"paid_total":'
    b'"payment_method_id":"pm_"product_id":"prd_"customer_id":"cus_"token":"tok_"charge_id":"ch_"reference":"'
    b"**Status** | **Next payment** | --- | retry 1 of 4 for payment next payment wait until "
    b'T00:00:00+09:00T15:00:00Z","zone":"Asia/Tokyo","period":"monthly","timezone":"UTC"'
    b'"status":"current","state":"pending","decline":null,"error":null,"outcome":"succeeded","settled_at":"2026-'
    b'"next_payment_at":"2026-"kind":"recurring","subscription_id":"sub_"payment_id":"pay_"idempotency_key":"'
    b'{"subscription_id":"sub_","payment":1,"attempt":1,"due_at":"2026-","sent_at":"2026-'
    b'"amount":{"minor":1000,"currency":"JPY"}},"payment":'
)

DICTIONARIES: Final[dict[int, bytes]] = {1: _V1}
"""Number (1 to 30) → dictionary, for ever."""

CURRENT: Final = 1
"""The dictionary new payloads are compressed with."""
