"""What is sent to strangers, and above all where it is not sent: no name and no redirect leads into our own network."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.notifications import ANSWER_CHARACTERS_KEPT, Letter
from gateways.endpoint_client import EndpointClient
from tests.notifications.merchant import merchant

SECRET = "whsec_" + "A" * 43 + "="


def letter(url: str) -> Letter:
    return Letter(
        url=url, notification_id="ntf_1", at=datetime.now(UTC), body='{"type":"a.b"}', secrets=(SECRET,)
    )


@dataclass
class Names:
    """A name server that says what it is told, one answer after another."""

    answers: list[list[str]]
    asked: int = 0

    def look_up(self, host: str, port: int, family: int, kind: int) -> list[tuple[Any, ...]]:
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                kind,
                socket.IPPROTO_TCP,
                "",
                (one, port, 0, 0) if ":" in one else (one, port),
            )
            for one in found
        ]


@dataclass
class Listener:
    """Somebody on loopback who notices every connection."""

    port: int = 0
    connections: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def seen(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    listener = Listener()
    server = await asyncio.start_server(listener.seen, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener


@asynccontextmanager
async def client(**given: Any) -> AsyncIterator[EndpointClient]:
    made = EndpointClient(**({"connect_s": 2, "total_s": 2} | given))
    try:
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.0.0.1"])
async def test_a_name_that_leads_into_our_network_is_not_connected_to(address):
    names = Names([[address]])
    async with listening() as inside, client(look_up=names.look_up) as post:
        answer = await post.post(letter(f"https://shop.example:{inside.port}/hook"))
    assert (answer.status, answer.error, answer.delivered) == (None, "address_refused", False)
    assert (inside.connections, names.asked) == (0, 1)


async def test_a_clouds_metadata_is_out_of_reach_also_where_private_addresses_are_allowed():
    async with client(look_up=Names([["169.254.169.254"]]).look_up, allow_private=True) as post:
        assert (await post.post(letter("http://shop.example/latest/meta-data"))).error == "address_refused"


async def test_with_private_addresses_allowed_the_same_name_is_connected_to():
    names = Names([["127.0.0.1"]])
    async with listening() as inside, client(look_up=names.look_up, allow_private=True) as post:
        answer = await post.post(letter(f"https://shop.example:{inside.port}/hook"))
    assert answer.error != "address_refused"
    assert inside.connections == 1


async def test_a_name_that_changes_its_mind_is_judged_and_connected_to_by_one_answer():
    """Rebinding: a public address for whoever checks, a private one for whoever connects. Here both are one look-up."""
    names = Names([["10.0.0.1"], ["127.0.0.1"]])
    async with listening() as inside, client(look_up=names.look_up) as post:
        url = f"https://shop.example:{inside.port}/hook"
        assert (await post.post(letter(url))).error == "address_refused"
        assert names.asked == 1
        assert (await post.post(letter(url))).error == "address_refused"
    assert inside.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hook",
        "https://127.0.0.1/hook",
        "https://[::ffff:169.254.169.254]/hook",
        "https://user:pass@shop.example/hook",
        "https://shop.example:5432/hook",
        "ftp://shop.example/hook",
        "https:///hook",
    ],
)
async def test_what_was_registered_when_more_was_allowed_is_not_sent_to(url):
    names = Names([["127.0.0.1"]])
    async with client(look_up=names.look_up) as post:
        answer = await post.post(letter(url))
    assert (answer.error, names.asked) == ("address_refused", 0)


async def test_a_name_without_an_address_is_an_answer():
    def nobody(*_: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async with client(look_up=nobody) as post:
        assert (await post.post(letter("https://shop.example/hook"))).error == "unresolved"


async def test_a_certificate_that_nobody_vouches_for_is_refused():
    async with merchant() as shop, client(allow_private=True) as post:
        answer = await post.post(letter(shop.url.replace("http://", "https://")))
    assert answer.error in ("tls_failed", "connection_lost")
    assert shop.arrived == []


async def test_an_answer_is_kept_in_its_first_characters_and_without_what_postgres_cannot_keep():
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"\x00\xff" + b"y" * 2_000
        writer.write(b"HTTP/1.1 400 No\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server, client(allow_private=True) as post:
        answer = await post.post(letter(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    assert (answer.status, len(answer.text)) == (400, ANSWER_CHARACTERS_KEPT)
    assert answer.text.startswith("��y")


async def test_a_proxy_of_the_environment_does_not_connect_in_our_place(monkeypatch):
    async with listening() as proxy, client(look_up=Names([["127.0.0.1"]]).look_up) as post:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert (await post.post(letter("https://shop.example/hook"))).error == "address_refused"
    assert proxy.connections == 0
