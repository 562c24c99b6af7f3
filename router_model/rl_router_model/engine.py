"""Runs llama.cpp inside this process.

llama.cpp listens on a loopback port and requires a random API key that only this process knows.
"""

import http.client
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rl_router_model.problem import ExitCode, StartError

HTTP_THREADS = 64
"""The number of threads of llama.cpp's HTTP server. Each running or waiting request occupies a thread of the HTTP
server. With llama.cpp's default number of threads, even short requests could wait for a free thread."""


@dataclass(frozen=True)
class Engine:
    """A model that llama.cpp has loaded.

    The attribute `alias` is the model name in all responses of llama.cpp, even if a request contains another model
    name. The attribute `slot_tokens` is the maximum number of tokens of one request.
    """

    url: str
    key: str
    alias: str
    slot_tokens: int
    server: Any


def start(model: Path, template: str, slots: int, slot_tokens: int, threads: int) -> Engine:
    """Loads the model and returns the engine when the model is ready. Raises StartError.

    The argument `slots` is the maximum number of concurrent requests. The argument `slot_tokens` is the maximum number
    of tokens of each request, unless the model's context length is lower.
    """
    key, alias = secrets.token_hex(16), f"engine-{secrets.token_hex(8)}"
    llama = require()
    params = llama.CommonParams()
    params.model.path = str(model)
    params.model_alias = {alias}
    params.n_parallel, params.n_ctx = slots, slots * slot_tokens
    params.use_jinja, params.chat_template = True, template
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [key]
    params.n_threads_http = HTTP_THREADS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    # The value 0 disables the cache of past prompts, which would grow to gigabytes.
    params.cache_ram_mib = 0
    params.ui, params.verbosity = False, -1
    try:
        server = llama.Server(params)
    except RuntimeError:
        raise StartError(ExitCode.ENGINE, _refusal(model, template)) from None
    return Engine(server.listening_address, key, alias, _slot_tokens(server.listening_address, key), server)


def require() -> Any:
    """Returns the Python module xllamacpp.

    Raises StartError if the module or a system library that the module needs is missing.
    """
    try:
        import xllamacpp
    except ImportError as error:
        if "libgomp" in str(error):
            raise StartError(ExitCode.ENGINE, "libgomp.so.1 is missing: run apt-get install libgomp1") from None
        raise StartError(ExitCode.ENGINE, f"llama.cpp cannot be loaded: {error}. Run pip install xllamacpp") from None
    return xllamacpp


def _refusal(model: Path, template: str) -> str:
    # llama.cpp reports that the model cannot be loaded, but not the reason.
    causes = ["a damaged file", "an unsupported architecture", "too little memory"]
    if template:
        causes.insert(0, "an error in the chat template")
    return (
        f"llama.cpp cannot load {model}. Possible causes: {', '.join(causes)}. "
        "Check the model file and the chat template, or lower --max-model-len or --max-num-seqs to use less memory"
    )


def _slot_tokens(url: str, key: str) -> int:
    # The context length is lower than requested if the model was trained with a shorter context.
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", "/props", headers={"Authorization": f"Bearer {key}"})
    properties = json.load(connection.getresponse())
    connection.close()
    return int(properties["default_generation_settings"]["n_ctx"])
