"""Sends notifications to merchants' endpoints, signed by the Standard Webhooks scheme (spec: customers.md §5).

An endpoint is a stranger. It gets one POST with a time limit, a redirect is not followed, and of its answer no more
than a little is read. An address that is not public is refused at the moment when a socket is made for it: names are
resolved here, once, and the address that was judged is the one that is connected to, so that a name that points
elsewhere a moment later gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from standardwebhooks import Webhook

from domain.addresses import may_reach, require_url
from domain.errors import TeikiError
from domain.notifications import ANSWER_BYTES_MAX, ANSWER_CHARACTERS_KEPT, ENDPOINTS_MAX, Answer, Letter

CONNECT_S: Final = 5.0
TOTAL_S: Final = 15.0
"""Of one try, from the name's resolution to the answer's last byte."""
_READ_BYTES: Final = 16 * 1024

LookUp = Callable[[str, int, int, int], list[tuple[Any, ...]]]
"""`socket.getaddrinfo`: host, port, family, kind of socket."""


class EndpointClient:
    """One for all endpoints; belongs to one event loop. Connections are kept a few seconds.

    Args:
        allow_private: whether plain HTTP, loopback and private networks are allowed.
        connect_s: seconds until a connection must be there.
        total_s: seconds for a whole try.
        look_up: the addresses of a name; blocks.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        connect_s: float = CONNECT_S,
        total_s: float = TOTAL_S,
        look_up: LookUp = socket.getaddrinfo,
    ) -> None:
        self._look_up = look_up
        self._allow_private = allow_private
        self._timeout = aiohttp.ClientTimeout(total=total_s, connect=connect_s)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, letter: Letter) -> Answer:
        """Send it once; whatever happens is an answer, never an exception."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        status, text, error = await self._post(letter)
        return Answer(
            status=status,
            text=text.replace("\x00", "�")[:ANSWER_CHARACTERS_KEPT],
            error=error,
            took_ms=round((loop.time() - began) * 1_000),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, letter: Letter) -> tuple[int | None, str, str]:
        try:
            require_url(letter.url, allow_private=self._allow_private)
        except TeikiError:  # registered when more was allowed
            return None, "", "address_refused"
        status: int | None = None
        try:
            async with self._http().post(
                letter.url, data=letter.body.encode(), headers=_headers(letter), allow_redirects=False
            ) as answer:
                status = answer.status
                body = await _read(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return status, "", _word(error)
        too_large = len(body) > ANSWER_BYTES_MAX
        return status, body.decode("utf-8", "replace"), "answer_too_large" if too_large else ""

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_Resolver(self._look_up), limit=0, keepalive_timeout=10, socket_factory=self._socket
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,  # no proxy that connects in our place to what we refuse
            )
        return self._session

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        """The last gate, passed by every connection: a socket for this very address, or none."""
        family, kind, protocol, _, where = address
        if not may_reach(str(where[0]), allow_private=self._allow_private):
            raise _AddressRefusedError
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made


class _AddressRefusedError(OSError):
    """This address is not public."""


_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (TimeoutError, "timeout"),
    (aiohttp.ClientConnectorDNSError, "unresolved"),
    (aiohttp.ClientSSLError, "tls_failed"),
    (aiohttp.ClientConnectorError, "connect_failed"),
)
"""Why nothing came, as people read it; details would only tell of our network. The first that fits."""


class _Resolver(AbstractResolver):
    """The system's resolver, in threads of its own: an endpoint whose name takes long holds up no other."""

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(ENDPOINTS_MAX, thread_name_prefix="resolve")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: self._look_up(host, port, family, socket.SOCK_STREAM)
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(where[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, where in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _headers(letter: Letter) -> dict[str, str]:
    signed = [
        Webhook(secret).sign(letter.notification_id, letter.at, letter.body) for secret in letter.secrets
    ]
    return {
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "Teiki",
        "webhook-id": letter.notification_id,
        "webhook-timestamp": str(int(letter.at.timestamp())),
        "webhook-signature": " ".join(signed),
    }


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The answer's body; of a larger one a little more than is allowed."""
    read = b""
    while len(read) <= ANSWER_BYTES_MAX and (piece := await answer.content.read(_READ_BYTES)):
        read += piece
    return read


def _word(error: Exception) -> str:
    if isinstance(getattr(error, "os_error", error), _AddressRefusedError):
        return "address_refused"
    return next((word for kind, word in _WORDS if isinstance(error, kind)), "connection_lost")
