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
    b"operator:customer:service:systemT00:00:00+09:00T15:00:00Z"
    b'"code":"invalid_status","message":"","facts":{"status":"allowed":[]}}"refused""duplicate""recorded"'
    b'"insufficient_funds""issuer_unavailable""do_not_honor""expired_card""customer_blocked""pending_expired"'
    b'"first_payment_failed""payment_failed""retry_succeeded""attempts_exhausted""needs_new_card""caught_up"'
    b'"suspended_by_operator""resumed""canceled_now""period_ended""all_charges_made""policy_next_cycle""created"'
    b'"email":"","name":"","price":{"token":"tok_"spec":{"order_id":null,"start_on":"metadata":{}"token_hash":"'
    b'"from":"unverified","to":"current","reason":"first_payment_succeeded"'
    b'"from":"current","to":"unpaid","reason":""suspended""unconfirmed""canceled""completed"'
    b'"period_end":"mode":"ask","turn":"resend","learned_at":"2027-"outcome":"unknown","horizon_s":600,"key_ttl_s":82800'
    b'"request_id":"req_","actor":"operator:","comment":"","operation":"resume","arguments":{"policy":"catch_up"'
    b'"skipped":[{"first":"last":"next_amount_minor":"cancel_at":"payment_method_id":"pm_","event_key":"'
    b'"in_flight":{"state":"sent_at":"resent_at":"asks":"open":{"base_at":"counted":"attempts":"extra_at":'
    b'"start":{"id":"sub_01m","state":{"id":"sub_01m","customer_id":"cus_01m","product_id":"prd_01m",'
    b'"terms":{"amount_minor":1000,"currency":"JPY","period":"monthly","anchor_on":"2026-","charge_time":"07:00:00",'
    b'"zone":"Asia/Tokyo","preserve_end_of_month":false,"total_charges":null,"total_amount_minor":null,'
    b'"retry":{},"resume_policy":"next_cycle"},"status":"current","reason":"first_payment_succeeded",'
    b'"next_cycle":"paced_until":"2026-T22:20:00.0Z","charges":"charged_minor":"amount_minor":1000},"clock_offset":"PT0S",'
    b'"seen":{"written":null,"cycles_per_run":6}"retry 2 of 4 for payment'
    b'{"outcome":"settled"}{"outcome":"declined","decline":""payment 1, attempt 1"'
    b'{"subscription_id":"sub_01m","number":1,"attempt":1,"due_at":"2026-12-01T22:00:00Z","at":"2026-12-01T22:00:00.0'
    b'00Z","amount_minor":1000,"currency":"JPY","row":{"next_at":"2027-01-01T22:00:00Z","charges":1,"charged_minor":1000}}'
)

DICTIONARIES: Final[dict[int, bytes]] = {1: _V1}
"""Number (1 to 30) → dictionary, for ever."""

CURRENT: Final = 1
"""The dictionary new payloads are compressed with."""
