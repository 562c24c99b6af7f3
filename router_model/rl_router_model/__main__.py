"""Implements the command `python -m rl_router_model`, which runs the CPU fallback until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from aiohttp import web
from rl_router_policy.threads import use_one_thread
from rl_router_process.output import STDERR
from rl_router_process.standard_streams import open_closed_streams

from rl_router_model import cpus, engine, flags, listen, server, template, weights
from rl_router_model.address import authority
from rl_router_model.language_model import LanguageModel, loaded
from rl_router_model.problem import StartError

if TYPE_CHECKING:
    from rl_router_model.decisions.endpoint import Decisions


def main() -> int:
    """Runs the server. Returns 0 after SIGTERM or SIGINT, or a value of `ExitCode` if the server cannot start.

    Raises SystemExit if the command line is invalid or asks for help.
    """
    open_closed_streams()
    options = flags.parse(sys.argv[1:])
    # The server keeps running after its terminal is closed.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop_loading)
    if options.ignored:
        _print(f"flags ignored by the CPU fallback: {' '.join(options.ignored)}")
    try:
        _serve(options)
    except StartError as error:
        _print(f"error: {error}")
        return error.code
    return 0


def _serve(options: flags.Options) -> None:
    context = listen.tls(options.ssl_certfile, options.ssl_keyfile)
    if weights.is_remote(options.model):
        _print(f"downloading {options.model}, unless this machine already has the file")
    model = weights.find(options.model)
    chat_template = template.read(options.chat_template, bundled_model=options.model is None)
    engine.require()
    names = options.names or (weights.name_of(model),)
    with listen.bind(options.host, options.port) as bound:
        decisions = _decisions(options)
        load = partial(_load, options, model, chat_template)
        language_model = LanguageModel(load, options.max_model_len) if options.loads_later else loaded(load())
        api = server.ChatApi(language_model, names, options.api_keys, options.root_path, decisions)
        asyncio.run(_run(api.application(), bound, context, ", ".join(names)))


def _decisions(options: flags.Options) -> Decisions | None:
    """Returns the object that answers requests for decisions, or None if the language model answers them."""
    if options.decide == flags.LANGUAGE_MODEL:
        return None
    use_one_thread()
    # The libraries of the policy need memory and time to load, so only a server that decides by the policy loads them.
    from rl_router_model.decisions import endpoint, learned_policy

    return endpoint.Decisions(learned_policy.NewestPolicy(options.artefact, _print))


def _load(options: flags.Options, model: Path, chat_template: str) -> engine.Engine:
    threads = cpus.available()
    _print(f"loading {model.name} ({threads} thread{'s' * (threads > 1)})")
    started = engine.start(model, chat_template, options.slots, options.max_model_len, threads)
    if started.slot_tokens < options.max_model_len:
        _print(
            f"--max-model-len {options.max_model_len} exceeds the model's context length: "
            f"using {started.slot_tokens} tokens"
        )
    return started


async def _run(application: web.Application, bound: socket.socket, tls: ssl.SSLContext | None, names: str) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with server.running(application) as runner:
        await web.SockSite(runner, bound, ssl_context=tls).start()
        host, port = bound.getsockname()[:2]
        _print(f"{names} ready on {'https' if tls else 'http'}://{authority(host, port)}/v1")
        await stopped.wait()
    _print("stopped")


def _stop_loading(_number: int, _frame: FrameType | None) -> None:
    _exit(0)


def _exit(code: int) -> None:
    # Skips llama.cpp's own shutdown, which never returns while a request is running.
    STDERR.flush()
    os._exit(code)


def _print(text: str) -> None:
    STDERR.say(f"rl_router_model: {text}")


if __name__ == "__main__":
    _exit(main())
