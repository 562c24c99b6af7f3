"""Implements the command `serve`, which serves the router API until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from rl_router_process.output import STDERR

from ..accounting.log import set_up
from ..config import Configuration
from ..errors import SetupError
from ..health import ExitCode
from ..runtime import settings
from ..runtime.active_configuration import check_keys
from ..runtime.default_policy import policy_without_router_model
from ..runtime.source import Source
from ..server.listen import address, listen
from ..server.start_errors import report
from ..server.supervisor import serve
from ..upstreams.upstream import without_credentials
from ..version import __version__
from .parser import CommandParser, exit_codes

_SHORT_FLAGS = {
    "router_model": "router.model",
    "max_turns": "routing.max_turns",
    "serve_port": "server.port",
    "host": "server.host",
    "workers": "server.workers",
    "log_level": "server.log_level",
}
_BY_FALLBACK = "uses the fallback order of the configured targets, if any,"
_WITHOUT_ROUTER_MODEL = ("fixed", "learned")
"""The built-in policies that never call the router model."""
_HOST_HELP = """\
address to listen on (default: 127.0.0.1). 0.0.0.0 means all IPv4 addresses, and :: means all IPv4 and IPv6 addresses"""
_DESCRIPTION = """\
Serves the router API: one OpenAI-compatible endpoint in front of many models. The default policy calls the router
model, which `rl-router model` starts. If targets are configured, but no router model is configured or found, the
default policy predicts the quality and the cost of the targets' answers. If no targets are configured, every model with
a valid name that the router model's server lists is a target."""
_EPILOG = """\
Flags override environment variables, environment variables override the file, and the file overrides the defaults.
docs/configuration.md explains every field. The command `rl-router check FILE` checks a configuration file and starts no
server. Ctrl-C stops the server. When the server stops, in-flight requests have 30 s to finish. After SIGTERM, the
server accepts connections for 5 more seconds, so that load balancers can remove the server.

exit codes:
  0   after SIGTERM or Ctrl-C stopped the running server
{codes}
  130 after Ctrl-C while waiting for the router model

examples:
  {prog} --config router.yaml
  {prog} --serve-port 8080 --routing.prefer cost
  RL_ROUTER_ROUTING__MAX_COST=0.05 {prog}"""


def main(arguments: Sequence[str], prog: str) -> int:
    """Serves the router API until SIGTERM or Ctrl-C. Returns the exit code.

    The exit code is 0 after a normal stop, a value of the enum `ExitCode` if the server cannot start, or 130 after
    Ctrl-C while the command waits for the router model.
    """
    parsed = _parser(prog).parse_args(arguments)
    # The server ignores SIGHUP, so that the server continues after the terminal was closed. Workers inherit this
    # setting.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    source = Source.from_environment(parsed.config, settings.LAYER.chosen_flags(parsed) | _short_flags(parsed))
    try:
        loaded = source.start()
        configuration = loaded.configuration
        check_keys(configuration)
        sockets = listen(configuration.server)
    except SetupError as error:
        return report(error)
    try:
        if configuration.routing.policy not in _WITHOUT_ROUTER_MODEL:
            _wait_for_router_model(configuration, parsed.wait)
    except KeyboardInterrupt:
        return 130
    # The supervisor of several workers writes to the log too.
    set_up(configuration.server.log_level)
    _announce(configuration)
    serve(source, loaded, sockets)
    return 0


def _parser(prog: str) -> CommandParser:
    parser = CommandParser(prog, "[options]", _DESCRIPTION, _EPILOG.format(prog=prog, codes=exit_codes(*ExitCode)))
    add = parser.add_argument
    add("--config", metavar="FILE", help="the YAML configuration file (default: $RL_ROUTER_CONFIG)")
    add(
        "--router-model",
        metavar="NAME",
        help="name of the router model (default: the first model that the router model's server lists)",
    )
    add("--max-turns", metavar="N", type=int, help="maximum number of decisions per request (default: 3)")
    add("--hosted-port", metavar="PORT", type=int, help="port of the router model on this machine (default: 8000)")
    add("--serve-port", metavar="PORT", type=int, help="port to serve the API on (default: 8800)")
    add("--host", metavar="ADDRESS", help=_HOST_HELP)
    add("--workers", metavar="N", type=int, help="number of worker processes (default: 1)")
    add("--log-level", metavar="LEVEL", help="minimum log level: debug, info, warning or error (default: info)")
    add(
        "--wait",
        metavar="SECONDS",
        type=float,
        default=0,
        help="maximum number of seconds to wait for the router model before the server starts (default: 0)",
    )
    add("--version", action="version", version=__version__)
    settings.LAYER.add_flags(parser.add_argument_group("configuration fields (write lists and objects as YAML)"))
    return parser


def _short_flags(parsed: argparse.Namespace) -> dict[str, Any]:
    flags = {field: getattr(parsed, name) for name, field in _SHORT_FLAGS.items() if getattr(parsed, name) is not None}
    if parsed.hosted_port is not None:
        flags["router.base_url"] = f"http://127.0.0.1:{parsed.hosted_port}/v1"
    return flags


def _wait_for_router_model(configuration: Configuration, seconds: float) -> None:
    """Waits until the router model's server answers without a server error, but at most about `seconds` seconds.

    Prints a line if the function must wait, and a warning if the server has not answered in time. If `seconds` is 0,
    the function does nothing.
    """
    url, shown = f"{configuration.router.base_url}/models", without_credentials(configuration.router.base_url)
    end = time.monotonic() + seconds
    waited = False
    while seconds > 0 and not _answers(url):
        if time.monotonic() >= end:
            learned = policy_without_router_model(configuration) == "learned"
            decides = "decides by the policy `learned`" if learned else _BY_FALLBACK
            STDERR.say(
                f"warning: the router model at {shown} did not answer within {seconds:.0f} s. The server starts anyway "
                f"and {decides} until the router model answers. "
                "Start the router model with `rl-router model` or `bash host.sh`, or correct router.base_url"
            )
            return
        if not waited:
            STDERR.say(f"Waiting for the router model at {shown} …")
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
    STDERR.say(f"RL Router {__version__} on http://{where}/v1 (Ctrl-C stops the server)")
