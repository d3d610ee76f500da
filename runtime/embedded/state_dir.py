"""The state directory of an embedded stack (`.teiki`): who holds it, its secrets, and what a crash left
behind.

lock             held (flock) while a stack runs; the kernel lets go of it when the holder dies
pids.json        our process and its children, each with its start time
keys             the payload encryption key, made once (0600)
export.keys      the key that passwords of exports are sealed with, made once (0600)
postgres.password
webhook.secrets  what the sandbox gateway signs its webhooks with, made once (0600)
ports.json       the ports of the last run, tried first in the next
stack.json       settings for other terminals, only while a stack runs (0600)
temporal.toml    the same for Temporal's own tools
postgres/ temporal.db logs/ run/ exports/
"""

from __future__ import annotations

import base64
import fcntl
import json
import logging
import os
import secrets
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from domain.errors import ErrorCode, TeikiError
from runtime.codec import new_key
from runtime.embedded.processes import ProcessIdentity, end_stranded, identify
from runtime.settings import STACK_FILE

_FIRST_KEY_ID: Final = "k1"

_logger = logging.getLogger(__name__)


class RunningProcesses(BaseModel):
    """`pids.json`."""

    stack: ProcessIdentity
    children: list[ProcessIdentity] = []


class StateDir:
    """One state directory; `acquire` before anything else."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: int | None = None

    @property
    def logs(self) -> Path:
        """One file per service."""
        return self.path / "logs"

    @property
    def stack_file(self) -> Path:
        """What other terminals read."""
        return self.path / STACK_FILE

    @property
    def keys_file(self) -> Path:
        """The codec keys as `TEIKI_CODEC_KEYS_FILE` takes them."""
        return self.path / "keys"

    @property
    def temporal_toml(self) -> Path:
        """Temporal's own client configuration for this stack."""
        return self.path / "temporal.toml"

    def ready_file(self, service: str) -> Path:
        """What a service writes once it serves."""
        return self.path / "run" / f"{service}.ready"

    def acquire(self) -> None:
        """Makes the directory and takes it for this process.

        Raises:
            TeikiError: `engine_unavailable` when a stack runs here already.
        """
        # Others may pass through (as root, Postgres runs as another user), nobody may list; secrets are
        # 0600 inside.
        self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
        (self.path / "run").mkdir(mode=0o700, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            holder = self._recorded()
            who = f" (process {holder.stack.pid})" if holder else ""
            raise TeikiError(
                ErrorCode.ENGINE_UNAVAILABLE,
                f"A stack is already running in {self.path}{who}; stop it, or use another TEIKI_STATE_DIR.",
                state_dir=str(self.path),
            ) from error
        self._lock = lock

    async def clean_up_after_crash(self, say: Callable[[str], None]) -> None:
        """Ends children that an earlier stack left running and removes what it no longer means.

        Only processes whose id *and* start time are recorded are ended: anything else may be somebody else's.
        """
        recorded = self._recorded()
        for child in reversed(recorded.children if recorded else []):
            process = child.find()
            if process is None:
                continue
            say(f"ending {child.name} (process {child.pid}), left over by an earlier stack")
            how = signal.SIGINT if child.name == "postgres" else signal.SIGTERM
            await end_stranded(process, with_signal=how)
        for leftover in (self.stack_file, self.path / "pids.json", *(self.path / "run").glob("*.ready")):
            leftover.unlink(missing_ok=True)

    def record(self, children: list[ProcessIdentity]) -> None:
        """Writes `pids.json`."""
        ourselves = identify("stack", os.getpid())
        assert ourselves is not None, "this process runs"
        self.write_json("pids.json", RunningProcesses(stack=ourselves, children=children).model_dump())

    def release(self) -> None:
        """Everything was stopped: forget the run and let the next one in."""
        for name in (STACK_FILE, "pids.json"):
            (self.path / name).unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def secret(self, name: str, make: Callable[[], str]) -> str:
        """The content of a secret file, made on first use."""
        path = self.path / name
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(make() + "\n")
        return path.read_text(encoding="utf-8").strip()

    def codec_keys(self) -> str:
        """The payload keys; to rotate, put a new `id:base64` line above the others and restart."""
        return self.secret("keys", lambda: new_key(_FIRST_KEY_ID))

    def export_keys(self) -> str:
        """The keys for passwords of exports; rotated in the same way."""
        return self.secret("export.keys", lambda: new_key(_FIRST_KEY_ID))

    def endpoint_keys(self) -> str:
        """The keys for signing secrets of endpoints; to rotate, put the new one first and keep the old ones."""
        return self.secret("endpoint.keys", lambda: new_key(_FIRST_KEY_ID))

    def postgres_password(self) -> str:
        """The password of the embedded Postgres."""
        return self.secret("postgres.password", lambda: secrets.token_urlsafe(24))

    @property
    def webhook_secrets_file(self) -> Path:
        """The webhook secrets as `TEIKI_WEBHOOK_SECRETS_FILE` takes them."""
        return self.path / "webhook.secrets"

    def webhook_secrets(self) -> str:
        """The webhook secrets; to replace one, put the new one first and restart."""
        fresh = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        return self.secret(self.webhook_secrets_file.name, lambda: fresh)

    def last_ports(self) -> dict[str, int]:
        """The ports of the last run, by name; empty when unknown."""
        with suppress(FileNotFoundError, ValueError):
            ports = json.loads((self.path / "ports.json").read_text(encoding="utf-8"))
            return {name: port for name, port in ports.items() if isinstance(port, int)}
        return {}

    def write_json(self, name: str, value: Any) -> None:
        """Replaces a file of ours at once, readable by its owner only."""
        path, fresh = self.path / name, self.path / f"{name}.new"
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)

    def _recorded(self) -> RunningProcesses | None:
        try:
            return RunningProcesses.model_validate_json((self.path / "pids.json").read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            _logger.warning("pids.json is damaged and is ignored", extra={"state_dir": str(self.path)})
            return None
