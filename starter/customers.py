"""Customers: entered, shown as their page shows them, blocked and unblocked (spec: customers.md §§1–2).

A block is a workflow of its own, so an accepted one survives any crash: the block itself commits first, and from then
on nothing is charged; then every running subscription and pending slip hears of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

from activities.contracts.blocking import Do
from activities.contracts.records import PutCustomer
from db.reads import catalogue as reads
from db.reads.customer import TABS, CustomerPage, Tab, show_customer
from db.reads.customer_transactions import Way
from domain.errors import ErrorCode, TeikiError
from domain.free_text import require_free_text
from domain.identifiers import require_id
from starter.catalogue import Entries
from starter.engine import NotRunning
from starter.subscriptions import DEFAULT_ACTOR
from workflows.blocking import Blocking, BlockingAnswer, BlockingInput
from workflows.catalogue import PutCustomerEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE_SECONDS: Final = 3600.0
DETAILS_MAX: Final = 100


class Customers(Entries):
    """`teiki.customers`. A customer is named by id, or by an e-mail address that only one has."""

    async def put(
        self,
        *,
        customer_id: str | None = None,
        email: str = "",
        name: str = "",
        request_id: str | None = None,
        actor: str = DEFAULT_ACTOR,
    ) -> str:
        """Enter or change a customer; answers the id."""
        return await self._enter(
            PutCustomerEntry,
            PutCustomer(
                id=require_id(customer_id, "cus") if customer_id else self._teiki.new_id("cus"),
                request_id=request_id or self._teiki.new_id("req"),
                actor=actor,
                email=require_free_text(email, what="e-mail"),
                name=require_free_text(name, what="name"),
                at=self._teiki.now(),
            ),
        )

    async def list(
        self, *, text: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> reads.CustomerPage:
        """One page, newest first; `text` is the beginning of an id, an e-mail or a name."""
        return await reads.list_customers(await self._teiki.database(), text=text, cursor=cursor, limit=limit)

    async def show(
        self,
        customer: str,
        *,
        tabs: Collection[Tab] = TABS,
        product_id: str | None = None,
        way: Way | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> CustomerPage:
        """The customer's page; what each argument means: `db.reads.customer.show_customer`.

        Raises:
            TeikiError: `customer_not_found`, `customer_ambiguous`, `invalid_cursor`, `invalid_input`.
        """
        return await show_customer(
            await self._teiki.database(),
            customer,
            tabs=tabs,
            product_id=product_id,
            way=way,
            cursor=cursor,
            limit=limit,
        )

    async def block(self, customer: str, *details: str, **asked: Any) -> BlockingAnswer:
        """Block these details: from now on nothing is charged with them.

        A subscription is suspended (reason `blocked`) when its next payment is due.

        Args:
            customer: whose.
            details: ids as `show` gives them, or addresses and numbers as people write them.
            asked: `actor`, `comment` and `request_id`, as of every write.

        Raises:
            TeikiError: `customer_not_found`, `customer_ambiguous`, `detail_not_found`, `invalid_input`,
                `request_id_conflict`, `engine_unavailable`.
        """
        return await self._carry_out("block", customer, details, **asked)

    async def unblock(self, customer: str, *details: str, **asked: Any) -> BlockingAnswer:
        """Take the block of these details back; arguments and errors as of `block`.

        What a block suspended and nothing else holds back gets the status that it had. Nothing is charged by it.
        """
        return await self._carry_out("unblock", customer, details, **asked)

    async def block_all(self, customer: str, **asked: Any) -> BlockingAnswer:
        """Block every detail, the id included; suspend what runs, void pending slips and open card change links.

        Args:
            customer: whose.
            asked: `actor`, `comment`, `request_id`; `on_progress` is called with how many were told.

        Raises:
            TeikiError: as `block`.
        """
        return await self._carry_out("block_all", customer, (), **asked)

    async def unblock_all(self, customer: str, **asked: Any) -> BlockingAnswer:
        """Unblock every detail, and put back what the block suspended; arguments and errors as of `block_all`."""
        return await self._carry_out("unblock_all", customer, (), **asked)

    async def _carry_out(
        self,
        do: Do,
        customer: str,
        details: Sequence[str],
        *,
        actor: str = DEFAULT_ACTOR,
        comment: str = "",
        request_id: str | None = None,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> BlockingAnswer:
        require_free_text(comment, what="comment")
        if not do.endswith("_all") and not 1 <= len(details) <= DETAILS_MAX:
            raise TeikiError(
                ErrorCode.INVALID_INPUT, f"Name 1 to {DETAILS_MAX} details.", details=len(details)
            )
        order = BlockingInput(
            customer_id=await self._meant(customer),
            do=do,
            details=tuple(details),
            request_id=request_id or self._teiki.new_id("req"),
            actor=actor,
            comment=comment,
            at=self._teiki.now(),
        )
        try:
            answer: BlockingAnswer = await self._teiki.engine.follow(
                Blocking,
                order,
                workflow_id=order.workflow_id,
                patience_s=PATIENCE_SECONDS,
                on_progress=lambda told: on_progress(int(told)),
            )
        except NotRunning as error:
            raise TeikiError(
                ErrorCode.ENGINE_UNAVAILABLE, "The engine lost the command; repeat it."
            ) from error
        if answer.outcome == "refused":
            raise TeikiError(
                ErrorCode(answer.code or ErrorCode.INVALID_INPUT), answer.message, **answer.facts
            )
        return answer

    async def _meant(self, customer: str) -> str:
        if "@" not in customer:
            return require_id(customer, "cus")
        return (await self.show(customer, tabs=())).customer.id
