"""The command `rl-router`.

The package imports the module of a command only when the command runs. Apart from the modules of commands, the package
imports only the standard library and the package `rl_router_process`.
"""
