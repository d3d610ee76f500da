"""A stand-in for the activities of a block: answers with a script of pages, and remembers who was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from temporalio import activity

from activities.contracts.blocking import (
    CHANGE,
    CONCERNED,
    TELL,
    BlockingContract,
    BlocksChanged,
    ChangeBlocks,
    Concerned,
    FindConcerned,
    Tell,
    Told,
)


@dataclass
class FakeBlocking(BlockingContract):
    """`pages`: who has to hear of it; `answer`: what the block's own transaction says."""

    pages: list[tuple[str, ...]] = field(default_factory=list)
    answer: BlocksChanged = field(
        default_factory=lambda: BlocksChanged(
            outcome="recorded", named=("cus_1",), changed=("cus_1",), card_links=1
        )
    )
    changes: list[ChangeBlocks] = field(default_factory=list)
    asked: list[FindConcerned] = field(default_factory=list)
    told: list[Tell] = field(default_factory=list)

    @activity.defn(name=CHANGE)
    async def change(self, order: ChangeBlocks) -> BlocksChanged:
        self.changes.append(order)
        return self.answer

    @activity.defn(name=CONCERNED)
    async def concerned(self, order: FindConcerned) -> Concerned:
        self.asked.append(order)
        ids = self.pages.pop(0) if self.pages else ()
        return Concerned(ids=ids, is_last=not self.pages)

    @activity.defn(name=TELL)
    async def tell(self, order: Tell) -> Told:
        self.told.append(order)
        slips = sum(name.startswith("kon_") for name in order.ids)
        return Told(subscriptions=len(order.ids) - slips, slips=slips)
