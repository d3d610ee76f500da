"""One plugin decides how bytes look and what workflow code may import: on the V1 and on the real server."""

import sys
import uuid
from pathlib import Path

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHistory
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.worker import Replayer, Worker

from domain.errors import ErrorCode, TeikiError
from domain.money import Money
from runtime.codec import ENCODING, KeyRing, new_key
from runtime.embedded.ports import free_ports
from runtime.search_attributes import SEARCH_ATTRIBUTES
from runtime.settings import Settings
from runtime.temporal import connect, ensure_search_attributes, teiki_plugin

sys.path.insert(0, str(Path(__file__).parent))  # the sandbox imports workflow modules again, by name
import impure_example
import sandbox_example

Greeting = sandbox_example.Greeting


async def run_demo(client, name):
    queue = f"demo-{uuid.uuid4()}"
    greeting = Greeting(name=name, amount=Money(minor=1000, currency="JPY"))
    async with Worker(
        client, task_queue=queue, workflows=[sandbox_example.Demo], activities=[sandbox_example.fail]
    ):
        handle = await client.start_workflow(sandbox_example.Demo.run, greeting, id=queue, task_queue=queue)
        try:
            return greeting, await handle.result(), await handle.fetch_history()
        except WorkflowFailureError as error:
            return greeting, error, await handle.fetch_history()


async def test_pydantic_models_travel_encrypted_and_come_back_typed(time_skipping):
    sent, received, history = await run_demo(time_skipping.client, "tomorrow")
    assert received == sent
    text = history.to_json()
    assert "tomorrow" not in text
    assert "json/plain" not in text
    assert any(
        payload.metadata["encoding"] == ENCODING
        for payload in history.events[0].workflow_execution_started_event_attributes.input.payloads
    )


async def test_failures_do_not_tell_their_message_or_stack(time_skipping):
    _, error, history = await run_demo(time_skipping.client, "fail")
    assert "declined for fail" in str(error.cause.cause)
    for readable in ("declined", "sandbox_example.py", "ValueError: "):
        assert readable not in history.to_json()


async def test_a_replayer_with_the_plugin_replays_an_encrypted_history(time_skipping, keys):
    _, _, history = await run_demo(time_skipping.client, "again")
    replayer = Replayer(workflows=[sandbox_example.Demo], plugins=[teiki_plugin(keys)])
    await replayer.replay_workflow(WorkflowHistory.from_json(history.workflow_id, history.to_json()))


async def test_a_replayer_with_another_key_fails_instead_of_passing(time_skipping):
    _, _, history = await run_demo(time_skipping.client, "again")
    replayer = Replayer(
        workflows=[sandbox_example.Demo], plugins=[teiki_plugin(KeyRing.parse(new_key("other")))]
    )
    with pytest.raises(RuntimeError):
        await replayer.replay_workflow(history)


async def test_a_step_may_take_longer_than_two_seconds_on_a_machine_with_too_much_to_do(dev_server, keys):
    client = await dev_server.client(keys)
    queue = f"demo-{uuid.uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[sandbox_example.Slow]):
        handle = await client.start_workflow(sandbox_example.Slow.run, id=queue, task_queue=queue)
        await handle.result()
    history = await handle.fetch_history()
    assert "WORKFLOW_TASK_FAILED" not in history.to_json()


async def test_a_workflow_that_imports_io_is_refused_when_the_worker_is_made(time_skipping):
    with pytest.raises(RuntimeError, match="Impure") as refused:
        Worker(time_skipping.client, task_queue="impure", workflows=[impure_example.Impure])
    assert "aiohttp" in repr(refused.value.__cause__)


async def test_search_attributes_are_registered_once_and_usable(dev_server, keys):
    client = await dev_server.client(keys)
    assert await ensure_search_attributes(client, SEARCH_ATTRIBUTES) == []  # the server was started with them
    assert await ensure_search_attributes(client, {"TeikiExtra": "Keyword", "TeikiWhen": "Datetime"}) == [
        "TeikiExtra",
        "TeikiWhen",
    ]
    assert await ensure_search_attributes(client, {"TeikiExtra": "Keyword"}) == []


async def test_an_attribute_of_another_type_is_refused(dev_server, keys):
    client = await dev_server.client(keys)
    with pytest.raises(TeikiError, match="TeikiStatus") as refused:
        await ensure_search_attributes(client, {"TeikiStatus": "Datetime"})
    assert refused.value.code is ErrorCode.ENGINE_UNAVAILABLE


async def test_the_time_skipping_server_takes_the_attributes_too(time_skipping):
    client = time_skipping.client
    queue = f"attributes-{uuid.uuid4()}"
    attributes = TypedSearchAttributes(
        [SearchAttributePair(SearchAttributeKey.for_keyword("TeikiStatus"), "current")]
    )
    async with Worker(client, task_queue=queue, workflows=[sandbox_example.Demo]):
        await client.execute_workflow(
            sandbox_example.Demo.run,
            Greeting(name="x", amount=Money(minor=1, currency="JPY")),
            id=queue,
            task_queue=queue,
            search_attributes=attributes,
        )


async def test_connect_uses_the_settings(dev_server):
    settings = Settings.load(temporal_address=dev_server.address, codec_keys=new_key("k1"))
    client = await connect(settings)
    assert client.namespace == "default"
    assert client.data_converter.payload_codec is not None


async def test_connect_without_a_server_says_so():
    [port] = free_ports(1)
    settings = Settings.load(temporal_address=f"127.0.0.1:{port}", codec_keys=new_key("k1"))
    with pytest.raises(TeikiError, match="does not answer") as refused:
        await connect(settings)
    assert refused.value.code is ErrorCode.ENGINE_UNAVAILABLE


async def test_connect_without_keys_fails_closed(dev_server):
    with pytest.raises(TeikiError, match="TEIKI_CODEC_KEYS"):
        await connect(Settings.load(temporal_address=dev_server.address))


def test_without_keys_nothing_is_encoded():
    plugin = teiki_plugin(None)
    assert plugin.data_converter.payload_codec is None


async def test_workflows_in_a_package_may_share_modules_they_pass_through(
    time_skipping, tmp_path, monkeypatch
):
    package = tmp_path / "demo_workflows"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "messages.py").write_text("LIMIT = 12\n")
    (package / "counter.py").write_text(
        "from temporalio import workflow\n"
        "with workflow.unsafe.imports_passed_through():\n"
        "    from demo_workflows.messages import LIMIT\n"
        "@workflow.defn\n"
        "class Counter:\n"
        "    @workflow.run\n"
        "    async def run(self) -> int:\n"
        "        return LIMIT\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from demo_workflows.counter import Counter  # noqa: PLC0415 - written by this test

    queue = f"counter-{uuid.uuid4()}"
    async with Worker(time_skipping.client, task_queue=queue, workflows=[Counter]):
        assert await time_skipping.client.execute_workflow(Counter.run, id=queue, task_queue=queue) == 12
