"""Implements the commands of the router API.

The module of each command has a function `main`, which runs the command and returns the exit code of the command.
"""
