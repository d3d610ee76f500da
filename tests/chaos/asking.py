"""How callers ask: through bad networks, again until there is an answer, and some twice at the same moment.

A caller whose answer was lost asks again under the same request id. Everything that was answered is kept, because an
answer is a promise that the auditor will look for.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from domain.errors import ErrorCode, TeikiError
from tests.chaos.plan import Plan

_REPEATABLE: Final = frozenset({ErrorCode.ENGINE_UNAVAILABLE, ErrorCode.DATABASE_UNAVAILABLE})
_REPEATS: Final = 0.3
_GIVE_UP_SECONDS: Final = 150.0

T = TypeVar("T")


@dataclass
class Answered:
    """What callers were promised, and how."""

    accepted: dict[str, str] = field(default_factory=dict)
    """Request id of an operation → the id of what it was about."""
    created: dict[str, set[str]] = field(default_factory=dict)
    """Request id of a creation → every id it was answered with."""
    refused: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    leaked: Counter[str] = field(default_factory=Counter)
    """Exceptions that are no `TeikiError`: the SDK promises that none gets out."""
    unanswered: list[str] = field(default_factory=list)


class Asker:
    """Asks for all callers of a run; each brings dice of its own."""

    def __init__(self, plan: Plan) -> None:
        self._share = _REPEATS if plan.profile is None else plan.profile.repeats
        self.answered = Answered()

    async def create(
        self, dice: random.Random, request_id: str, call: Callable[[str], Awaitable[str]]
    ) -> str | None:
        """Have something made; every id that was answered under this request id is kept."""

        async def made(rid: str) -> str:
            new = await call(rid)
            self.answered.created.setdefault(rid, set()).add(new)
            return new

        return await self.ask(dice, request_id, made)

    async def command(
        self, dice: random.Random, request_id: str, about: str, call: Callable[[str], Awaitable[Any]]
    ) -> bool:
        """Give a command; whether it was accepted."""
        if await self.ask(dice, request_id, call) is None:
            return False
        self.answered.accepted[request_id] = about
        return True

    async def ask(
        self, dice: random.Random, request_id: str, call: Callable[[str], Awaitable[T]]
    ) -> T | None:
        """The answer, or None for a refusal. Some ask twice at once; both must hear the same."""
        if dice.random() >= self._share:
            return await self._until_answered(request_id, call)
        self.answered.repeated["at once"] += 1
        first, _ = await asyncio.gather(
            self._until_answered(request_id, call), self._until_answered(request_id, call)
        )
        return first

    async def _until_answered(self, request_id: str, call: Callable[[str], Awaitable[T]]) -> T | None:
        deadline = asyncio.get_running_loop().time() + _GIVE_UP_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            try:
                return await call(request_id)
            except TeikiError as error:
                if error.code not in _REPEATABLE:
                    self.answered.refused[error.code.value] += 1
                    return None
            except Exception as error:  # noqa: BLE001 - counted by name, reported, and asked again
                self.answered.leaked[f"{type(error).__name__}: {str(error)[:120]}"] += 1
            self.answered.repeated["answer lost"] += 1
            await asyncio.sleep(0.4)
        self.answered.unanswered.append(request_id)
        return None
