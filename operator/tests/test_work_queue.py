"""The work queue returns each key once when it is due, and never to two workers at once."""

from __future__ import annotations

import asyncio

from rl_router_operator.controller.work_queue import MAXIMUM_PAUSE, WorkQueue

ONE, OTHER = ("team", "one"), ("team", "other")


async def test_a_key_that_is_added_twice_is_returned_once():
    queue = WorkQueue()
    queue.add(ONE)
    queue.add(ONE)
    assert await queue.get(0.01) == ONE
    queue.done(ONE)
    assert await queue.get(0.01) is None


async def test_a_key_is_not_returned_again_until_it_is_done():
    queue = WorkQueue()
    queue.add(ONE)
    assert await queue.get(0.01) == ONE
    queue.add(ONE)
    assert await queue.get(0.01) is None
    queue.done(ONE)
    assert await queue.get(0.01) == ONE


async def test_the_earliest_due_time_of_a_key_counts():
    now = [0.0]
    queue = WorkQueue(clock=lambda: now[0])
    queue.add(ONE, after=30)
    queue.add(ONE, after=10)
    queue.add(ONE, after=20)
    now[0] = 10.0
    assert await queue.get(0.0) == ONE
    queue.done(ONE)
    now[0] = 30.0
    assert await queue.get(0.0) is None


async def test_a_failed_key_is_due_again_after_at_most_the_maximum_pause():
    now = [0.0]
    queue = WorkQueue(clock=lambda: now[0])
    queue.add(ONE)
    for _ in range(40):
        assert await queue.get(0.0) == ONE
        queue.failed(ONE)
        now[0] += MAXIMUM_PAUSE
    assert await queue.get(0.0) == ONE


async def test_a_forgotten_key_is_not_returned():
    queue = WorkQueue()
    queue.add(ONE)
    queue.add(OTHER)
    queue.forget(ONE)
    assert await queue.get(0.01) == OTHER
    assert len(queue) == 0


async def test_a_waiting_worker_gets_a_new_key():
    queue = WorkQueue()
    waiting = asyncio.create_task(queue.get(30))
    await asyncio.sleep(0)
    queue.add(ONE)
    assert await asyncio.wait_for(waiting, 5) == ONE


async def test_a_waiting_worker_can_be_cancelled_while_a_key_is_added():
    queue = WorkQueue()
    waiting = asyncio.create_task(queue.get(30))
    await asyncio.sleep(0)
    queue.add(ONE)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=5)
    assert waiting.cancelled()
