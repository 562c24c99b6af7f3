"""A block that must be over in time."""

import asyncio

import pytest
from rl_router_api.timing import Until


def soon() -> float:
    return asyncio.get_running_loop().time() + 0.01


async def test_what_takes_too_long_is_a_timeout() -> None:
    with pytest.raises(TimeoutError), Until(soon()):
        await asyncio.Event().wait()
    await asyncio.sleep(0)


async def test_what_is_over_in_time_goes_on_undisturbed() -> None:
    with Until(soon()):
        pass
    await asyncio.sleep(0.03)
    with Until(None):
        await asyncio.sleep(0)


async def test_the_inner_of_two_bounds_is_the_one_that_is_told() -> None:
    with Until(soon() + 10):
        with pytest.raises(TimeoutError), Until(soon()):
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def test_a_task_that_others_cancelled_as_well_stays_cancelled() -> None:
    async def bounded() -> None:
        with Until(asyncio.get_running_loop().time()):
            await asyncio.Event().wait()

    task = asyncio.create_task(bounded())
    await asyncio.sleep(0)
    # Both come before the task runs again.
    asyncio.get_running_loop().call_soon(task.cancel)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_another_failure_inside_goes_out_as_it_is() -> None:
    with pytest.raises(ValueError, match="invalid literal"), Until(soon()):
        int("odd")
