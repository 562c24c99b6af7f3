"""Parses the command line, with vLLM's flag names: some have an effect here, the others are accepted and ignored."""

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
    """The parsed command line.

    `max_model_len` is in tokens for each request, `slots` the number of concurrent requests. `ignored` names the flags
    without effect.
    """

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
    """Returns the parsed command line. An unknown flag or an invalid value exits with code 2 and one line."""
    parser = _parser()
    parsed, unknown = parser.parse_known_args([_dashed(argument) for argument in arguments])
    if unknown:
        parser.error(_unknown(unknown[0], parser))
    if parsed.ssl_keyfile and not parsed.ssl_certfile:
        parser.error("--ssl-keyfile requires --ssl-certfile")
    key = os.environ.get("VLLM_API_KEY")
    return Options(
        model=parsed.model,
        names=tuple(dict.fromkeys(parsed.served_model_name)),
        host=parsed.host,
        port=parsed.port,
        max_model_len=parsed.max_model_len,
        slots=parsed.max_num_seqs,
        chat_template=parsed.chat_template,
        api_keys=tuple(parsed.api_key or ([key] if key else [])),
        root_path=parsed.root_path.rstrip("/"),
        ssl_certfile=parsed.ssl_certfile,
        ssl_keyfile=parsed.ssl_keyfile,
        ignored=tuple(dict.fromkeys(parsed.ignored)),
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.COMMAND_LINE, f"error: {message} (--help lists the flags)\n")


class _Ignore(argparse.Action):
    """Records the flag's name and discards its value."""

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
        epilog="vLLM's flags without effect here are accepted and listed in one line. "
        f"Exit codes if the server cannot start: {'; '.join(f'{code:d} {code.means}' for code in ExitCode)}.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--model",
        help="a GGUF file, a folder with one, or hf://org/name[@revision]/file.gguf, which is downloaded "
        "(default: the bundled SmolLM2-135M-Instruct)",
    )
    add(
        "--served-model-name",
        nargs="+",
        default=[],
        metavar="NAME",
        help="model names that clients may use (default: the file's name)",
    )
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s; 0.0.0.0: every address)")
    add("--port", type=_port, default=8000, help="port to listen on (%(default)s; 0: any free port)")
    add(
        "--max-model-len",
        type=_positive,
        default=4096,
        metavar="TOKENS",
        help="maximum tokens of a request, prompt and completion (%(default)s)",
    )
    add(
        "--max-num-seqs",
        type=_positive,
        default=3,
        metavar="N",
        help="maximum concurrent requests; others wait (%(default)s)",
    )
    add(
        "--chat-template",
        help="a file, or the template's text (default: Hermes for the bundled model, else the model's own)",
    )
    add(
        "--api-key", nargs="+", metavar="KEY", help="required by every endpoint except /health (default: $VLLM_API_KEY)"
    )
    add("--root-path", default="", metavar="PREFIX", help="path prefix that a proxy in front adds")
    add("--ssl-certfile", metavar="FILE", help="serve HTTPS with this certificate")
    add("--ssl-keyfile", metavar="FILE", help="the certificate's key, if it is in another file")
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
    # vLLM accepts --max_model_len too.
    flag, equals, value = argument.partition("=")
    return flag.replace("_", "-") + equals + value if flag.startswith("--") else argument


def _unknown(argument: str, parser: argparse.ArgumentParser) -> str:
    matches = difflib.get_close_matches(argument.partition("=")[0], parser._option_string_actions, n=1)
    return f"unknown argument {argument}" + (f", did you mean {matches[0]}?" if matches else "")


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: use a number from 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)
