"""The command line as its users meet it: arguments in, two streams and a status out; and a laboratory to talk to."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from starter.cli import main
from starter.simulate.lab import Lab, laboratory


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document; fails when stdout holds anything else beside it."""
        return json.loads(self.out)


def run(*arguments: str) -> Ran:
    """One command line, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(argument) for argument in arguments])
    return Ran(status, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def _no_outside_configuration(tmp_path, monkeypatch) -> None:
    """Neither a developer's settings nor a running stack's reach a test."""
    for name in list(os.environ):
        if name.startswith(("TEIKI_", "TEMPORAL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def teiki() -> Callable[..., Ran]:
    return run


@pytest.fixture(scope="session")
async def lab() -> AsyncIterator[Lab]:
    async with laboratory() as running:
        yield running


@pytest.fixture
def teiki_in_lab(lab: Lab, monkeypatch) -> Callable[..., Awaitable[Ran]]:
    """A command line against the laboratory, in a thread: commands bring their own event loop."""
    keys = lab.settings.codec_keys
    assert keys is not None
    monkeypatch.setenv("TEIKI_DATABASE_URL", lab.settings.database)
    monkeypatch.setenv("TEIKI_CODEC_KEYS", keys.get_secret_value())
    export_keys = lab.settings.export_secret_keys
    assert export_keys is not None
    monkeypatch.setenv("TEIKI_EXPORT_SECRET_KEYS", export_keys.get_secret_value())
    endpoint_keys = lab.settings.endpoint_secret_keys
    assert endpoint_keys is not None
    monkeypatch.setenv("TEIKI_ENDPOINT_SECRET_KEYS", endpoint_keys.get_secret_value())
    monkeypatch.setenv("TEIKI_STATE_DIR", str(lab.settings.state_dir))
    monkeypatch.setenv("TEIKI_GATEWAY_URL", lab.settings.gateway_url)
    monkeypatch.setenv("TEIKI_PUBLIC_URL", lab.settings.public_url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", str(lab.settings.temporal_address))
    monkeypatch.setenv("TEIKI_ACTOR", "operator:desk-1")

    async def command(*arguments: str) -> Ran:
        return await asyncio.to_thread(run, *arguments)

    return command
