"""Webhooks in: what is stored, what is refused, and that a stranger changes nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import secrets
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runtime.embedded.ports import free_ports
from tests.web.conftest import SECRET, serving
from tests.web.hooks import event, inbox, post, row_of, signed
from web.webhooks import BODY_BYTES_MAX, STORE_SECONDS_MAX

OTHER = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
PATIENT = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


async def test_a_webhook_is_stored_byte_for_byte_before_it_is_answered(site):
    body = event() + b"  \n"
    headers = signed(body)
    assert await post(site, body, headers) == (200, {"status": "stored"})
    row = await row_of(site, headers["webhook-id"])
    assert bytes(row["body"]) == body
    assert (row["gateway"], row["kind"], row["reference"]) == ("sandbox", "charge.settled", "sub_nobody/1/1")
    assert row["gateway_id"] == json.loads(body)["data"]["id"]


async def test_a_repetition_is_answered_alike_and_stored_once(site):
    body, before = event(), await inbox(site)
    headers = signed(body, event_id=f"evt_{secrets.token_hex(8)}")
    answers = await asyncio.gather(*(post(site, body, headers) for _ in range(8)))
    assert {status for status, _ in answers} == {200}
    assert sorted(told["status"] for _, told in answers) == ["known"] * 7 + ["stored"]
    later = signed(body, event_id=headers["webhook-id"], at=datetime.now(UTC) + timedelta(seconds=60))
    assert await post(site, body, later) == (200, {"status": "known"})
    assert await inbox(site) == before + 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "moon.rose", "data": {"id": "x"}}',
        b"[]",
        b"not JSON at all",
        b"",
        b'{"type": 7, "data": [1]}',
        b'{"type": "a\\u0000b", "data": {"id": "\\ud800", "reference": "\\u0000"}}',
        b'{"type": "' + b"x" * 5_000 + b'"}',
        b"[" * 100_000,
        b"1" * 10_000,
    ],
    ids=lambda body: body[:12].decode(),
)
async def test_what_nobody_understands_is_stored_too_when_it_is_signed(site, body):
    headers = signed(body)
    assert await post(site, body, headers) == (200, {"status": "stored"})
    row = await row_of(site, headers["webhook-id"])
    assert (bytes(row["body"]), row["reference"]) == (body, "")


ATTACKS = {
    "a tampered body": (lambda body: (body.replace(b"settled", b"refused"), signed(body)), 401, "signature"),
    "another secret": (lambda body: (body, signed(body, secret=OTHER)), 401, "signature"),
    "another event's id": (lambda body: (body, signed(body) | {"webhook-id": "evt_other"}), 401, "signature"),
    "another time": (lambda body: (body, signed(body) | {"webhook-timestamp": "1"}), 401, "signature"),
    "a cut signature": (
        lambda body: (body, signed(body) | {"webhook-signature": signed(body)["webhook-signature"][:-5]}),
        401,
        "signature",
    ),
    "another scheme": (
        lambda body: (
            body,
            signed(body) | {"webhook-signature": "v2," + signed(body)["webhook-signature"][3:]},
        ),
        401,
        "signature",
    ),
    "signed long ago": (
        lambda body: (body, signed(body, at=datetime.now(UTC) - timedelta(seconds=302))),
        401,
        "too_old",
    ),
    "signed in the future": (
        lambda body: (body, signed(body, at=datetime.now(UTC) + timedelta(seconds=310))),
        401,
        "too_new",
    ),
    "no headers": (lambda body: (body, {}), 400, "headers"),
    **{
        f"no {name}": (
            lambda body, name=name: (body, {key: v for key, v in signed(body).items() if key != name}),
            400,
            "headers",
        )
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    },
    "a time that is none": (
        lambda body: (body, signed(body) | {"webhook-timestamp": "9" * 30}),
        400,
        "headers",
    ),
    "a negative time": (lambda body: (body, signed(body) | {"webhook-timestamp": "-1"}), 400, "headers"),
    "an id with spaces": (lambda body: (body, signed(body) | {"webhook-id": "a b"}), 400, "headers"),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_refused_and_changes_nothing(site, caplog, attack):
    caplog.set_level(logging.WARNING, logger="web.webhooks")
    forge, status, why = ATTACKS[attack]
    before = await inbox(site)
    body, headers = forge(event())
    answered, told = await post(site, body, headers)
    assert (answered, told["code"], told["why"]) == (status, "webhook_refused", why)
    assert await inbox(site) == before
    [noted] = [record for record in caplog.records if record.name == "web.webhooks"]
    assert (noted.code, noted.why, noted.status) == ("webhook_refused", why, status)


async def test_one_fitting_signature_of_several_is_enough(site):
    body = event()
    headers = signed(body)
    foreign = [signed(body, secret=OTHER)["webhook-signature"], "v1a,AAAA", "nonsense", "v1,%%%", ",", ""]
    headers["webhook-signature"] = " ".join([*foreign, headers["webhook-signature"]])
    assert (await post(site, body, headers))[0] == 200


async def test_while_a_secret_is_replaced_both_are_believed(lab):
    async with serving(lab, secrets=(OTHER, SECRET)) as site:
        for secret in (SECRET, OTHER):
            body = event()
            assert (await post(site, body, signed(body, secret=secret)))[0] == 200


async def test_the_clock_of_the_window_is_ours(site):
    body = event()
    headers = signed(body)
    site.ahead = timedelta(minutes=6)
    assert (await post(site, body, headers))[1]["why"] == "too_old"
    site.ahead = timedelta(minutes=4)
    assert (await post(site, body, headers))[0] == 200


async def test_without_a_secret_nothing_is_believed_and_the_sender_is_asked_to_come_again(lab):
    async with serving(lab, secrets=()) as site:
        before, body = await inbox(site), event()
        for headers in (signed(body), {}):
            status, told = await post(site, body, headers)
            assert (status, told["code"]) == (503, "settings_invalid")
        assert await inbox(site) == before


async def test_another_gateway_another_method_and_another_path_are_refused(site):
    body = event()
    for path in ("/webhooks/nobody", "/webhooks/%FF", "/webhooks/SANDBOX"):
        assert (await post(site, body, signed(body), path=path))[0] == 404
    for path in ("/webhooks", "/webhooks/", "/webhooks/sandbox/", "/webhooks/sandbox/more"):
        async with site.browser.post(site.url + path, data=body, headers=signed(body)) as answer:
            assert answer.status == 404
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        async with site.browser.request(method, site.url + "/webhooks/sandbox") as answer:
            assert answer.status == 405


async def test_a_body_is_taken_up_to_its_limit_and_no_further(site):
    filled = event()[:-1] + b" " * BODY_BYTES_MAX
    fits, too_large = filled[: BODY_BYTES_MAX - 1] + b"}", filled[:BODY_BYTES_MAX] + b"}"
    assert (await post(site, fits, signed(fits)))[0] == 200
    before = await inbox(site)
    status, told = await post(site, too_large, signed(too_large))
    assert (status, told["why"]) == (413, "too_large")
    megabyte = b"x" * 1_000_000
    assert (await post(site, megabyte, signed(megabyte)))[0] == 413

    async def drops():
        for _ in range(100):
            yield b"x" * 10_000  # no length is declared: it is counted

    async with site.browser.post(site.url + "/webhooks/sandbox", data=drops(), headers=signed(b"")) as answer:
        assert answer.status == 413
    assert await inbox(site) == before


async def test_a_sender_who_hangs_up_half_way_leaves_nothing(site):
    before = await inbox(site)
    port = int(site.url.rpartition(":")[2])
    for _ in range(3):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /webhooks/sandbox HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert (await site.look(f"{site.url}/health"))[0] == 200
    assert await inbox(site) == before


async def test_while_the_database_is_down_the_sender_is_asked_to_come_again(lab):
    nowhere = f"postgresql+psycopg://u:p@127.0.0.1:{free_ports(1)[0]}/none"
    async with serving(lab, database_url=nowhere) as site:
        body = event()
        async with site.browser.post(
            site.url + "/webhooks/sandbox", data=body, headers=signed(body)
        ) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "database_unavailable")
            assert answer.headers["Retry-After"]
        assert (await post(site, body, signed(body, secret=OTHER)))[0] == 401, (
            "no database is needed for that"
        )


async def test_a_database_that_hangs_is_down_to_a_sender(lab):
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent, serving(lab, database_url=f"postgresql+psycopg://u:p@127.0.0.1:{port}/none") as site:
        body, began = event(), asyncio.get_running_loop().time()
        assert (await post(site, body, signed(body)))[0] == 503
        assert asyncio.get_running_loop().time() - began < STORE_SECONDS_MAX + 2


async def test_no_secret_and_no_body_reaches_a_log(site, caplog):
    caplog.set_level(logging.DEBUG)
    body = event(email="fan@example.com")
    await post(site, body, signed(body))
    await post(site, body, signed(body, secret=OTHER))
    assert "fan@example.com" not in caplog.text
    assert SECRET not in caplog.text


# ---------------------------------------------------------------------- whatever somebody sends

_NAMES = st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "content-type", "x-other"])
_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).map(str.strip)


async def asked(site, body: bytes, headers: dict[str, str]) -> int:
    async with aiohttp.ClientSession() as stranger:
        url = site.url + "/webhooks/sandbox"
        async with stranger.post(url, data=body, headers=headers) as answer:
            return answer.status


@PATIENT
@given(body=st.text(max_size=200), headers=st.dictionaries(_NAMES, _VALUES, max_size=2), bare=st.booleans())
@example(body="{}", headers={"webhook-signature": "v1"}, bare=False)
@example(body="{}", headers={"webhook-signature": "v1,é"}, bare=False)
@example(body="{}", headers={"webhook-id": ""}, bare=False)
async def test_a_stranger_gets_4xx_and_changes_nothing_whatever_is_sent(site, body, headers, bare):
    """Bare, or with everything right but the secret."""
    raw, before = body.encode(errors="replace"), await inbox(site)
    right = {} if bare else signed(raw, secret=OTHER)
    assert await asked(site, raw, right | headers) in (400, 401)
    assert await inbox(site) == before


@PATIENT
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
async def test_a_body_with_one_bit_turned_is_refused(site, place, bit):
    body, before = event(), await inbox(site)
    turned = bytearray(body)
    turned[place % len(body)] ^= 1 << bit
    assert await asked(site, bytes(turned), signed(body)) == 401
    assert await inbox(site) == before


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "type": _JSON,
        "data": st.fixed_dictionaries({}, optional={"id": _JSON, "reference": _JSON}) | _JSON,
    },
)


@PATIENT
@given(told=_EVENTS | _JSON)
async def test_whatever_a_friend_sends_is_stored(site, told):
    body = json.dumps(told).encode()
    headers = signed(body, event_id=f"evt_{secrets.token_hex(12)}")
    assert await asked(site, body, headers) == 200
    assert bytes((await row_of(site, headers["webhook-id"]))["body"]) == body
