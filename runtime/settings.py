"""Every setting of Teiki, read once per process.

Sources, first wins: arguments, the environment (`TEIKI_*`), files named by `TEIKI_<SECRET>_FILE` (how
containers hand over secrets), and `<state_dir>/stack.json`, which a running `teiki up` writes so that
`teiki …` in another terminal finds its ports without being told. Where Temporal is comes from Temporal's
own environment configuration (`TEMPORAL_ADDRESS`, `TEMPORAL_PROFILE`, …; see `runtime.temporal.connect`).

A missing secret is an error (`settings_invalid`), never a silent default: only the embedded stack makes its
own key and its own database password, and hands them over in `stack.json` (0600).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from domain.errors import ErrorCode, TeikiError
from runtime.codec import KeyRing

ENV_PREFIX: Final = "TEIKI_"
STACK_FILE: Final = "stack.json"
"""Written by a running embedded stack into its state directory, removed when it stops."""

_SECRETS: Final = (
    "database_url",
    "codec_keys",
    "codec_server_token",
    "webhook_secrets",
    "export_secret_keys",
    "endpoint_secret_keys",
)

LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
]


class Settings(BaseSettings):
    """What a Teiki process may be told. Environment name of a field: `TEIKI_` and the field in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="ignore", frozen=True, env_ignore_empty=True
    )

    # where things are
    database_url: SecretStr | None = None
    """`postgresql://user:password@host:port/name`; needed by everything that reads or writes (see
    `database`).
    """
    gateway: Literal["sandbox"] = "sandbox"
    gateway_url: str = "http://127.0.0.1:8790"
    public_url: str = "http://127.0.0.1:8791"
    """The address customers' links start with."""
    codec_server_url: str | None = None
    """Shown to operators; the Web UI is configured with it by the stack."""
    state_dir: Path = Path(".teiki")
    """Data, keys, logs and `stack.json` of the embedded stack."""
    temporal_address: str | None = None
    """Fallback for Temporal's own `TEMPORAL_ADDRESS`; normally only set by `stack.json`."""
    temporal_namespace: str | None = None

    # secrets
    codec_keys: SecretStr | None = None
    """`id:base64,id2:base64`: the first encrypts, all decrypt (32 bytes each)."""
    codec_server_token: SecretStr | None = None
    """Bearer token the codec server asks for; none: anyone on loopback."""
    export_secret_keys: SecretStr | None = None
    """Like `codec_keys`: what passwords of exports are sealed with until their file is written. An old key is needed
    for an hour after the next one took its place.
    """

    endpoint_secret_keys: SecretStr | None = None
    """Like `codec_keys`: what the signing secrets of endpoints are sealed with. An old key is needed until every
    endpoint's secret was rotated.
    """
    endpoint_allow_private: bool = False
    """Whether notifications may be sent over plain HTTP, to loopback and to private networks: for trials on one machine
    and for a closed network of one's own.
    """

    # exports
    export_storage: str | None = None
    """Where workbooks lie: a directory, or `s3://bucket/prefix`; default `<state_dir>/exports`. It belongs to one
    database: what lies there and is in no row of it is removed.
    """
    merchant_zone: str = "Asia/Tokyo"
    """The zone of instants in workbooks, unless a request names another."""

    webhook_secrets: SecretStr | None = None
    """One or more `whsec_…`, separated by spaces or line breaks: any may have signed a webhook. None: no webhook is
    taken in.
    """

    # the worker
    worker_role: Literal["all", "billing", "exports"] = "all"
    """What a worker works on: money, workbooks, or both."""
    task_queue: str = "billing"
    exports_task_queue: str = "exports"
    max_concurrent_exports: PositiveInt = 2
    """Workbooks that one worker writes at once; each takes a thread and, for a while, a whole core."""
    workflow_sandbox: bool = False
    """Temporal's sandbox catches clocks, randomness and I/O in workflow code. The tests run with it, and
    CI forbids those by other means too; in production it would cost a quarter of the worker's CPU and find nothing new.
    """
    max_cached_workflows: PositiveInt = 3000
    """Of a crowd that is due at one instant the cached ones cost half as much; one takes some 80 kB of memory."""
    sticky_seconds: Annotated[float, Field(gt=0)] = 30.0
    """How long a workflow task waits for the worker that has its workflow in memory, before any worker may take it. In
    a crowd every task that waits longer costs twice; after a worker's crash those that wait for it wait as long.
    """
    max_concurrent_workflow_tasks: Annotated[int, Field(ge=2)] = 6
    """What a worker has taken is served in the order of taking: a longer row here is one that nobody can overtake."""
    max_concurrent_activities: PositiveInt = 50
    database_pool_size: PositiveInt = 20
    graceful_shutdown_seconds: Annotated[float, Field(ge=0)] = 30.0
    deployment_name: str | None = None
    """Worker versioning is on when this and `build_id` are both set."""
    build_id: str | None = None
    inflight_horizon_seconds: PositiveInt | None = None
    """Overrides the gateway's own answer to "how long may a request still take effect" (charging.md §2)."""
    gateway_rate_per_second: PositiveFloat | None = None
    """The most activities a second that Temporal hands out on the task queue, to all workers together: a limit for the
    calls to the payment company. Give all workers the same.
    """
    gateway_circuit_failures: NonNegativeInt = 10
    """So many failed calls in a row, and the payment company is left alone for a while; 0: never."""
    chargeback_access: Literal["revoke", "leave"] = "revoke"
    """What becomes of the customer's access when a payment is charged back: its permission is revoked and its
    subscription suspended, or all is left as it is.
    """
    ready_file: Path | None = None
    """A service writes this file once it serves."""

    # telling
    log_level: LogLevel = "INFO"
    log_format: Literal["json", "text"] = "json"
    metrics_address: Annotated[str | None, Field(pattern=r"^[^\s:]+:\d{1,5}$")] = None
    """`host:port` for Prometheus; none: no metrics endpoint."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order of the module's docstring."""
        return init_settings, env_settings, _FileVariants(settings_cls), _RunningStack(settings_cls)

    @classmethod
    def load(cls, **given: Any) -> Self:
        """The settings of this process; `given` wins over everything.

        Raises:
            TeikiError: `settings_invalid`, naming the settings and never showing their values.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            problems = {
                ".".join(str(part) for part in problem["loc"]) or "settings": problem["msg"]
                for problem in error.errors(include_url=False, include_input=False, include_context=False)
            }
            sentence = "; ".join(
                f"{ENV_PREFIX}{name.upper()}: {message}" for name, message in problems.items()
            )
            raise TeikiError(ErrorCode.SETTINGS_INVALID, sentence, settings=sorted(problems)) from None

    @property
    def database(self) -> str:
        """The database URL for whoever connects; keep it out of logs.

        Raises:
            TeikiError: `settings_invalid` when none is given and no embedded stack runs.
        """
        if self.database_url is None:
            raise _missing("database_url", "or start the embedded stack with `teiki up`")
        return self.database_url.get_secret_value()

    def keyring(self) -> KeyRing:
        """The codec keys. Fails closed: without keys nothing is written in plaintext.

        Raises:
            TeikiError: `settings_invalid`.
        """
        if self.codec_keys is None:
            raise _missing("codec_keys", "or start the embedded stack with `teiki up`, which makes its own")
        return KeyRing.parse(self.codec_keys.get_secret_value())

    def export_keyring(self) -> KeyRing:
        """The keys for passwords of exports. Fails closed: without them no password is taken.

        Raises:
            TeikiError: `settings_invalid`.
        """
        if self.export_secret_keys is None:
            raise _missing(
                "export_secret_keys", "or start the embedded stack with `teiki up`, which makes its own"
            )
        return KeyRing.parse(self.export_secret_keys.get_secret_value())

    def endpoint_keyring(self) -> KeyRing:
        """The keys for signing secrets of endpoints. Fails closed: without them no endpoint is made.

        Raises:
            TeikiError: `settings_invalid`.
        """
        if self.endpoint_secret_keys is None:
            raise _missing(
                "endpoint_secret_keys", "or start the embedded stack with `teiki up`, which makes its own"
            )
        return KeyRing.parse(self.endpoint_secret_keys.get_secret_value())

    @property
    def export_place(self) -> str:
        """Where workbooks lie."""
        return self.export_storage or str(self.state_dir / "exports")

    @property
    def webhook_secret_list(self) -> tuple[str, ...]:
        """The webhook secrets one by one; keep them out of logs."""
        given = self.webhook_secrets
        return () if given is None else tuple(given.get_secret_value().split())

    @property
    def versioned(self) -> tuple[str, str] | None:
        """(deployment name, build id) when worker versioning is on.

        Raises:
            TeikiError: `settings_invalid` when only one of the two is set.
        """
        if self.deployment_name is None and self.build_id is None:
            return None
        if self.deployment_name is None or self.build_id is None:
            missing = "deployment_name" if self.deployment_name is None else "build_id"
            raise _missing(missing, "worker versioning needs both a deployment name and a build id")
        return self.deployment_name, self.build_id


def _missing(name: str, hint: str) -> TeikiError:
    variable = f"{ENV_PREFIX}{name.upper()}"
    also = f" (or {variable}_FILE)" if name in _SECRETS else ""
    return TeikiError(
        ErrorCode.SETTINGS_INVALID, f"{variable}{also} is not set; set it, {hint}.", setting=name
    )


class _FileVariants(PydanticBaseSettingsSource):
    """`TEIKI_CODEC_KEYS_FILE=/run/secrets/keys`: the file's content, without the line break at its end."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False  # the whole answer is in __call__

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in _SECRETS:
            variable = f"{ENV_PREFIX}{name.upper()}"
            path = os.environ.get(f"{variable}_FILE")
            if not path:
                continue
            if os.environ.get(variable):
                raise TeikiError(
                    ErrorCode.SETTINGS_INVALID,
                    f"Both {variable} and {variable}_FILE are set; which one is meant?",
                    setting=name,
                )
            try:
                found[name] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise TeikiError(
                    ErrorCode.SETTINGS_INVALID,
                    f"The file named by {variable}_FILE cannot be read: {error.strerror}.",
                    setting=name,
                ) from error
        return found


class _RunningStack(PydanticBaseSettingsSource):
    """What the embedded stack of this state directory says about itself; nothing when none runs."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False  # the whole answer is in __call__

    def __call__(self) -> dict[str, Any]:
        state_dir = self.current_state.get("state_dir") or Settings.model_fields["state_dir"].default
        path = Path(state_dir) / STACK_FILE
        try:
            stack = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except PermissionError as error:
            raise TeikiError(
                ErrorCode.SETTINGS_INVALID,
                f"{path} belongs to another user; use the user who runs `teiki up`, or set TEIKI_* yourself.",
                file=str(path),
            ) from error
        except ValueError as error:
            raise TeikiError(
                ErrorCode.SETTINGS_INVALID,
                f"{path} is not JSON; remove it and start `teiki up` again.",
                file=str(path),
            ) from error
        settings = stack.get("settings", {})
        return {name: value for name, value in settings.items() if name in Settings.model_fields}
