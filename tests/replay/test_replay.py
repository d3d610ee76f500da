"""Recorded histories of every workflow are replayed: what runs in production must survive today's code.

When a test here fails, a workflow's commands changed. Runs that are going on would wedge: keep the old order behind
`workflow.patched`, or let pinned versions run out (docs/operations.md). Only then record anew with
`python -m tests.replay.record` and `python -m tests.replay.fingerprint`.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from runtime.temporal import teiki_plugin
from tests.architecture.reading import ROOT
from tests.replay import changed_workflows as changed
from tests.replay.fingerprint import COMMITTED, commands, fingerprint
from worker import WORKFLOWS

HISTORIES = {file.stem: file for file in sorted((Path(__file__).parent / "histories").glob("*.json"))}

ADVICE = """
The commands of a workflow changed. If that is on purpose:
  1. decide what becomes of the runs that are going on (workflow.patched, or pinned versions that run out);
  2. record new histories:      python -m tests.replay.record
     (old ones that production may still hold must stay, and stay green);
  3. write the fingerprint:     python -m tests.replay.fingerprint
"""


def history(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"recorded/{name}", HISTORIES[name].read_text(encoding="utf-8"))


def replayer(*workflows: type) -> Replayer:
    return Replayer(workflows=list(workflows), plugins=[teiki_plugin(None)])


@pytest.mark.parametrize("name", HISTORIES)
async def test_a_recorded_history_replays(name):
    await replayer(*WORKFLOWS).replay_workflow(history(name))


def test_every_registered_workflow_has_a_recorded_history():
    recorded = {
        history(name).events[0].workflow_execution_started_event_attributes.workflow_type.name
        for name in HISTORIES
    }
    assert recorded == {workflow.__temporal_workflow_definition.name for workflow in WORKFLOWS}


def test_the_recorded_histories_reach_every_kind_of_command_and_message():
    text = "".join(file.read_text(encoding="utf-8") for file in HISTORIES.values())
    for kind in (
        *(
            "EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
            "EVENT_TYPE_TIMER_STARTED",
            "EVENT_TYPE_TIMER_CANCELED",
        ),
        *("EVENT_TYPE_ACTIVITY_TASK_SCHEDULED", "EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"),
        *("EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED", "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED"),
    ):
        assert kind in text, kind
    for word in (
        "billing.charge",
        "billing.refund",
        "billing.verify",
        "subscription.open",
        "subscription.record",
        *("orders.open", "orders.record", "orders.record_deposit", "orders.stop_subscription"),
        *("orders.add_note", "orders.identify"),
        *("credits.open", "credits.record", "credits.count_on_ended_order"),
        *("blocking.change", "blocking.concerned", "blocking.tell"),
        "suspend",
        "resume",
    ):
        assert f'"{word}"' in text, word
    for word in (
        "cancel",
        "recover",
        "change_card",
        "change_amount",
        "open_card_link",
        "settle_attention",
        "await_opened",
        *("await_placed", "use", "process_access", "cancel_order", "cancel_subscription"),
        *("issue_slip", "change_custom_fields"),
        *("block", "unblock"),
    ):
        assert f'"name": "{word}"' in text, word


@pytest.mark.parametrize(
    ("workflow", "name"),
    [
        (changed.TimerBeforeTheCharge, "a_year.2"),
        (changed.ActivityBeforeTheCharge, "canceled_now.1"),
        (changed.SearchAttributesForgotten, "retries_then_catch_up.1"),
        (changed.HistoryNeverCut, "a_year.1"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_changed_order_of_commands_fails(workflow, name):
    with pytest.raises(NondeterminismError):
        await replayer(workflow).replay_workflow(history(name))


def test_the_histories_name_no_machine_and_hold_no_secret():
    for name, file in HISTORIES.items():
        assert '"encoding": "YmluYXJ5L2VuY3J5cHRlZA=="' not in file.read_text(encoding="utf-8"), name
        assert set(_identities(json.loads(file.read_text(encoding="utf-8")))) <= {"recorder"}, name


def _identities(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "identity":
                yield inner
            else:
                yield from _identities(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _identities(inner)


def test_no_call_that_makes_a_command_was_added_removed_or_moved():
    assert fingerprint() == json.loads(COMMITTED.read_text(encoding="utf-8")), ADVICE


def test_the_fingerprint_sees_the_commands_it_is_there_for():
    listed = [line for lines in fingerprint().values() for line in lines]
    for wanted in (
        "SubscriptionMoney._charge: execute_activity_method(BillingContract.charge)",
        "Entity._waited_until: wait_condition(timeout)",
        "Subscription._continue_as_new: continue_as_new()",
        "Memory._show_status: upsert_search_attributes()",
        "PutCustomerEntry.run: execute_activity_method(RecordsContract.put_customer)",
        "Export._create: start_activity_method(ExportsContract.write)",
    ):
        assert wanted in listed, wanted


def test_a_timer_before_the_charge_would_change_the_fingerprint():
    text = (ROOT / "workflows" / "subscription_money.py").read_text(encoding="utf-8")
    before = "        state, now = self._current, self._now()\n"
    assert before in text
    slower = text.replace(before, "        await workflow.sleep(1)\n" + before, 1)
    assert commands(ast.parse(slower)) != commands(ast.parse(text))
