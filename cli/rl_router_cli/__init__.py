"""The command `rl-router`.

It imports the module of a command only when the command runs, and otherwise only the standard library.
"""
