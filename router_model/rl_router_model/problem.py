"""What keeps the server from starting."""


class StartError(Exception):
    """What is wrong and how to mend it, in one line."""
