"""Parses the command line of `rl-router model`, which hosts the router model."""

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from rl_router_model.address import read_host

from .error import HostingError

DEVICES = ("auto", "cuda", "cpu")
DECISIONS = ("policy", "language-model")
ENGINES = ("auto", "vllm", "llamacpp")

_DESCRIPTION = """\
Hosts the router model: starts a server, waits until the server answers, and runs until Ctrl-C or SIGTERM. On NVIDIA
GPUs, vLLM serves Qwen2.5-7B-Instruct by default. On a CPU, a learned policy answers requests for routing decisions by
default, and llama.cpp serves SmolLM2-135M-Instruct for all other requests. The model SmolLM2-135M-Instruct is good
enough to try the router, but not to route well."""
_EPILOG = """\
Write options of the engine after `--`. If the options after `--` contain --ssl-certfile, the server uses HTTPS.

exit codes:
  1    the router model cannot be hosted; the message says why
  2    the command line is invalid
  129  after SIGHUP; 130 after Ctrl-C; 143 after SIGTERM
All other exit codes except 0 come from the engine, which may also end with 1 or 2.
docs/troubleshooting.md lists the exit codes of the CPU fallback.

examples:
  {prog}
  {prog} --gpus 0,1 --model Qwen/Qwen2.5-14B-Instruct --max-model-len 16384
  {prog} --device cpu --model hf://org/name/file.gguf
  {prog} --print -- --seed 1"""


@dataclass(frozen=True)
class Options:
    """The parsed command line.

    An empty value or None means that the user did not set the option. The attribute `gpus` contains the indexes of the
    GPUs in the output of nvidia-smi. The attribute `gpu_memory_utilization` is the share of each GPU's memory that vLLM
    may use, as text. The attribute `decide` is one of `DECISIONS` or None. The attribute `wait` is the maximum number
    of seconds until the engine answers. The attribute `extra` contains the options after the separator `--`, which the
    engine gets.
    """

    gpus: tuple[str, ...] = ()
    gpu_memory_utilization: str = "0.9"
    tensor_parallel_size: int | None = None
    max_model_len: int | None = None
    tool_call_parser: str = "hermes"
    chat_template: str = ""
    decide: str | None = None
    artefact: str = ""
    model: str = ""
    served_model_name: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str = ""
    device: str = "auto"
    engine: str = "auto"
    wait: int = 1800
    print_only: bool = False
    extra: tuple[str, ...] = ()


def parse(arguments: Sequence[str], prog: str) -> Options:
    """Returns the parsed command line.

    Raises HostingError with the exit code 2 if the command line is invalid. If the command line contains --help, prints
    the help and exits with 0.
    """
    own, extra = _split(arguments)
    parser = _parser(prog)
    parsed, unknown = parser.parse_known_args(_joined(own, parser))
    if unknown:
        parser.error(_unknown(unknown[0], parser))
    return Options(**{**vars(parsed), "served_model_name": tuple(parsed.served_model_name)}, extra=extra)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # argparse's messages begin with the name of the argument: `argument --port: expected one argument`.
        text = re.sub(r"^argument (?:-\w/)?", "", message)
        text = re.sub(r": expected (one|at least one) argument$", " requires a value", text)
        raise HostingError(f"{text}. See --help.", 2)


def _split(arguments: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Returns the arguments before the separator `--`, and the engine's arguments after the separator."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return list(arguments[:end]), tuple(arguments[end + 1 :])


def _joined(arguments: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    """Joins each flag that takes one value with its value (`--flag=value`), so that argparse accepts the value `-x`."""
    joined: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        action = parser._option_string_actions.get(argument)
        takes_one = action is not None and action.nargs is None
        value = next(rest, None) if takes_one else None
        joined.append(argument if value is None else f"{argument}={value}")
    return joined


def _unknown(argument: str, parser: argparse.ArgumentParser) -> str:
    flag = argument.partition("=")[0]
    matches = difflib.get_close_matches(flag, parser._option_string_actions, n=1)
    hint = f"Use {matches[0]}" if matches else "Write options of the engine after --"
    return f"unknown flag {flag}. {hint}"


def _parser(prog: str) -> _Parser:
    parser = _Parser(
        prog=prog,
        usage="%(prog)s [options] [-- options of the engine]",
        description=_DESCRIPTION,
        epilog=_EPILOG.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_decisions(parser.add_argument_group("routing decisions"))
    _add_model(parser.add_argument_group("model"))
    _add_hardware(parser.add_argument_group("hardware"))
    _add_server(parser.add_argument_group("server"))
    parser.add_argument(
        "--print",
        dest="print_only",
        action="store_true",
        help="print the engine's command instead of starting the engine",
    )
    return parser


def _add_decisions(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--decide",
        type=_one_of(DECISIONS),
        metavar="|".join(DECISIONS),
        help="what answers requests for routing decisions: the learned policy, which vLLM does not contain, "
        "or the language model (default: policy with llama.cpp, language-model with vLLM)",
    )
    add(
        "--artefact",
        default="",
        metavar="FOLDER",
        help="folder with the artefact of the learned policy, or with several artefacts, of which the newest is used. "
        "The server reads a newer artefact without a restart (default: the bundled artefact)",
    )


def _add_model(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--model",
        default="",
        help="model to host. For vLLM: a name on the Hugging Face hub or a folder. For llama.cpp: a GGUF file, a "
        "folder with a GGUF file, or hf://org/name/file.gguf (default: Qwen/Qwen2.5-7B-Instruct on GPUs, "
        "SmolLM2-135M-Instruct on a CPU)",
    )
    add(
        "--served-model-name",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="model names that clients may use (default: the model's name)",
    )
    add(
        "--max-model-len",
        type=_positive,
        metavar="TOKENS",
        help="maximum number of tokens of a request, prompt plus completion (default: the model's context length; on a "
        "CPU 4096)",
    )
    add(
        "--tool-call-parser",
        default="hermes",
        metavar="NAME",
        help="name of vLLM's parser for tool calls (default: %(default)s)",
    )
    add(
        "--chat-template",
        default="",
        metavar="FILE",
        help="file with a Jinja chat template (default: the model's own template, or the Hermes template for the "
        "bundled model)",
    )


def _add_hardware(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--device",
        type=_one_of(DEVICES),
        default="auto",
        metavar="|".join(DEVICES),
        help="device that runs the engine (default: cuda if nvidia-smi lists a GPU and the engine is not llamacpp, "
        "otherwise cpu)",
    )
    add(
        "--engine",
        type=_one_of(ENGINES),
        default="auto",
        metavar="|".join(ENGINES),
        help="engine that serves the model (default: vllm on GPUs, llamacpp on a CPU). vllm on a CPU requires "
        "vLLM's CPU build",
    )
    add(
        "--gpus",
        type=_gpus,
        default=(),
        metavar="0,1",
        help="indexes of the GPUs to use, as in nvidia-smi (default: all GPUs)",
    )
    add(
        "--gpu-memory-utilization",
        type=_share,
        default="0.9",
        metavar="SHARE",
        help="share of each GPU's memory that vLLM may use, at most 1 (default: %(default)s)",
    )
    add(
        "--tensor-parallel-size",
        type=_positive,
        metavar="N",
        help="number of GPUs over which vLLM splits the model (default: all GPUs in use)",
    )


def _add_server(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--host",
        type=read_host,
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: %(default)s). 0.0.0.0 means all IPv4 addresses, and :: means all IPv4 and "
        "IPv6 addresses",
    )
    add("--port", type=_port, default=8000, help="port to listen on (default: %(default)s)")
    add("--api-key", default="", metavar="KEY", help="key that clients must send (default: $VLLM_API_KEY, or no key)")
    add(
        "--wait",
        type=_seconds,
        default=1800,
        metavar="SECONDS",
        help="maximum number of seconds until the engine answers (default: %(default)s)",
    )


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    def read_choice(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f'"{text}" is not one of {", ".join(choices)}')
        return text

    return read_choice


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f'"{text}" is not a port. Use a number from 1 to 65535')
    return int(text)


def _seconds(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f'"{text}" is not a valid number of seconds. Use a whole number such as 1800')
    return int(text)


def _positive(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f'"{text}" is not a valid number. Use a positive whole number such as 2')
    return int(text)


def _gpus(text: str) -> tuple[str, ...]:
    if not re.fullmatch(r"([0-9]+(,[0-9]+)*)?", text):
        raise argparse.ArgumentTypeError(f'"{text}" is not a list of GPUs. Write the GPUs\' indexes, such as 0,1')
    return tuple(text.split(",")) if text else ()


def _share(text: str) -> str:
    if not re.fullmatch(r"0?\.[0-9]*[1-9][0-9]*|1(\.0*)?", text):
        raise argparse.ArgumentTypeError(f'"{text}" is not a share of GPU memory. Use a number above 0 and at most 1')
    return text
