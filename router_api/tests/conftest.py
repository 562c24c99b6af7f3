"""Fixtures: the log, and a testbed for routers and their upstreams."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from fakes.testbed.config_file import ConfigFile
from fakes.testbed.log import LogLines
from fakes.testbed.program import Programs
from fakes.testbed.router import Testbed
from fakes.testbed.waiting import until
from fakes.upstreams.exchange import Body


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("RL_ROUTER_"):
            monkeypatch.delenv(name)


@pytest.fixture
def log() -> Iterator[list[Body]]:
    """Every line that the application logs."""
    logger, handler = logging.getLogger("rl_router"), LogLines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.lines
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
async def testbed(log: list[Body]) -> AsyncIterator[Testbed]:
    """Starts upstreams and routers. Fails if a task still runs after they stopped."""
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        yield Testbed(stack, log)

    def left() -> set[asyncio.Task[Any]]:
        return {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}

    await until(lambda: not left(), "the end of every task")


@pytest.fixture
async def config_file(testbed: Testbed, tmp_path: Path) -> AsyncIterator[ConfigFile]:
    """A configuration file, and routers that reload it."""
    async with AsyncExitStack() as stack:
        yield ConfigFile(tmp_path, stack)


@pytest.fixture
async def programs(tmp_path: Path) -> AsyncIterator[Programs]:
    """Starts routers as processes."""
    async with AsyncExitStack() as stack:
        yield Programs(tmp_path, stack)
