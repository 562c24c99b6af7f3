"""The command `rl-router`.

The package imports the module of a command only when the command runs. Otherwise, the package imports only the standard
library, the package `rl_router_process` and, for the option `--version`, the module `rl_router_api.version`.
"""
