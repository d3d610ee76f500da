"""No word of Temporal's leaves the SDK: a call that breaks is `engine_unavailable`, and says that repeating is safe."""

from __future__ import annotations

import pytest
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import ErrorCode, TeikiError
from starter.engine import NotRunning, _translated


@pytest.mark.parametrize(
    "status",
    [
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.UNKNOWN,  # "transport error": the connection broke in the middle
        RPCStatusCode.INTERNAL,
        RPCStatusCode.ABORTED,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.FAILED_PRECONDITION,
    ],
)
async def test_a_call_that_breaks_is_safe_to_repeat(status):
    with pytest.raises(TeikiError) as refused:
        async with _translated("subscription/sub_1"):
            raise RPCError("transport error", status, b"")
    assert refused.value.code is ErrorCode.ENGINE_UNAVAILABLE
    assert "Repeat with the same request id" in refused.value.message


async def test_a_workflow_that_is_not_there_is_an_answer():
    with pytest.raises(NotRunning):
        async with _translated("subscription/sub_1"):
            raise RPCError("not found", RPCStatusCode.NOT_FOUND, b"")


async def test_a_mistake_of_ours_is_not_called_an_outage():
    with pytest.raises(RPCError):
        async with _translated("subscription/sub_1"):
            raise RPCError("bad request", RPCStatusCode.INVALID_ARGUMENT, b"")
