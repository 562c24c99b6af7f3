"""The errors of the lab. Each message is one line that names the file, the row and the remedy."""


class LabError(Exception):
    """An input of the lab is wrong, or the lab cannot do what was asked."""
