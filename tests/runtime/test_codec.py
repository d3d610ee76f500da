"""The payload codec: nothing readable outside, nothing lost inside, and small."""

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload

from domain.errors import ErrorCode, TeikiError
from runtime.codec import ENCODING, KeyRing, PayloadUndecodableError, TeikiCodec, new_key, pack, unpack
from runtime.codec_dictionary import CURRENT, DICTIONARIES

KEY_1, KEY_2 = (bytes([number]) * 32 for number in (1, 2))

CHARGE = {
    "subscription_id": "sub_01JD8ZC3Q4V0X2M9",
    "payment": 7,
    "attempt": 1,
    "due_at": "2026-11-30T15:00:00Z",
    "amount": {"minor": 1000, "currency": "JPY"},
    "payment_method_id": "pm_01JD8ZC3Q4V0X2M9",
}


def json_payload(value: object) -> Payload:
    return Payload(
        metadata={"encoding": b"json/plain"}, data=json.dumps(value, separators=(",", ":")).encode()
    )


def ring(*keys: tuple[str, bytes]) -> KeyRing:
    return KeyRing.of(keys or [("k1", KEY_1)])


payloads = st.one_of(
    st.builds(
        lambda data: Payload(metadata={"encoding": b"json/plain"}, data=data), st.binary(max_size=9000)
    ),
    st.builds(lambda: Payload(metadata={"encoding": b"binary/null"})),
    st.builds(
        lambda metadata, data: Payload(metadata=metadata, data=data),
        st.dictionaries(st.text(max_size=12), st.binary(max_size=20), max_size=3),
        st.binary(max_size=300),
    ),
    st.builds(
        json_payload,
        st.recursive(
            st.none() | st.integers() | st.text(max_size=40),
            lambda item: st.lists(item) | st.dictionaries(st.text(), item),
        ),
    ),
)


class TestRoundTrip:
    @given(payload=payloads.filter(lambda payload: payload.metadata.get("encoding") != ENCODING))
    async def test_every_payload_comes_back_as_it_was(self, payload):
        codec = TeikiCodec(ring())
        [encoded] = await codec.encode([payload])
        assert encoded.metadata == {"encoding": ENCODING}
        assert await codec.decode([encoded]) == [payload]

    async def test_a_null_with_bytes_keeps_its_bytes(self):
        payload = Payload(metadata={"encoding": b"binary/null"}, data=b"odd")
        assert unpack(pack(payload)) == payload

    async def test_nothing_of_the_content_is_readable_outside(self):
        [encoded] = await TeikiCodec(ring()).encode([json_payload(CHARGE)])
        assert b"sub_01" not in encoded.SerializeToString()
        assert b"json" not in encoded.SerializeToString()

    async def test_the_same_payload_never_encrypts_to_the_same_bytes(self):
        first, second = await TeikiCodec(ring()).encode([json_payload(CHARGE)] * 2)
        assert first.data != second.data

    async def test_payloads_that_are_not_ours_pass_through_decode(self):
        payload = json_payload(CHARGE)
        assert await TeikiCodec(ring()).decode([payload]) == [payload]


class TestKeys:
    async def test_old_keys_decrypt_and_the_first_one_encrypts(self):
        [old] = await TeikiCodec(ring(("k1", KEY_1))).encode([json_payload(CHARGE)])
        rotated = TeikiCodec(ring(("k2", KEY_2), ("k1", KEY_1)))
        assert await rotated.decode([old]) == [json_payload(CHARGE)]
        [new] = await rotated.encode([json_payload(CHARGE)])
        with pytest.raises(PayloadUndecodableError, match="'k2'"):
            await TeikiCodec(ring(("k1", KEY_1))).decode([new])

    async def test_another_key_under_the_same_id_is_an_error_naming_the_id(self):
        [encoded] = await TeikiCodec(ring(("k1", KEY_1))).encode([json_payload(CHARGE)])
        with pytest.raises(PayloadUndecodableError, match="'k1'") as refused:
            await TeikiCodec(ring(("k1", KEY_2))).decode([encoded])
        assert refused.value.facts == {"key_id": "k1"}

    async def test_every_changed_byte_is_noticed(self):
        [encoded] = await TeikiCodec(ring()).encode([json_payload(CHARGE)])
        for position in range(len(encoded.data)):
            changed = bytearray(encoded.data)
            changed[position] ^= 0x01
            with pytest.raises(PayloadUndecodableError):
                await TeikiCodec(ring()).decode([Payload(metadata=encoded.metadata, data=bytes(changed))])

    async def test_a_cut_payload_is_an_error(self):
        [encoded] = await TeikiCodec(ring()).encode([json_payload(CHARGE)])
        for length in range(len(encoded.data)):
            with pytest.raises(PayloadUndecodableError):
                await TeikiCodec(ring()).decode(
                    [Payload(metadata=encoded.metadata, data=encoded.data[:length])]
                )

    def test_the_settings_form_is_parsed_with_commas_or_lines(self):
        one, two = new_key("k1"), new_key("2026-11")
        assert KeyRing.parse(f"{one},{two}").ids == ("k1", "2026-11")
        assert KeyRing.parse(f"{two}\n{one}\n").primary == "2026-11"

    def test_base64_for_urls_is_understood_too(self):
        secret = b"\xfb\xff" * 16
        assert KeyRing.parse("k:" + base64.urlsafe_b64encode(secret).decode()).ids == ("k",)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "k1",
            "k1:",
            "k1:not base64!",
            "k1:c2hvcnQ=",
            "much-too-long-an-id:" + "A" * 43 + "=",
            ":" + "A" * 43 + "=",
        ],
    )
    def test_bad_keys_are_refused_without_showing_them(self, text):
        with pytest.raises(TeikiError) as refused:
            KeyRing.parse(text)
        assert refused.value.code is ErrorCode.SETTINGS_INVALID
        assert "c2hvcnQ" not in str(refused.value)

    def test_the_same_id_twice_is_refused(self):
        with pytest.raises(TeikiError, match="twice"):
            KeyRing.parse(f"{new_key('k1')},{new_key('k1')}")

    def test_a_ring_does_not_show_its_keys(self):
        assert repr(ring()) == "KeyRing(primary='k1')"


class TestSize:
    """What one payload costs in a history, as protobuf bytes; plain JSON beside it."""

    @pytest.mark.parametrize(
        ("value", "at_most"),
        [(None, 60), ("wait until the next payment", 90), (CHARGE, 110), ([CHARGE] * 10, 160)],
        ids=["null", "summary", "charge input", "ten charges"],
    )
    async def test_a_payload_stays_within_its_bytes(self, value, at_most):
        [encoded] = await TeikiCodec(ring()).encode([json_payload(value)])
        assert encoded.ByteSize() <= at_most

    async def test_a_typical_payload_is_smaller_encrypted_than_plain(self):
        [encoded] = await TeikiCodec(ring()).encode([json_payload(CHARGE)])
        assert encoded.ByteSize() < json_payload(CHARGE).ByteSize() * 0.65

    async def test_what_does_not_compress_grows_by_the_envelope_only(self):
        noise = hashlib.sha512(b"noise").digest() * 1
        payload = Payload(metadata={"encoding": b"json/plain"}, data=noise)
        [encoded] = await TeikiCodec(ring()).encode([payload])
        assert len(encoded.data) == len(noise) + 1 + (1 + 2) + 12 + 16


class TestDictionaries:
    def test_published_dictionaries_never_change(self):
        # Payloads live as long as their histories: to improve, add the next number; never edit one.
        published = {1: "85e1cce7a45014f9"}
        assert {
            number: hashlib.sha256(text).hexdigest()[:16] for number, text in DICTIONARIES.items()
        } == published

    def test_a_payload_of_dictionary_1_decodes_for_ever(self):
        packed = base64.b64decode("EcPtRS8Xiyhn40CTMIMII19LUNqFBJGSlTleDxvqGiM3CWAeAjkXn59qdXAVRBhOqQUA")
        assert unpack(packed) == json_payload(CHARGE)

    def test_numbers_fit_into_the_marker(self):
        assert CURRENT in DICTIONARIES
        assert all(1 <= number <= 30 for number in DICTIONARIES)

    def test_a_dictionary_of_the_future_is_an_error_not_garbage(self):
        with pytest.raises(PayloadUndecodableError, match="dictionary 30"):
            unpack(bytes([31 << 3 | 1]) + b"whatever")
