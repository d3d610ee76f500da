"""A workflow that imports a library nobody passed through; the sandbox must refuse it."""

import aiohttp
from temporalio import workflow


@workflow.defn(name="Impure")
class Impure:
    @workflow.run
    async def run(self) -> str:
        return aiohttp.__name__
