"""The command line: vLLM's flag names, those that mean something here and those that are let pass."""

import argparse
import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from rl_router_model.problem import ExitCode

_SWITCHES = [
    "async-scheduling",
    "disable-custom-all-reduce",
    "disable-fastapi-docs",
    "disable-log-requests",
    "disable-log-stats",
    "disable-uvicorn-access-log",
    "enable-auto-tool-choice",
    "enable-chunked-prefill",
    "enable-expert-parallel",
    "enable-force-include-usage",
    "enable-log-requests",
    "enable-lora",
    "enable-prefix-caching",
    "enable-prompt-tokens-details",
    "enable-request-id-headers",
    "enable-server-load-tracking",
    "enable-sleep-mode",
    "enforce-eager",
    "trust-remote-code",
]
_VALUES = [
    "allowed-headers",
    "allowed-methods",
    "allowed-origins",
    "api-server-count",
    "attention-backend",
    "block-size",
    "chat-template-content-format",
    "code-revision",
    "compilation-config",
    "config-format",
    "cpu-offload-gb",
    "data-parallel-size",
    "device",
    "distributed-executor-backend",
    "download-dir",
    "dtype",
    "generation-config",
    "gpu-memory-utilization",
    "hf-overrides",
    "hf-token",
    "kv-cache-dtype",
    "kv-cache-memory-bytes",
    "kv-transfer-config",
    "limit-mm-per-prompt",
    "load-format",
    "max-log-len",
    "max-logprobs",
    "max-num-batched-tokens",
    "model-loader-extra-config",
    "num-gpu-blocks-override",
    "override-generation-config",
    "pipeline-parallel-size",
    "quantization",
    "reasoning-parser",
    "response-role",
    "revision",
    "rope-scaling",
    "rope-theta",
    "scheduling-policy",
    "seed",
    "shutdown-timeout",
    "speculative-config",
    "structured-outputs-config",
    "swap-space",
    "tensor-parallel-size",
    "tokenizer",
    "tokenizer-mode",
    "tokenizer-revision",
    "tool-call-parser",
    "tool-parser-plugin",
    "uvicorn-log-level",
]
_SHORT = {
    "tensor-parallel-size": "-tp",
    "pipeline-parallel-size": "-pp",
    "data-parallel-size": "-dp",
    "quantization": "-q",
}


@dataclass(frozen=True)
class Options:
    """What the server is asked to be; `ignored` names the flags that mean nothing to it."""

    model: str | None
    names: tuple[str, ...]
    host: str
    port: int
    max_model_len: int
    slots: int
    chat_template: str | None
    api_keys: tuple[str, ...]
    root_path: str
    ssl_certfile: str | None
    ssl_keyfile: str | None
    ignored: tuple[str, ...]


def parse(arguments: Sequence[str]) -> Options:
    """Reads the command line; an unknown flag or a bad value ends the process with exit code 2 and one line."""
    parser = _parser()
    given, unknown = parser.parse_known_args([_dashed(argument) for argument in arguments])
    if unknown:
        parser.error(_unknown(unknown[0], parser))
    if given.ssl_keyfile and not given.ssl_certfile:
        parser.error("--ssl-keyfile goes with --ssl-certfile")
    key = os.environ.get("VLLM_API_KEY")
    return Options(
        model=given.model,
        names=tuple(dict.fromkeys(given.served_model_name)),
        host=given.host,
        port=given.port,
        max_model_len=given.max_model_len,
        slots=given.max_num_seqs,
        chat_template=given.chat_template,
        api_keys=tuple(given.api_key or ([key] if key else [])),
        root_path=given.root_path.rstrip("/"),
        ssl_certfile=given.ssl_certfile,
        ssl_keyfile=given.ssl_keyfile,
        ignored=tuple(dict.fromkeys(given.ignored)),
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.COMMAND_LINE, f"error: {message} (--help lists the flags)\n")


class _Ignore(argparse.Action):
    """Keeps the flag's name and forgets its value."""

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        _values: object,
        option: str | None = None,
    ) -> None:
        namespace.ignored = [*namespace.ignored, option]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m rl_router_model",
        description="Serves a GGUF model on the CPU, with llama.cpp behind vLLM's flag names.",
        epilog="vLLM's flags that mean nothing here are accepted and named in one line. "
        f"Exit codes of a server that cannot start: {'; '.join(f'{code:d} {code.means}' for code in ExitCode)}.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--model",
        help="a GGUF file, the folder of one, or hf://org/name[@revision]/file.gguf, which is fetched "
        "(default: the bundled SmolLM2-135M-Instruct)",
    )
    add(
        "--served-model-name",
        nargs="+",
        default=[],
        metavar="NAME",
        help="the names it answers to (default: its file's)",
    )
    add("--host", default="127.0.0.1", help="where to listen (%(default)s; 0.0.0.0: every address)")
    add("--port", type=_port, default=8000, help="(%(default)s; 0: any that is free)")
    add(
        "--max-model-len",
        type=_positive,
        default=4096,
        metavar="TOKENS",
        help="tokens a request may take (%(default)s)",
    )
    add("--max-num-seqs", type=_positive, default=3, metavar="N", help="requests at once; others wait (%(default)s)")
    add("--chat-template", help="a file, or the template itself (default: Hermes for the bundled model, else its own)")
    add("--api-key", nargs="+", metavar="KEY", help="wanted by everything but /health (default: $VLLM_API_KEY)")
    add("--root-path", default="", metavar="PREFIX", help="the prefix of a proxy before it")
    add("--ssl-certfile", metavar="FILE", help="serve HTTPS with this certificate")
    add("--ssl-keyfile", metavar="FILE", help="its key, where it is not in the same file")
    _add_ignored(parser)
    return parser


def _add_ignored(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(ignored=[])
    for name in _SWITCHES:
        parser.add_argument(f"--{name}", f"--no-{name}", action=_Ignore, nargs=0, help=argparse.SUPPRESS)
    for name in _VALUES:
        short = [_SHORT[name]] if name in _SHORT else []
        parser.add_argument(*short, f"--{name}", action=_Ignore, nargs=1, help=argparse.SUPPRESS)


def _dashed(argument: str) -> str:
    # vLLM takes --max_model_len too.
    flag, equals, value = argument.partition("=")
    return flag.replace("_", "-") + equals + value if flag.startswith("--") else argument


def _unknown(argument: str, parser: argparse.ArgumentParser) -> str:
    near = difflib.get_close_matches(argument.partition("=")[0], parser._option_string_actions, n=1)
    return f"unknown argument {argument}" + (f", did you mean {near[0]}?" if near else "")


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port, 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no positive whole number")
    return int(text)
