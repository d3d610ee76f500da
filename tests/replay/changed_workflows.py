"""`Subscription` as careless hands would change it: each issues other commands than recorded runs did."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import VersioningBehavior

with workflow.unsafe.imports_passed_through():
    from activities.contracts.billing import Outcome
    from domain.unresolved import Mode
    from workflows import messages
    from workflows.subscription import Subscription


class _Changed(Subscription):
    """The same workflow, to be told apart by its changes only."""


@workflow.defn(name="Subscription", versioning_behavior=VersioningBehavior.PINNED)
class TimerBeforeTheCharge(_Changed):
    @workflow.init
    def __init__(self, start: messages.SubscriptionInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: messages.SubscriptionInput) -> messages.Opened | messages.Answer:
        return await super().run(start)

    async def _charge(self, mode: Mode, **more: Any) -> Outcome:
        await workflow.sleep(1)
        return await super()._charge(mode, **more)


@workflow.defn(name="Subscription", versioning_behavior=VersioningBehavior.PINNED)
class ActivityBeforeTheCharge(_Changed):
    @workflow.init
    def __init__(self, start: messages.SubscriptionInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: messages.SubscriptionInput) -> messages.Opened | messages.Answer:
        return await super().run(start)

    async def _charge(self, mode: Mode, **more: Any) -> Outcome:
        await self._record()
        return await super()._charge(mode, **more)


@workflow.defn(name="Subscription", versioning_behavior=VersioningBehavior.PINNED)
class SearchAttributesForgotten(_Changed):
    @workflow.init
    def __init__(self, start: messages.SubscriptionInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: messages.SubscriptionInput) -> messages.Opened | messages.Answer:
        return await super().run(start)

    def _show_status(self, moves: object) -> None:
        """Nothing is shown any more."""


@workflow.defn(name="Subscription", versioning_behavior=VersioningBehavior.PINNED)
class HistoryNeverCut(_Changed):
    @workflow.init
    def __init__(self, start: messages.SubscriptionInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: messages.SubscriptionInput) -> messages.Opened | messages.Answer:
        return await super().run(start)

    def _history_is_long(self) -> bool:
        return False
