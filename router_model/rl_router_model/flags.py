"""Parses the command line of the CPU fallback. Most of the flags are vLLM's flags.

Some of vLLM's flags have an effect in the CPU fallback. The CPU fallback accepts and ignores all other flags of vLLM,
except TLS flags.
"""

import argparse
import difflib
import os
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import NoReturn

from rl_router_model.address import read_host
from rl_router_model.problem import ExitCode

_FLAG = re.compile(r"(?P<name>--?[A-Za-z][^\s=]*)(?P<value>(=.*)?)", re.DOTALL)
"""Matches a flag of the command line. A negative number, JSON or a text with a space before any `=` is a value and not
a flag, even if the value begins with a dash."""
_TYPO = 0.81
"""The minimum similarity at which an unknown flag counts as a typo of a known flag. Among the flags of vLLM 0.32 that
the CPU fallback does not know, `--max-num-active-seqs` is the most similar to a known flag, with a similarity of
0.80."""
POLICY, LANGUAGE_MODEL = "policy", "language-model"
"""What decides: the values of the flag `--decide`."""
_DEFAULT_LENGTH = 4096
_PROTECTS = "--ssl-"
"""The prefix of the names of TLS flags. A server that ignored an unsupported TLS flag could admit clients that the
server must reject."""

_DESCRIPTION = """\
By default, a learned policy answers requests for routing decisions. llama.cpp answers all other requests with a
GGUF model on the CPU. The server runs until SIGTERM or Ctrl-C. Most of its flags have the names of vLLM's flags."""
_EPILOG = """\
The server accepts and ignores all flags of vLLM that this help does not list, except flags that begin with --ssl-.
The server lists the ignored flags in one line when the server starts.

exit codes:
  0   after SIGTERM or Ctrl-C
{codes}

example:
  python -m rl_router_model --model hf://org/name/file.gguf --served-model-name router"""


@dataclass(frozen=True)
class Options:
    """The parsed command line.

    The attribute `max_model_len` is the maximum number of tokens of a request. The attribute `slots` is the maximum
    number of concurrent requests. The attribute `ignored` contains the names of the flags without effect, but not the
    values of these flags, because a value can be a secret.
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
    decide: str
    artefact: str
    ignored: tuple[str, ...]

    @property
    def loads_later(self) -> bool:
        """Whether the language model is loaded only when a request needs it.

        The language model is loaded at the start if it makes the decisions, or if the user chose a model, a chat
        template or a `max_model_len` above the default, so that errors appear at the start.
        """
        is_default = self.model is None and self.chat_template is None and self.max_model_len <= _DEFAULT_LENGTH
        return self.decide == POLICY and is_default


def parse(arguments: Sequence[str]) -> Options:
    """Returns the parsed command line. Exits with 2 if the command line is invalid, and with 0 after --help."""
    parser = _parser()
    accepted, ignored = _split(arguments, parser._option_string_actions)
    for name in ignored:
        _refuse_unsafe(name, parser)
    parsed = parser.parse_args(accepted)
    if parsed.ssl_keyfile and not parsed.ssl_certfile:
        parser.error("--ssl-keyfile requires --ssl-certfile. Add --ssl-certfile")
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
        decide=parsed.decide,
        artefact=parsed.artefact,
        ignored=tuple(dict.fromkeys(ignored)),
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.COMMAND_LINE, f"error: {message} (--help lists the flags)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m rl_router_model",
        usage="%(prog)s [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG.format(codes="\n".join(f"  {code:<3d} {code.means}" for code in ExitCode)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_decisions(parser)
    _add_model(parser)
    _add_server(parser)
    return parser


def _add_decisions(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--decide",
        choices=(POLICY, LANGUAGE_MODEL),
        default=POLICY,
        metavar=f"{POLICY}|{LANGUAGE_MODEL}",
        help="what answers requests for routing decisions: the learned policy, or the language model (default: "
        "%(default)s). The language model answers all other requests",
    )
    add(
        "--artefact",
        default="bundled",
        metavar="FOLDER",
        help="folder with the artefact of the learned policy, or with several artefacts, of which the newest is used. "
        "The server reads a newer artefact without a restart (default: the bundled artefact)",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--model",
        help="model weights: a GGUF file, a folder with a GGUF file, or hf://org/name[@revision]/file.gguf, which "
        "is downloaded (default: the bundled SmolLM2-135M-Instruct)",
    )
    add(
        "--served-model-name",
        nargs="+",
        default=[],
        metavar="NAME",
        help="model names that clients may use (default: the file's name without suffix and quantization)",
    )
    add(
        "--max-model-len",
        type=_positive,
        default=_DEFAULT_LENGTH,
        metavar="TOKENS",
        help="maximum number of tokens of a request, prompt plus completion (default: %(default)s)",
    )
    add(
        "--max-num-seqs",
        type=_positive,
        default=3,
        metavar="N",
        help="maximum number of concurrent requests to the language model (default: %(default)s); further requests "
        "wait until another request finishes",
    )
    add(
        "--chat-template",
        help="chat template, as a file or as text (default: the Hermes template for the bundled "
        "model, and the model's own template for all other models)",
    )


def _add_server(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--host",
        type=read_host,
        default="127.0.0.1",
        help="address to listen on (default: %(default)s). 0.0.0.0 means all IPv4 addresses, and :: means all IPv4 and "
        "IPv6 addresses",
    )
    add("--port", type=_port, default=8000, help="port to listen on, or 0 for any free port (default: %(default)s)")
    add(
        "--api-key",
        nargs="+",
        metavar="KEY",
        help="API keys; every endpoint except /health requires one of the keys (default: $VLLM_API_KEY, or no key)",
    )
    add("--root-path", default="", metavar="PREFIX", help="prefix that a proxy adds to the paths of requests")
    add("--ssl-certfile", metavar="FILE", help="file with the TLS certificate; if set, the server uses HTTPS")
    add("--ssl-keyfile", metavar="FILE", help="file with the certificate's private key (default: the certificate file)")


def _split(arguments: Sequence[str], known: Container[str]) -> tuple[list[str], list[str]]:
    """Returns the known flags with their values, and the names of the unknown flags.

    There are no positional arguments, so every argument that is not a flag is a value of the preceding flag.
    """
    accepted: list[str] = []
    ignored: list[str] = []
    applies = True
    for argument in arguments:
        if flag := _FLAG.fullmatch(argument):
            # vLLM also accepts underscores in the name of a flag, such as --max_model_len.
            name = flag["name"].replace("_", "-")
            argument = name + flag["value"]
            applies = name in known
            if not applies:
                ignored.append(name)
        if applies:
            accepted.append(argument)
    return accepted, ignored


def _refuse_unsafe(name: str, parser: argparse.ArgumentParser) -> None:
    """Exits with 2 if the unknown flag resembles a known flag, or is a TLS flag."""
    if matches := difflib.get_close_matches(name, parser._option_string_actions, n=1, cutoff=_TYPO):
        parser.error(f"unknown flag {name}, did you mean {matches[0]}?")
    if name.startswith(_PROTECTS):
        parser.error(f"{name} is not supported: the only TLS flags are --ssl-certfile and --ssl-keyfile. Remove {name}")


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: use a number from 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number: use a number such as 2")
    return int(text)
