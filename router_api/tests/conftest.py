"""Fixtures: what is logged, and a stage for routers and their upstreams."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from stages import Lines, Stage, until
from upstreams import Body


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("RL_ROUTER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def log() -> Iterator[list[Body]]:
    """Every line that the application logs."""
    logger, handler = logging.getLogger("rl_router"), Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.lines
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
async def stage(log: list[Body]) -> AsyncIterator[Stage]:
    """Upstreams and routers; when they are down, no task may be left."""
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        yield Stage(stack, log)

    def left() -> set[asyncio.Task[Any]]:
        return {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}

    await until(lambda: not left(), "the end of every task")
