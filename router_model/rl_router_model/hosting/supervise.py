"""Starts the engine, waits until the engine answers, and stops the engine after a signal or a timeout."""

import time
from typing import NoReturn

from rl_router_process.output import STDOUT

from .endpoint import Endpoint
from .engine_command import EngineCommand
from .error import HostingError
from .explain import explain, unexplained
from .server_process import ServerProcess
from .signals import Interrupted, Signals

_POLL = 0.2
_PROGRESS = 5
"""The minimum number of seconds between two output lines that say that the engine is still loading the model."""


def supervise(command: EngineCommand, endpoint: Endpoint, wait: int, serve: str) -> int:
    """Runs the engine until a signal arrives, and returns the exit code for that signal.

    The argument `wait` is the maximum number of seconds to wait for the engine. The argument `serve` is the command
    that serves the router API. If the engine ends, the function raises HostingError with the engine's exit code, or
    with the code 1 instead of the exit code 0. If the engine does not answer in time, the function raises HostingError
    with the code 1. When the function returns or raises an error, the engine has stopped.
    """
    STDOUT.say(f"Starting the router model ({command.model}) on port {endpoint.port} …")
    signals = Signals()
    with signals.handled():
        server = ServerProcess(command.arguments, command.variables)
        try:
            with signals.raised():
                seconds = _wait_until_ready(server, command, endpoint, wait)
                names = ", ".join(endpoint.models()) or command.model
                STDOUT.say(f"Router model {names} is ready on {endpoint.url}/v1 ({seconds} s). Next: {serve}")
                _wait_until_end(server)
        except Interrupted as interrupted:
            return interrupted.code
        finally:
            _stop(server)


def _wait_until_ready(server: ServerProcess, command: EngineCommand, endpoint: Endpoint, wait: int) -> int:
    """Waits until the engine answers, and returns the waiting time in seconds.

    Raises HostingError if the engine ends or does not answer within `wait` seconds.
    """
    start = time.monotonic()
    reported = 0
    # The loop checks that the engine still runs, because another server may answer on the same port.
    while not (endpoint.is_healthy() and server.running):
        seconds = int(time.monotonic() - start)
        if not server.running:
            status = server.wait()
            raise HostingError(explain(server.last_lines(), command.model, endpoint.port), status or 1)
        if seconds >= wait:
            raise HostingError(f"the router model did not answer within {wait} s. Allow more time with --wait.")
        if seconds - reported >= _PROGRESS:
            reported = seconds
            STDOUT.say(f"The engine has been loading the model for {seconds} s …")
        time.sleep(_POLL)
    return int(time.monotonic() - start)


def _wait_until_end(server: ServerProcess) -> NoReturn:
    status = server.wait()
    problem = f"the router model ended (exit status {status})"
    raise HostingError(unexplained(problem, server.last_lines()), status or 1)


def _stop(server: ServerProcess) -> None:
    if server.running:
        STDOUT.say("Stopping the router model …")
    server.stop()
