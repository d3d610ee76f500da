"""The codec server decrypts for the Web UI it was told about, and for nobody else."""

import asyncio
import base64
import json
import os
import signal
import sys

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads

from domain.errors import TeikiError
from runtime.codec import KeyRing, TeikiCodec, new_key
from runtime.codec_server import check_exposure, codec_app

UI = "http://127.0.0.1:8233"
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'{"payment":7}')


def body(*payloads):
    return json_format.MessageToDict(Payloads(payloads=payloads))


async def encrypted(keys):
    [payload] = await TeikiCodec(keys).encode([PLAIN])
    return payload


@pytest.fixture
async def client(keys):
    async with TestClient(TestServer(codec_app(keys, origins=[UI]))) as client:
        yield client


async def test_the_ui_reads_what_the_worker_wrote(client, keys):
    answer = await client.post(
        "/decode?preserveStorageRefs=true",
        json=body(await encrypted(keys)),
        headers={"Origin": UI, "X-Namespace": "default"},
    )
    assert answer.status == 200
    assert json_format.ParseDict(await answer.json(), Payloads()).payloads == [PLAIN]
    assert answer.headers["Access-Control-Allow-Origin"] == UI
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_command_line_encodes_its_query_arguments(client, keys):
    answer = await client.post("/encode", json=body(PLAIN))
    [payload] = json_format.ParseDict(await answer.json(), Payloads()).payloads
    assert await TeikiCodec(keys).decode([payload]) == [PLAIN]


async def test_the_browsers_preflight_is_answered_exactly(client):
    answer = await client.options(
        "/decode",
        headers={
            "Origin": UI,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-namespace,content-type,authorization",
        },
    )
    assert answer.status == 204
    allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"x-namespace", "content-type", "authorization"} <= set(allowed)


@pytest.mark.parametrize(
    "origin", ["http://localhost:8233", "https://127.0.0.1:8233", "http://evil.example", "null"]
)
async def test_a_page_of_another_origin_gets_nothing(client, keys, origin):
    answer = await client.post("/decode", json=body(await encrypted(keys)), headers={"Origin": origin})
    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "payment" not in base64.b64encode(await answer.read()).decode()


async def test_a_payload_of_another_key_is_an_error_with_its_code(client):
    [payload] = await TeikiCodec(KeyRing.parse(new_key("other"))).encode([PLAIN])
    answer = await client.post("/decode", json=body(payload))
    assert answer.status == 422
    assert (await answer.json())["code"] == "settings_invalid"


@pytest.mark.parametrize("text", ["", '{"payloads": 7}', "\xff"])
async def test_a_body_that_is_not_payloads_is_refused(client, text):
    assert (await client.post("/decode", data=text)).status == 400


async def test_with_a_token_only_its_bearer_reads(keys):
    async with TestClient(TestServer(codec_app(keys, origins=[UI], token="opensesame"))) as client:
        payload = body(await encrypted(keys))
        assert (await client.post("/decode", json=payload)).status == 401
        assert (
            await client.post("/decode", json=payload, headers={"Authorization": "Bearer no"})
        ).status == 401
        good = {"Authorization": "Bearer opensesame"}
        assert (await client.post("/decode", json=payload, headers=good)).status == 200
        assert (await client.get("/health")).status == 200


class TestExposure:
    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
    def test_loopback_needs_no_permission(self, host):
        check_exposure(host, allow_remote=False, token=None)

    @pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "codec.internal"])
    def test_other_hosts_need_permission_and_a_token(self, host):
        with pytest.raises(TeikiError, match="--allow-remote"):
            check_exposure(host, allow_remote=False, token="t")
        with pytest.raises(TeikiError, match="TEIKI_CODEC_SERVER_TOKEN"):
            check_exposure(host, allow_remote=True, token=None)
        check_exposure(host, allow_remote=True, token="t")


async def test_the_command_serves_on_a_free_port_until_sigterm(tmp_path):
    environment = {**os.environ, "TEIKI_CODEC_KEYS": new_key("k1"), "TEIKI_STATE_DIR": str(tmp_path)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runtime.codec_server", "--port", "0", "--origin", UI),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    port = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))["port"]
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/health") as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_the_command_refuses_to_start_without_keys(tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runtime.codec_server", "--port", "0"),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TEIKI_STATE_DIR": str(tmp_path)},
    )
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert b"TEIKI_CODEC_KEYS" in err
