"""The embedded stack, with small stand-ins for Teiki's own services: started in order, watched,
cleaned up.
"""

import asyncio
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from rich.console import Console

from domain.errors import ErrorCode, TeikiError
from runtime.embedded.stack import USUAL_PORTS, EmbeddedStack, choose_ports, summary, teiki_services
from runtime.embedded.supervisor import ServiceSpec, Supervisor, file_ready
from runtime.settings import Settings
from runtime.temporal import connect

SERVER = "import sys,time,pathlib; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"


@pytest.fixture
def home():
    directory = Path(tempfile.mkdtemp(prefix="teiki-test-"))
    yield directory
    shutil.rmtree(directory)


def stand_ins(plan):
    """A migration that proves the database is there, the real codec server, and a worker that only waits."""
    ready = plan.state.ready_file("worker")
    forget, serves = file_ready(ready)
    migrate = "import os,psycopg; psycopg.connect(os.environ['TEIKI_DATABASE_URL']).execute('SELECT 1')"
    [codec] = [service for service in teiki_services(plan) if service.name == "codec server"]
    return [
        ServiceSpec(
            name="migrations", command=[sys.executable, "-c", migrate], env=plan.environment(), one_shot=True
        ),
        codec,
        ServiceSpec(
            name="worker",
            command=[sys.executable, "-c", SERVER, str(ready)],
            before_start=forget,
            ready=serves,
        ),
    ]


def sleeper():
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def killed_stack(state_dir):
    """A stack whose process is killed as soon as it is up."""
    with subprocess.Popen(
        [sys.executable, "-c", UP, str(state_dir)], stdout=subprocess.PIPE, text=True
    ) as stack:
        assert stack.stdout.readline() == "up\n"
        stack.kill()


def children_of(state_dir):
    return {
        child["name"]: child["pid"] for child in json.loads((state_dir / "pids.json").read_text())["children"]
    }


async def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.05)


async def test_a_stack_starts_serves_recovers_and_leaves_only_its_data(home, monkeypatch):
    state_dir, said = home / ".teiki", []
    monkeypatch.setenv("TEMPORAL_ADDRESS", "elsewhere.invalid:7233")
    async with EmbeddedStack(state_dir, say=said.append, services=stand_ins, durable=False) as stack:
        # another terminal finds everything through stack.json
        monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(state_dir / "temporal.toml"))
        monkeypatch.delenv("TEMPORAL_ADDRESS")
        settings = Settings.load(state_dir=state_dir)
        assert (await connect(settings)).namespace == "default"
        async with await psycopg.AsyncConnection.connect(settings.database) as connection:
            await connection.execute("CREATE TABLE facts AS SELECT 7 AS answer")
        for secret in ("keys", "stack.json", "postgres.password", "pids.json"):
            assert stat.S_IMODE((state_dir / secret).stat().st_mode) == 0o600
        # people see where everything is, and no secret
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(summary(stack.plan))
        shown = console.export_text()
        assert stack.plan.url("web_ui") in shown
        assert (state_dir / "postgres.password").read_text().strip() not in shown
        # no variable of another Temporal reaches our children
        assert "TEMPORAL_ADDRESS" not in stack.plan.environment()
        # a second stack on the same directory says so
        with pytest.raises(TeikiError, match="already running"):
            async with EmbeddedStack(state_dir, services=stand_ins):
                pass
        assert (state_dir / "stack.json").exists()
        # a service that dies is started again, and that is said
        before = children_of(state_dir)
        assert {"postgres", "temporal", "codec server", "worker"} == set(before)
        os.kill(before["worker"], signal.SIGKILL)
        await until(lambda: "worker is ready again" in said)
        assert any("worker ended with status -9" in line for line in said)
        assert children_of(state_dir)["worker"] != before["worker"]
        after = children_of(state_dir)
    assert not (state_dir / "stack.json").exists()
    assert not (state_dir / "pids.json").exists()
    assert [pid for pid in after.values() if psutil.pid_exists(pid)] == []

    key = (state_dir / "keys").read_text()
    async with (
        EmbeddedStack(state_dir, services=lambda _: [], durable=False) as again,
        await psycopg.AsyncConnection.connect(again.settings().database) as connection,
    ):
        assert await (await connection.execute("SELECT answer FROM facts")).fetchone() == (7,)
    assert (state_dir / "keys").read_text() == key


UP = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from runtime.embedded.stack import EmbeddedStack
    async def main():
        async with EmbeddedStack(Path(sys.argv[1]), services=lambda _: [], durable=False):
            print("up", flush=True)
            await asyncio.sleep(600)
    asyncio.run(main())
    """
)


async def test_after_a_kill_the_next_stack_cleans_up_only_what_is_ours(home):
    state_dir = home / ".teiki"
    killed_stack(state_dir)
    # The kernel ends our children with us; where it cannot, pids.json remembers them. Both at once here:
    orphan = sleeper()
    stranger = sleeper()
    try:
        recorded = json.loads((state_dir / "pids.json").read_text())
        recorded["children"] += [
            {"name": "worker", "pid": orphan.pid, "started": psutil.Process(orphan.pid).create_time()},
            {
                "name": "gateway",
                "pid": stranger.pid,
                "started": psutil.Process(stranger.pid).create_time() - 100,
            },
        ]
        (state_dir / "pids.json").write_text(json.dumps(recorded))
        said = []
        async with EmbeddedStack(state_dir, say=said.append, services=lambda _: [], durable=False):
            assert orphan.wait(timeout=10) == -signal.SIGTERM
            assert stranger.poll() is None
        assert any("ending worker" in line for line in said)
        assert not any("gateway" in line for line in said)
    finally:
        for process in (orphan, stranger):
            process.kill()
            process.wait()


async def test_a_service_that_fails_to_start_stops_the_rest_and_shows_its_log(home):
    broken = "import sys; sys.exit('no such table')"

    def services(_):
        return [
            ServiceSpec(
                name="migrations",
                command=[sys.executable, "-c", broken],
                one_shot=True,
                error_code=ErrorCode.DATABASE_UNAVAILABLE,
            )
        ]

    with pytest.raises(TeikiError, match="no such table") as refused:
        async with EmbeddedStack(home / ".teiki", services=services, durable=False):
            pass
    assert refused.value.code is ErrorCode.DATABASE_UNAVAILABLE
    assert refused.value.facts["service"] == "migrations"
    assert not (home / ".teiki" / "pids.json").exists()


async def test_services_stop_in_reverse_order(tmp_path):
    order = tmp_path / "order"
    script = (
        "import signal,sys,time,pathlib\n"
        "def stop(*_):\n"
        "    with open(sys.argv[2], 'a') as file: file.write(sys.argv[3])\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "time.sleep(600)\n"
    )
    supervisor = Supervisor(logs=tmp_path / "logs", say=lambda _: None, changed=lambda _: None)
    for name in "abc":
        forget, serves = file_ready(tmp_path / name)
        await supervisor.start(
            ServiceSpec(
                name=name,
                command=[sys.executable, "-c", script, str(tmp_path / name), str(order), name],
                before_start=forget,
                ready=serves,
            )
        )
    await supervisor.stop()
    assert order.read_text() == "cba"


def test_usual_ports_are_used_when_free_then_the_last_ones():
    chosen = choose_ports({})
    assert set(chosen) == set(USUAL_PORTS)
    assert len(set(chosen.values())) == len(chosen)
