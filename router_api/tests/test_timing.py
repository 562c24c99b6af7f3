"""Blocks with a deadline."""

import asyncio

import pytest
from rl_router_api.timing import Until


def soon() -> float:
    return asyncio.get_running_loop().time() + 0.01


async def test_a_block_that_takes_too_long_raises_a_timeout() -> None:
    with pytest.raises(TimeoutError), Until(soon()):
        await asyncio.Event().wait()
    await asyncio.sleep(0)


async def test_a_block_that_ends_in_time_is_not_cancelled() -> None:
    with Until(soon()):
        pass
    await asyncio.sleep(0.03)
    with Until(None):
        await asyncio.sleep(0)


async def test_of_two_deadlines_only_the_one_that_passed_raises_a_timeout() -> None:
    with Until(soon() + 10):
        with pytest.raises(TimeoutError), Until(soon()):
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def test_a_task_that_is_also_cancelled_from_outside_stays_cancelled() -> None:
    async def bounded() -> None:
        with Until(asyncio.get_running_loop().time()):
            await asyncio.Event().wait()

    task = asyncio.create_task(bounded())
    await asyncio.sleep(0)
    # The deadline and the cancellation both happen before the task runs again.
    asyncio.get_running_loop().call_soon(task.cancel)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_other_exceptions_in_a_block_are_not_changed() -> None:
    with pytest.raises(ValueError, match="invalid literal"), Until(soon()):
        int("odd")
