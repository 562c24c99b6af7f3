"""The work queue: each key once, when it is due, and never by two workers."""

from __future__ import annotations

import asyncio

from rl_router_operator.controller.work_queue import MAXIMUM_PAUSE, WorkQueue

ONE, OTHER = ("team", "one"), ("team", "other")


async def test_a_key_asked_for_twice_is_handed_out_once():
    queue = WorkQueue()
    queue.add(ONE)
    queue.add(ONE)
    assert await queue.get(0.01) == ONE
    queue.done(ONE)
    assert await queue.get(0.01) is None


async def test_a_key_in_hand_is_handed_out_again_only_when_done():
    queue = WorkQueue()
    queue.add(ONE)
    assert await queue.get(0.01) == ONE
    queue.add(ONE)
    assert await queue.get(0.01) is None
    queue.done(ONE)
    assert await queue.get(0.01) == ONE


async def test_of_two_requests_the_earlier_holds():
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


async def test_a_failed_look_is_repeated_within_two_seconds_however_often_it_failed():
    now = [0.0]
    queue = WorkQueue(clock=lambda: now[0])
    queue.add(ONE)
    for _ in range(40):
        assert await queue.get(0.0) == ONE
        queue.failed(ONE)
        now[0] += MAXIMUM_PAUSE
    assert await queue.get(0.0) == ONE


async def test_a_key_that_is_forgotten_is_not_handed_out():
    queue = WorkQueue()
    queue.add(ONE)
    queue.add(OTHER)
    queue.forget(ONE)
    assert await queue.get(0.01) == OTHER
    assert len(queue) == 0


async def test_a_waiting_worker_is_woken():
    queue = WorkQueue()
    waiting = asyncio.create_task(queue.get(30))
    await asyncio.sleep(0)
    queue.add(ONE)
    assert await asyncio.wait_for(waiting, 5) == ONE


async def test_a_waiting_worker_can_be_cancelled_while_a_key_arrives():
    queue = WorkQueue()
    waiting = asyncio.create_task(queue.get(30))
    await asyncio.sleep(0)
    queue.add(ONE)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=5)
    assert waiting.cancelled()
