"""What a workflow may ask for is implemented, whole, and registered where the worker is put together."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest
from temporalio import activity

from activities.billing import BillingActivities
from activities.blocking import BlockingActivities
from activities.chargebacks import ChargebacksActivities
from activities.contracts.billing import BillingContract
from activities.contracts.blocking import BlockingContract
from activities.contracts.chargebacks import ChargebacksContract
from activities.contracts.credits import CreditsContract
from activities.contracts.exports import ExportsContract
from activities.contracts.notifications import NotificationsContract
from activities.contracts.orders import OrdersContract
from activities.contracts.reconciliation import ReconciliationContract
from activities.contracts.records import RecordsContract
from activities.contracts.repayments import RepaymentsContract
from activities.contracts.webhooks import WebhooksContract
from activities.credits import CreditsActivities
from activities.exports import ExportsActivities
from activities.notifications import NotificationsActivities
from activities.orders import OrdersActivities
from activities.reconciliation import ReconciliationActivities
from activities.records import RecordsActivities
from activities.repayments import RepaymentsActivities
from activities.webhooks import WebhooksActivities
from tests.architecture.reading import ROOT, modules, name_of, tree

IMPLEMENTED = {
    BillingContract: BillingActivities,
    NotificationsContract: NotificationsActivities,
    BlockingContract: BlockingActivities,
    ChargebacksContract: ChargebacksActivities,
    RepaymentsContract: RepaymentsActivities,
    OrdersContract: OrdersActivities,
    CreditsContract: CreditsActivities,
    ExportsContract: ExportsActivities,
    ReconciliationContract: ReconciliationActivities,
    RecordsContract: RecordsActivities,
    WebhooksContract: WebhooksActivities,
}


def contracts() -> set[type]:
    """Every class of the contracts that declares an activity."""
    found = set()
    for file in modules("activities/contracts"):
        module = importlib.import_module(
            name_of(file).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        )
        for _, member in inspect.getmembers(module, inspect.isclass):
            if member.__module__ == module.__name__ and stubs(member):
                found.add(member)
    return found


def stubs(contract: type) -> dict[str, str]:
    """Method → activity name."""
    named = {}
    for name, member in vars(contract).items():
        definition = getattr(member, "__temporal_activity_definition", None)
        if definition is not None:
            named[name] = definition.name
    return named


def test_every_contract_is_known_here():
    assert contracts() == set(IMPLEMENTED)


@pytest.mark.parametrize("contract", IMPLEMENTED, ids=lambda contract: contract.__name__)
def test_a_contract_is_implemented_whole_under_the_same_names_and_types(contract):
    implementation = IMPLEMENTED[contract]
    assert issubclass(implementation, contract)
    assert stubs(contract), "a contract without activities"
    assert stubs(implementation) == stubs(contract)
    for method in stubs(contract):
        wanted, given = (
            inspect.signature(getattr(contract, method)),
            inspect.signature(getattr(implementation, method)),
        )
        assert given == wanted, method


def test_a_stub_that_is_not_overridden_would_be_noticed():
    class Half(BillingContract):
        @activity.defn(name="billing.charge")
        async def charge(self, order):
            return order

    assert stubs(Half) != stubs(BillingContract)


def test_the_worker_registers_every_activity_of_every_contract():
    workers = [
        node
        for node in ast.walk(tree(ROOT / "worker.py"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Worker"
    ]
    lists = [keyword.value for node in workers for keyword in node.keywords if keyword.arg == "activities"]
    given = [element for listed in lists if isinstance(listed, ast.List) for element in listed.elts]
    assert len(lists) == len(workers) == 2  # one for money, one for workbooks
    assert len(given) == len(IMPLEMENTED)
    assert all(ast.unparse(element).endswith(".registered()") for element in given)
    for contract in IMPLEMENTED:
        assert {method.__name__ for method in contract().registered()} == set(stubs(contract)), contract


def test_every_workflow_that_is_defined_is_registered():
    import worker  # noqa: PLC0415 - the composition root is for this test only

    defined = {
        (name_of(file), node.name)
        for file in modules("workflows")
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(d, ast.Call) and ast.unparse(d.func) == "workflow.defn" for d in node.decorator_list
        )
    }
    registered = {(w.__module__.replace(".", "/") + ".py", w.__name__) for w in worker.WORKFLOWS}
    assert registered == defined
