"""Processes end with the status they should, and stop when told."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

SERVICE = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from domain.errors import ErrorCode, TeikiError
    from runtime.lifecycle import mark_ready, run_service

    ready = Path(sys.argv[1])

    async def main(stop):
        if sys.argv[2] == "refuse":
            raise TeikiError(ErrorCode.SETTINGS_INVALID, "No key is given.")
        mark_ready(ready)
        await stop.wait()
        print("drained", flush=True)
        if sys.argv[2] == "hang":
            await asyncio.sleep(60)

    sys.exit(run_service(main, name="demo", ready_file=ready))
    """
)


def start(ready, mode):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE, str(ready), mode],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while mode != "refuse" and not ready.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_service_finish_its_work(tmp_path, number):
    process = start(tmp_path / "ready", "serve")
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "drained\n")
    assert not (tmp_path / "ready").exists()


def test_a_second_signal_ends_a_service_that_hangs(tmp_path):
    process = start(tmp_path / "ready", "hang")
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "drained\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM


def test_a_refusal_is_one_sentence_and_status_1(tmp_path):
    process = start(tmp_path / "ready", "refuse")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "settings_invalid: No key is given." in err
    assert "Traceback" not in err


def test_a_command_hands_back_its_result():
    script = "from runtime.lifecycle import run_cli\nasync def main(): return 42\nprint(run_cli(main()))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout) == (0, "42\n")
