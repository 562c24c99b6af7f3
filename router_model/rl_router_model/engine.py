"""llama.cpp inside this process, on a port of the loopback interface that only the front knows the key of."""

import http.client
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rl_router_model.problem import ExitCode, StartError

# Each request that is answered or waits holds one of these; llama.cpp's default makes even short ones wait.
HTTP_THREADS = 64


@dataclass(frozen=True)
class Engine:
    """A model that is loaded. `alias` is the name under which it answers, whatever it was asked for."""

    url: str
    key: str
    alias: str
    slot_tokens: int
    server: Any


def start(model: Path, template: str, slots: int, slot_tokens: int, threads: int) -> Engine:
    """Loads the model, which blocks until it is ready. Raises StartError."""
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
    # The cache of past prompts grows to gigabytes otherwise.
    params.cache_ram_mib = 0
    params.ui, params.verbosity = False, -1
    try:
        server = llama.Server(params)
    except RuntimeError:
        raise StartError(ExitCode.ENGINE, _refusal(model, template)) from None
    return Engine(server.listening_address, key, alias, _slot_tokens(server.listening_address, key), server)


def require() -> Any:
    """The module xllamacpp. Raises StartError with the remedy where it, or what it needs of the system, is missing."""
    try:
        import xllamacpp
    except ImportError as error:
        if "libgomp" in str(error):
            raise StartError(ExitCode.ENGINE, "libgomp.so.1 is missing: apt-get install libgomp1") from None
        raise StartError(ExitCode.ENGINE, f"llama.cpp cannot be loaded: {error}; pip install xllamacpp") from None
    return xllamacpp


def _refusal(model: Path, template: str) -> str:
    # llama.cpp says no more than that it failed.
    causes = ["the file is damaged", "of an architecture it does not know", "or too large for the memory"]
    if template:
        causes.insert(0, "the chat template has a mistake")
    return f"llama.cpp refuses {model}: {', '.join(causes)} (a smaller --max-model-len or --max-num-seqs needs less)"


def _slot_tokens(url: str, key: str) -> int:
    # Less than was asked for where the model was trained on less.
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", "/props", headers={"Authorization": f"Bearer {key}"})
    properties = json.load(connection.getresponse())
    connection.close()
    return int(properties["default_generation_settings"]["n_ctx"])
