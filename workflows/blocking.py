"""Blocking and unblocking a customer: the block commits first, then everything that runs hears of it (customers.md §2).

From the first activity on nothing is charged, whatever becomes of the rest. The rest goes page by page and survives
any crash: what was told before is recognised by the block's own request id, and each subscription asks the database
once more whether it is still so. A block of single details suspends nothing by itself: a due payment meets it.
Workflow id `blocking/<customer>/<request id>/<content>`.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Final, Literal

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel, ConfigDict, Field

    from activities.contracts.blocking import BlockingContract, ChangeBlocks, Do, FindConcerned, Tell
    from workflows.options import PAGE, RECORD


BLOCKING: Final = "Blocking"


class BlockingAnswer(BaseModel):
    """What was done.

    Attributes:
        details: ids of the details that were asked for; `changed`: of those that were not like that before.
        subscriptions: how many were suspended, or put back.
        slips: pending Konbini slips that are voided.
        card_links: open links that were voided.
        left: had ended meanwhile, or another command had come first.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Literal["recorded", "duplicate", "refused"]
    customer_id: str
    do: Do
    details: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    subscriptions: int = 0
    slips: int = 0
    card_links: int = 0
    left: int = 0
    code: str | None = None
    message: str = ""
    facts: dict[str, Any] = Field(default_factory=dict)


class BlockingInput(BaseModel):
    """What is asked for; and what a long one hands itself when its history is cut.

    Attributes:
        at: when it was asked for.
        run_id: of the first run.
        so_far: what is done; `after`: the last id that was told.
    """

    customer_id: str
    do: Do
    details: tuple[str, ...] = ()
    request_id: str
    actor: str
    comment: str = ""
    at: datetime
    run_id: str = ""
    so_far: BlockingAnswer | None = None
    after: str = ""

    @property
    def workflow_id(self) -> str:
        """The content is part of it: the same request id with other content must reach the database's refusal."""
        content = self.model_dump_json(exclude={"at", "request_id"})
        fingerprint = hashlib.sha256(content.encode()).hexdigest()[:16]
        return f"blocking/{self.customer_id}/{self.request_id}/{fingerprint}"


@workflow.defn(name=BLOCKING)
class Blocking:
    """One command."""

    @workflow.run
    async def run(self, order: BlockingInput) -> BlockingAnswer:
        run_id = order.run_id or workflow.info().run_id
        answer = order.so_far or await self._change(order, run_id)
        after: str | None = order.after
        while after is not None and answer.outcome == "recorded" and order.do != "block":
            workflow.set_current_details(_details(answer))
            if workflow.info().is_continue_as_new_suggested():
                more = {"run_id": run_id, "so_far": answer, "after": after}
                workflow.continue_as_new(order.model_copy(update=more))
            answer, after = await self._next_page(order, run_id, answer, after)
        workflow.set_current_details(_details(answer))
        return answer

    async def _change(self, order: BlockingInput, run_id: str) -> BlockingAnswer:
        changed = await workflow.execute_activity_method(
            BlockingContract.change,
            ChangeBlocks(
                run_id=run_id,
                request_id=order.request_id,
                customer_id=order.customer_id,
                do=order.do,
                details=order.details,
                at=order.at,
                actor=order.actor,
                comment=order.comment,
            ),
            summary=f"{order.do} by {order.actor}",
            **RECORD,
        )
        return BlockingAnswer(
            outcome=changed.outcome,
            customer_id=order.customer_id,
            do=order.do,
            details=changed.named,
            changed=changed.changed,
            card_links=changed.card_links,
            code=changed.code,
            message=changed.message,
            facts=changed.facts,
        )

    async def _next_page(
        self, order: BlockingInput, run_id: str, answer: BlockingAnswer, after: str
    ) -> tuple[BlockingAnswer, str | None]:
        page = await workflow.execute_activity_method(
            BlockingContract.concerned,
            FindConcerned(
                customer_id=order.customer_id, do=order.do, details=answer.details, at=order.at, after=after
            ),
            summary=f"who comes after {after}" if after else "who has to hear of it",
            **RECORD,
        )
        if page.ids:
            told = await workflow.execute_activity_method(
                BlockingContract.tell,
                Tell(
                    run_id=run_id,
                    do=order.do,
                    ids=page.ids,
                    actor=order.actor,
                    comment=order.comment,
                    done=answer.subscriptions + answer.slips + answer.left,
                ),
                summary=f"tell {len(page.ids)}",
                **PAGE,
            )
            answer = answer.model_copy(
                update={
                    name: getattr(answer, name) + getattr(told, name)
                    for name in ("subscriptions", "slips", "left")
                }
            )
        return answer, None if page.is_last else page.ids[-1]


def _details(answer: BlockingAnswer) -> str:
    return (
        f"| {answer.do} | {answer.outcome} |\n|---|---|\n| details changed | {len(answer.changed)} |\n"
        f"| subscriptions told | {answer.subscriptions} |\n| slips voided | {answer.slips} |\n"
        f"| card links voided | {answer.card_links} |\n| left alone | {answer.left} |"
    )
