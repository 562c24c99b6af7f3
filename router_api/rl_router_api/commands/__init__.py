"""Implements the commands of the router API.

Each module of a command has a function `main`, which runs the command and returns the exit code of the command.
"""
