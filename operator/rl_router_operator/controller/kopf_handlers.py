"""kopf: reports what happens to RouterDeployments, and writes nothing."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import kopf
from kubernetes.aio.client import Configuration

from ..log import log
from ..schema import GROUP, PLURAL, VERSION

Saw = Callable[[str | None, dict[str, Any]], None]
Connect = Callable[[], Awaitable[Configuration]]
_PAUSE = 2.0


def _is_news(record: logging.LogRecord) -> bool:
    """That kopf leaves signals alone outside of the main thread is what is wanted."""
    return not record.getMessage().startswith("OS signals are ignored")


logging.getLogger("kopf._core.reactor.running").addFilter(_is_news)


class _Backoffs:
    """Seconds between tries, without end: an outage, or a missing permission, is no reason to give up."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.1, 0.5, 1.0)
        while True:
            yield _PAUSE


def registry(saw: Saw, connect: Connect) -> kopf.OperatorRegistry:
    """The handlers: `saw` gets the type and the body of every event."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def seen(type: str | None, body: kopf.Body, **_: Any) -> None:
        saw(type, dict(body))

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await _login(await connect())

    return handlers


def settings() -> kopf.OperatorSettings:
    """No peering, no annotations, no Events, no watch on definitions and namespaces."""
    found = kopf.OperatorSettings()
    found.peering.standalone = True
    found.posting.enabled = False
    found.scanning.disabled = True
    found.watching.chunk_size = 500
    found.networking.request_timeout = 10.0
    found.networking.connect_timeout = 10.0
    found.networking.error_backoffs = _Backoffs()
    found.queueing.error_delays = _Backoffs()
    return found


async def run(saw: Saw, connect: Connect, namespaces: tuple[str, ...]) -> None:
    """Runs kopf until cancelled, again where it ends.

    It has a thread and an event loop of its own: when it ends it cancels every other task of its loop.
    """
    loop = asyncio.get_running_loop()

    def passed_on(event: str | None, body: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(saw, event, body)

    handlers = registry(passed_on, connect)
    stop = threading.Event()
    try:
        while True:
            # Shielded, since a thread cannot be cancelled, only asked to end.
            await asyncio.shield(asyncio.to_thread(_run, handlers, namespaces, stop))
            await asyncio.sleep(_PAUSE)
    finally:
        stop.set()


def _run(handlers: kopf.OperatorRegistry, namespaces: tuple[str, ...], stop: threading.Event) -> None:
    try:
        asyncio.run(
            kopf.operator(
                registry=handlers,
                settings=settings(),
                standalone=True,
                clusterwide=not namespaces,
                namespaces=namespaces,
                stop_flag=stop,
            )
        )
    except Exception as error:  # noqa: BLE001 - whatever ends kopf must not end the operator
        log(logging.WARNING, f"kopf ended and is started again: {error}")


async def _login(connection: Configuration) -> kopf.ConnectionInfo:
    key = await connection.get_api_key_with_prefix("BearerToken") or ""
    return kopf.ConnectionInfo(
        server=connection.host,
        ca_path=connection.ssl_ca_cert,
        insecure=not connection.verify_ssl,
        scheme="Bearer" if key else None,
        token=key.split(" ", 1)[-1].strip() or None,
        certificate_path=connection.cert_file,
        private_key_path=connection.key_file,
    )
