"""The command line: `python -m rl_router_api` serves."""

from __future__ import annotations

import argparse
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, NoReturn

from .access.keys import new_key
from .config import Configuration
from .errors import SetupError
from .health import ExitCode
from .runtime import settings
from .runtime.active_configuration import check_keys
from .runtime.source import Source
from .server.listen import address, listen
from .server.start_errors import report
from .server.supervisor import serve
from .upstreams.upstream import without_credentials
from .version import __version__

_SHORT_FLAGS = {
    "router_model": "router.model",
    "max_turns": "routing.max_turns",
    "serve_port": "server.port",
    "host": "server.host",
    "workers": "server.workers",
    "log_level": "server.log_level",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is told to stop. Returns 0, an `ExitCode` if the server cannot start, or 130 after Ctrl-C."""
    told = sys.argv[1:] if arguments is None else arguments
    if told[:1] == ["new-key"]:
        return _new_key(_new_key_parser().parse_args(told[1:]).name)
    given = _parser().parse_args(told)
    source = Source.from_environment(given.config, settings.LAYER.chosen_flags(given) | _short_flags(given))
    try:
        loaded = source.start()
        configuration = loaded.configuration
        check_keys(configuration)
        sockets = listen(configuration.server)
    except SetupError as error:
        return report(error)
    try:
        _wait_for_router_model(configuration, given.wait)
    except KeyboardInterrupt:
        return 130
    _announce(configuration)
    serve(source, loaded, sockets)
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, without argparse's usage of fifty flags before it."""
        print(f"error: {message} (--help lists what there is)", file=sys.stderr)
        sys.exit(ExitCode.CONFIGURATION)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m rl_router_api",
        description="The router API: one OpenAI-compatible endpoint in front of many models.",
        epilog="Flags go before the environment (RL_ROUTER_ROUTING__MAX_TURNS), and that before the file. "
        "`new-key NAME` instead of flags prints a new API key and its entry for the keys file. "
        f"Exit codes of a server that cannot start: {'; '.join(f'{code:d} {code.means}' for code in ExitCode)}.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="a YAML file; default: what RL_ROUTER_CONFIG names")
    parser.add_argument("--router-model", metavar="NAME", help="the router model; default: the first its server lists")
    parser.add_argument("--max-turns", metavar="N", type=int, help="decisions a request may take; default 3")
    parser.add_argument("--hosted-port", metavar="PORT", type=int, help="the router model's port here; default 8000")
    parser.add_argument("--serve-port", metavar="PORT", type=int, help="where to serve; default 8800")
    parser.add_argument("--host", metavar="ADDRESS", help="the address to serve at; default 127.0.0.1")
    parser.add_argument("--workers", metavar="N", type=int, help="processes; default 1")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error; default info")
    parser.add_argument("--wait", metavar="SECONDS", type=float, default=0, help="for the router model; default 0")
    parser.add_argument("--version", action="version", version=__version__)
    settings.LAYER.add_flags(parser.add_argument_group("every field of the configuration; lists and objects as YAML"))
    return parser


def _new_key_parser() -> argparse.ArgumentParser:
    # No subcommand of the other's: argparse would take an unknown flag's value for its name, and blame that.
    parser = _Parser(prog="python -m rl_router_api new-key", description="Prints a new API key and its entry.")
    parser.add_argument("name", metavar="NAME", help="who the key is for")
    return parser


def _short_flags(given: argparse.Namespace) -> dict[str, Any]:
    flags = {field: getattr(given, name) for name, field in _SHORT_FLAGS.items() if getattr(given, name) is not None}
    if given.hosted_port is not None:
        flags["router.base_url"] = f"http://127.0.0.1:{given.hosted_port}/v1"
    return flags


def _wait_for_router_model(configuration: Configuration, seconds: float) -> None:
    """Waits until the router model's server answers, and says so; after `seconds` goes on all the same."""
    url, shown = f"{configuration.router.base_url}/models", without_credentials(configuration.router.base_url)
    end = time.monotonic() + seconds
    waited = False
    while seconds > 0 and not _answers(url):
        if time.monotonic() >= end:
            print(
                f"warning: no router model at {shown} after {seconds:.0f} s; starting anyway, "
                "requests go to the fallback order until it is there (bash host.sh)",
                file=sys.stderr,
            )
            return
        if not waited:
            print(f"Waiting for the router model at {shown} …", file=sys.stderr, flush=True)
        waited = True
        time.sleep(min(0.5, max(end - time.monotonic(), 0.01)))


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False


def _announce(configuration: Configuration) -> None:
    where = address(configuration.server.host, configuration.server.port)
    print(f"RL Router {__version__} on http://{where}/v1 (Ctrl-C stops it)", file=sys.stderr, flush=True)


def _new_key(name: str) -> int:
    """Prints a key, which is shown this once, and its entry for the keys file."""
    key, entry = new_key(name)
    print(f"The key, shown this once: {key}\n\nIts entry for server.api_keys_file:\n{entry}", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
