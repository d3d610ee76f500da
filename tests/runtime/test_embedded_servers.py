"""The servers from wheels start on free ports, keep what they should, and leave nothing behind."""

import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from datetime import timedelta
from pathlib import Path

import aiohttp
import psutil
import psycopg
import pytest

from domain.errors import ErrorCode, TeikiError
from runtime.embedded.ports import free_ports, is_free, prefer
from runtime.embedded.postgres import EmbeddedPostgres, end_leftovers
from runtime.embedded.processes import ProcessIdentity, identify, program
from runtime.embedded.temporal_servers import DYNAMIC_CONFIG


async def one(url, query):
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return (await (await connection.execute(query)).fetchone())[0]


@pytest.fixture
def home():
    """Where an unprivileged Postgres may go (pytest's own directories are closed to other users)."""

    directory = Path(tempfile.mkdtemp(prefix="teiki-test-"))
    yield directory
    shutil.rmtree(directory)


def test_the_server_knows_every_setting_it_is_given():
    """It takes an unknown one without a word."""
    with (
        program("temporal").open("rb") as binary,
        mmap.mmap(binary.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        assert [name for name in DYNAMIC_CONFIG if content.find(name.encode()) < 0] == []
        assert content.find(b"history.timerProcessorNoSuchSetting") < 0


def sleeper():
    """A process that has nothing to do with us."""
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


class TestPostgres:
    async def test_it_is_version_18_with_unicode_and_utc(self, postgres):
        assert (await one(postgres.url(), "SHOW server_version")).startswith("18.")
        assert await one(postgres.url(), "SHOW server_encoding") == "UTF8"
        assert await one(postgres.url(), "SHOW timezone") == "UTC"

    async def test_databases_are_made_from_a_template(self, postgres):
        source = await postgres.create_database("source")
        async with await psycopg.AsyncConnection.connect(source) as connection:
            await connection.execute("CREATE TABLE facts AS SELECT 42 AS answer")
        copy = await postgres.create_database('odd "name', template="source")
        assert await one(copy.replace('odd "name', "odd%20%22name"), "SELECT answer FROM facts") == 42
        await postgres.drop_database('odd "name')
        await postgres.drop_database("source")

    async def test_a_wrong_password_does_not_get_in(self, postgres):
        with pytest.raises(psycopg.OperationalError, match="password"):
            await psycopg.AsyncConnection.connect(
                f"postgresql://teiki:guess@127.0.0.1:{postgres.port}/postgres"
            )

    async def test_the_public_address_has_no_password(self, postgres):
        assert postgres.public_url("teiki") == f"postgresql://teiki@127.0.0.1:{postgres.port}/teiki"

    async def test_data_survives_a_restart(self, home):
        async with EmbeddedPostgres(home / "pg", password="kept") as server:
            url = await server.ensure_database("teiki")
            async with await psycopg.AsyncConnection.connect(url) as connection:
                await connection.execute("CREATE TABLE facts AS SELECT 7 AS answer")
        async with EmbeddedPostgres(home / "pg", password="kept") as server:
            assert await one(await server.ensure_database("teiki"), "SELECT answer FROM facts") == 7

    async def test_a_temporary_server_leaves_no_files_and_no_process(self):
        async with EmbeddedPostgres(durable=False) as server:
            pid, directory = server.process.pid, server._directory
            assert directory.exists()
        assert not directory.exists()
        assert not psutil.pid_exists(pid)

    async def test_a_taken_port_is_an_error_with_the_reason(self, postgres):
        with pytest.raises(TeikiError, match="did not start") as refused:
            async with EmbeddedPostgres(port=postgres.port, durable=False):
                pass
        assert refused.value.code is ErrorCode.DATABASE_UNAVAILABLE

    async def test_a_stale_lock_file_naming_a_stranger_does_not_block_the_start(self, home):
        async with EmbeddedPostgres(home / "pg", password="p", durable=False):
            pass
        stranger = sleeper()
        try:
            (home / "pg" / "data" / "postmaster.pid").write_text(f"{stranger.pid}\n")
            async with EmbeddedPostgres(home / "pg", password="p", durable=False) as server:
                assert await one(server.url(), "SELECT 1") == 1
            assert stranger.poll() is None, "a process that is not ours must never be ended"
        finally:
            stranger.kill()
            stranger.wait()

    async def test_a_server_left_over_by_a_crash_is_ended_first(self, home):
        async with EmbeddedPostgres(home / "pg", password="p", durable=False) as server:
            await end_leftovers(home / "pg" / "data")
            assert await server.process.wait() == 0
            async with EmbeddedPostgres(home / "pg", password="p", durable=False) as second:
                assert await one(second.url(), "SELECT 1") == 1


class TestDeath:
    def test_children_die_when_their_parent_is_killed(self):
        script = textwrap.dedent(
            """
            import asyncio
            from runtime.embedded.postgres import EmbeddedPostgres
            from runtime.embedded.temporal_servers import DevServer, TimeSkippingServer
            async def main():
                async with EmbeddedPostgres(durable=False) as pg, DevServer() as dev, TimeSkippingServer():
                    print(pg._directory, dev._home.name, flush=True)
                    await asyncio.sleep(600)
            asyncio.run(main())
            """
        )
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
            directories = parent.stdout.readline().split()
            children = psutil.Process(parent.pid).children(recursive=True)
            names = {child.name() for child in children}
            parent.send_signal(signal.SIGKILL)
        assert {"postgres", "temporal"} <= names
        assert any(name.startswith("temporal-test") for name in names)
        _, alive = psutil.wait_procs(children, timeout=20)
        assert alive == []

        for directory in directories:  # what a killed process cannot remove itself
            shutil.rmtree(directory)


class TestTemporal:
    async def test_the_real_server_counts_its_actions_for_the_benchmark(self, dev_server):

        async with aiohttp.ClientSession() as session, session.get(dev_server.metrics_url) as answer:
            assert answer.status == 200

    async def test_time_skips(self, time_skipping):
        before, began = await time_skipping.get_current_time(), time.monotonic()
        await time_skipping.sleep(timedelta(days=400))
        assert await time_skipping.get_current_time() - before >= timedelta(days=400)
        assert time.monotonic() - began < 20


class TestIdentity:
    def test_a_process_is_found_by_id_and_start_time(self):
        me = identify("me", os.getpid())
        assert me.find().pid == os.getpid()
        assert ProcessIdentity.model_validate_json(me.model_dump_json()).find() is not None

    def test_another_process_with_the_same_id_is_not_ours(self):
        me = identify("me", os.getpid())
        assert ProcessIdentity(name="me", pid=me.pid, started=me.started - 1).find() is None

    def test_a_gone_process_is_not_found(self):
        child = subprocess.Popen([sys.executable, "-c", ""])
        known = identify("child", child.pid)
        child.wait()
        assert known is None or known.find() is None


class TestPorts:
    def test_free_ports_are_distinct_and_free(self):
        ports = free_ports(20)
        assert len(set(ports)) == 20

    def test_a_taken_port_is_not_preferred(self):

        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            assert not is_free(port)
            assert prefer(port) != port
        assert prefer(port) == port
