"""The command `rl-router`.

The package imports the module of a command only when the command runs. All other imports are modules of the standard
library and of `rl_router_process`.
"""
