"""Who may have signed a webhook: the adapter's own judgement, and a sandbox that is told at its start where to send."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from domain.errors import TeikiError
from gateways.port import WebhookNotice
from gateways.sandbox.webhooks import secret_bytes, sign
from gateways.sandbox_client import SandboxGateway
from gateways.standard_webhooks import REPLAY_WINDOW
from tests.gateways.receiver import SECRET

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
BODY = b'{"type":"charge.settled","data":{"id":"ch_1","reference":"sub_1/1/1"}}'
NOTICE = WebhookNotice(event_id="evt_1", kind="charge.settled", gateway_id="ch_1", reference="sub_1/1/1")


def signed(at: datetime = NOW, body: bytes = BODY) -> dict[str, str]:
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("evt_1", at, body.decode()),
    }


def adapter(*secrets: str) -> SandboxGateway:
    return SandboxGateway("http://127.0.0.1:1", webhook_secrets=secrets)


def why(headers: dict[str, str], body: bytes = BODY, *, now: datetime = NOW) -> str:
    with pytest.raises(TeikiError) as refused:
        adapter(SECRET).parse_webhook(headers, body, now=now)
    return str(refused.value.facts["why"])


def test_the_public_library_and_the_sandbox_sign_what_we_accept():
    assert adapter(SECRET).parse_webhook(signed(), BODY, now=NOW) == NOTICE
    key, stamp = secret_bytes(SECRET), int(NOW.timestamp())
    assert key is not None
    by_sandbox = signed() | {"webhook-signature": sign(key, "evt_1", stamp, BODY.decode())}
    assert adapter(SECRET).parse_webhook(by_sandbox, BODY, now=NOW) == NOTICE


def test_the_window_is_as_wide_in_both_directions():
    second = timedelta(seconds=1)
    for edge in (NOW - REPLAY_WINDOW, NOW + REPLAY_WINDOW):
        assert adapter(SECRET).parse_webhook(signed(edge), BODY, now=NOW) == NOTICE
    assert why(signed(NOW - REPLAY_WINDOW - second)) == "too_old"
    assert why(signed(NOW + REPLAY_WINDOW + second)) == "too_new"


def test_every_changed_byte_is_noticed():
    for place in range(len(BODY)):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert why(signed(), changed) == "signature"


def test_only_some_of_many_signatures_are_looked_at():
    headers = signed()
    many = " ".join(["v1,AAAA"] * 20 + [headers["webhook-signature"]])
    assert why(headers | {"webhook-signature": many}) == "signature"


def test_without_a_secret_nobody_is_believed():
    with pytest.raises(TeikiError, match="settings_invalid"):
        adapter().parse_webhook(signed(), BODY, now=NOW)


@pytest.mark.parametrize(
    "secret", ["", "no prefix", "whsec_", "whsec_c2hvcnQ=", "whsec_%%%", "whsec_é", SECRET[:-4] + "!!!="]
)
def test_a_secret_that_is_none_is_refused_by_its_place_and_never_shown(secret):
    with pytest.raises(TeikiError, match="settings_invalid") as refused:
        adapter(SECRET, secret)
    assert "number 2" in str(refused.value)
    assert len(secret) < 7 or secret not in str(refused.value)


async def started(tmp_path, *arguments: str) -> dict:
    """What a sandbox process that was started so says of its receiver."""

    def run() -> dict:
        command = [sys.executable, "-m", "gateways.sandbox", "--database", str(tmp_path / "sandbox.db")]
        with subprocess.Popen(
            [*command, "--stop-with-stdin", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            port = json.loads(process.stdout.readline())["port"]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_control/webhooks", timeout=10) as answer:
                return json.load(answer)

    return await asyncio.to_thread(run)


async def test_a_sandbox_is_told_at_its_start_where_to_send_and_remembers_it(tmp_path):
    secrets = tmp_path / "secrets"
    secrets.write_text(f"{SECRET}\nwhsec_older\n")
    url = "http://127.0.0.1:9/hooks"
    told = ("--webhook-url", url, "--webhook-secrets-file", str(secrets))
    assert (await started(tmp_path))["url"] is None
    assert (await started(tmp_path, *told))["url"] == url
    assert (await started(tmp_path))["url"] == url
