"""Entering customers, products, payment methods and notes, and closing incidents: short workflows of one activity.

They go through the engine like every other write, so that an accepted entry survives any crash and the services that
make it need no access to the database. Workflow id `catalogue/<id of the entry>/<request id>`.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts.orders import AddNote, Identify, OrdersContract
    from activities.contracts.records import (
        AddPaymentMethod,
        CloseIncident,
        Entry,
        PutCustomer,
        PutProduct,
        RecordsContract,
    )
    from workflows.options import MONEY, RECORD


@workflow.defn(name="PutCustomer")
class PutCustomerEntry:
    @workflow.run
    async def run(self, order: PutCustomer) -> Entry:
        return await workflow.execute_activity_method(RecordsContract.put_customer, order, **RECORD)


@workflow.defn(name="PutProduct")
class PutProductEntry:
    @workflow.run
    async def run(self, order: PutProduct) -> Entry:
        return await workflow.execute_activity_method(RecordsContract.put_product, order, **RECORD)


@workflow.defn(name="AddPaymentMethod")
class AddPaymentMethodEntry:
    @workflow.run
    async def run(self, order: AddPaymentMethod) -> Entry:
        # The gateway is asked what the token is, hence the longer time-out.
        return await workflow.execute_activity_method(RecordsContract.add_payment_method, order, **MONEY)


@workflow.defn(name="AddNote")
class AddNoteEntry:
    @workflow.run
    async def run(self, order: AddNote) -> Entry:
        return await workflow.execute_activity_method(OrdersContract.add_note, order, **RECORD)


@workflow.defn(name="Identify")
class IdentifyEntry:
    @workflow.run
    async def run(self, order: Identify) -> Entry:
        return await workflow.execute_activity_method(OrdersContract.identify, order, **RECORD)


@workflow.defn(name="CloseIncident")
class CloseIncidentEntry:
    @workflow.run
    async def run(self, order: CloseIncident) -> Entry:
        return await workflow.execute_activity_method(RecordsContract.close_incident, order, **RECORD)
