"""The errors of the lab. Each message is one line that says what is wrong and how to fix it."""


class LabError(Exception):
    """An input of the lab is wrong, or a Python package that the lab needs is missing."""
