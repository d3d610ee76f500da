"""One Temporal plugin for client, worker, replayer and test environments.

One place decides how bytes look (pydantic JSON, our codec, encoded failures) and what workflow code may
import (the sandbox with `RAISE_ON_UNINTENTIONAL_PASSTHROUGH`: a workflow file that imports anything not
passed through fails when the worker is constructed, not in production). Give the plugin to the client only;
workers made from that client inherit it. A `Replayer` and `WorkflowEnvironment.start_*` take it as
`plugins=[…]`.
"""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter, ToJsonOptions
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)
from temporalio.envconfig import ClientConfig
from temporalio.plugin import SimplePlugin
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

from domain.errors import ErrorCode, TeikiError
from runtime.codec import KeyRing, TeikiCodec
from runtime.settings import Settings
from runtime.telemetry import process_runtime

DEFAULT_ADDRESS: Final = "localhost:7233"
DEFAULT_NAMESPACE: Final = "default"
_IDENTITY_HOST_CHARACTERS: Final = 8

STEP_SECONDS_MAX: Final = 60
"""How long one step of a workflow may take. The server has given the task to somebody else long before (10 s)."""
PASSTHROUGH_MODULES: Final = (
    "domain",  # pure rules; loading them once also keeps `ZoneInfo` usable, which breaks inside the sandbox
    "activities.contracts",  # typed stubs and models
    "zoneinfo",
    "tzdata",
    "hypothesis",  # pytest's plugins import lazily from inside a workflow's stack when tests run
)


def teiki_plugin(keys: KeyRing | None, *, sandbox: bool = True) -> SimplePlugin:
    """The plugin; `keys=None` means no codec, for recorded histories (which are stored without
    encryption).
    """
    return _Plugin(
        "teiki",
        data_converter=data_converter(keys),
        workflow_runner=_workflow_runner(sandbox=sandbox),
    )


class _Plugin(SimplePlugin):
    async def run_worker(self, worker: Worker, next: Callable[[Worker], Awaitable[None]]) -> None:  # noqa: A002 - the SDK's name
        """Give a step of a workflow more time than the SDK's two seconds before it is interrupted.

        They are meant to find code that blocks, but on a machine with too much to do they pass while a thread waits for
        its turn. The SDK then tears the step out of the middle, which can lose what was ready to run: that workflow is
        never let go again, stands still on this worker, and the worker never comes to its end when it is told to stop.
        """
        inner = worker._workflow_worker
        if inner is not None:
            inner._deadlock_timeout_seconds = STEP_SECONDS_MAX
        await super().run_worker(worker, next)


_JSON: Final = PydanticJSONPlainPayloadConverter(ToJsonOptions(exclude_unset=True))


class CompactPydanticConverter(CompositePayloadConverter):
    """Pydantic JSON without the fields that were never set: they decode to their defaults, which never change.

    The SDK makes a converter for each activation of a workflow; the expensive part, with its cache of type adapters,
    is made once.
    """

    def __init__(self) -> None:
        super().__init__(
            *(
                _JSON if isinstance(converter, JSONPlainPayloadConverter) else converter
                for converter in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )


_PYDANTIC: Final = DataConverter(payload_converter_class=CompactPydanticConverter)


def data_converter(keys: KeyRing | None) -> DataConverter:
    """Pydantic JSON; with keys also the codec, and failures whose message and stack trace pass through it."""
    if keys is None:
        return _PYDANTIC
    return dataclasses.replace(
        _PYDANTIC,
        payload_codec=TeikiCodec(keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def _workflow_runner(*, sandbox: bool) -> WorkflowRunner:
    if not sandbox:
        return UnsandboxedWorkflowRunner()
    restrictions = dataclasses.replace(
        SandboxRestrictions.default.with_passthrough_modules(*PASSTHROUGH_MODULES),
        import_notification_policy=(
            SandboxImportNotificationPolicy.WARN_ON_DYNAMIC_IMPORT
            | SandboxImportNotificationPolicy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
        ),
    )
    return SandboxedWorkflowRunner(restrictions=restrictions)


def connect_arguments(settings: Settings) -> dict[str, Any]:
    """Arguments of `Client.connect`: Temporal's own configuration, then the running stack, then
    localhost:7233.
    """
    arguments: dict[str, Any] = {**ClientConfig.load_client_connect_config()}
    arguments.setdefault("target_host", settings.temporal_address or DEFAULT_ADDRESS)
    arguments.setdefault("namespace", settings.temporal_namespace or DEFAULT_NAMESPACE)
    # It stands in every event a worker writes, so a long host name would be paid for in each renewal.
    arguments.setdefault("identity", f"{os.getpid()}@{socket.gethostname()[:_IDENTITY_HOST_CHARACTERS]}")
    return arguments


async def connect(settings: Settings, *, runtime: Runtime | None = None) -> Client:
    """A client with Teiki's plugin.

    Raises:
        TeikiError: `engine_unavailable` when Temporal does not answer, `settings_invalid` without codec keys.
    """
    plugin = teiki_plugin(settings.keyring(), sandbox=settings.workflow_sandbox)
    arguments = connect_arguments(settings)
    try:
        return await Client.connect(
            **arguments, plugins=[plugin], runtime=runtime or process_runtime(settings)
        )
    except RuntimeError as error:  # the SDK's word for "no connection"
        raise TeikiError(
            ErrorCode.ENGINE_UNAVAILABLE,
            f"Temporal does not answer at {arguments['target_host']}. Is it running (`teiki up`), "
            "and does TEMPORAL_ADDRESS name it?",
            address=arguments["target_host"],
        ) from error


async def ensure_search_attributes(client: Client, attributes: Mapping[str, str]) -> list[str]:
    """Registers what is missing (name → type name) and answers the names added.

    The V1 time-skipping server cannot list attributes: there each one is added, and one that exists is left.

    Raises:
        TeikiError: `engine_unavailable` when an attribute exists with another type; nothing can repair that
        safely.
    """
    wanted = {
        name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{_screaming(kind)}")
        for name, kind in attributes.items()
    }
    present = await _registered(client)
    for name in wanted.keys() & present.keys():
        if present[name] != wanted[name]:
            raise TeikiError(
                ErrorCode.ENGINE_UNAVAILABLE,
                f"Temporal already has a search attribute {name} of another type; use another namespace.",
                search_attribute=name,
            )
    missing = sorted(wanted.keys() - present.keys())
    added: list[str] = []
    for name in missing:  # one by one: a race with another starter must not undo the rest
        try:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes={name: wanted[name]})
            )
        except RPCError as error:
            if error.status != RPCStatusCode.ALREADY_EXISTS:
                raise
        else:
            added.append(name)
    return added


async def _registered(client: Client) -> dict[str, int]:
    try:
        answer = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
    except RPCError as error:
        if error.status == RPCStatusCode.UNIMPLEMENTED:
            return {}
        raise
    return dict(answer.custom_attributes)


def _screaming(kind: str) -> str:
    return "KEYWORD_LIST" if kind == "KeywordList" else kind.upper()
