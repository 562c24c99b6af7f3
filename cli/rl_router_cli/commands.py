"""Defines the commands of `rl-router`. To add a command to `rl-router`, add a row to the constant `COMMANDS`."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command of `rl-router` with the command's line in the help text.

    The field `operands` names the required arguments. The field `module` names a Python module, which is imported when
    the command runs. The module of a command has a function `main(arguments, prog)` that runs the command and returns
    the exit code. The field `extra` is the optional dependency group that the module requires, or an empty text.
    """

    name: str
    operands: str
    help: str
    module: str
    extra: str = ""


COMMANDS = (
    Command("serve", "", "serve the router API (default port: 8800)", "rl_router_api.commands.serve", "api"),
    Command(
        "model", "", "host the router model on GPUs or a CPU (default port: 8000)", "rl_router_model.hosting.command"
    ),
    Command("operator", "", "run the Kubernetes operator", "rl_router_operator.__main__", "operator"),
    Command("lab", "COMMAND", "train and evaluate the learned policy", "rl_router_lab.__main__", "lab"),
    Command("new-key", "NAME", "print a new API key for a client", "rl_router_api.commands.new_key"),
    Command("check", "CONFIG", "check a configuration file", "rl_router_api.commands.check", "api"),
)

MODULES_OF_EXTRA: Mapping[str, frozenset[str]] = {
    "api": frozenset({"aiohappyeyeballs", "fastapi", "httptools", "msgspec", "prometheus_client", "uvicorn", "uvloop"}),
    "lab": frozenset({"jax", "jsonschema_rs", "matplotlib", "numpy", "optax", "polars", "safetensors"}),
    "operator": frozenset({"aiohttp", "kubernetes", "prometheus_client"}),
}
"""The modules of each optional dependency group that the field `extra` of a command names. A test compares these
modules with pyproject.toml."""
