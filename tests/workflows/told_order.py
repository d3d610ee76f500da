"""A workflow that stands where an order would, and hears of credits."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.credit import CreditFact


@workflow.defn(name="ToldOrder")
class ToldOrder:
    """Stands where an order would: hears of credits."""

    def __init__(self) -> None:
        self._heard: list[str] = []
        self._is_over = False

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: self._is_over)
        return self._heard

    @workflow.signal
    def credit_changed(self, fact: CreditFact) -> None:
        self._heard.append(fact.status.value)

    @workflow.signal
    def end(self) -> None:
        self._is_over = True
