"""What the name of a model says about the model: the number of parameters."""

from __future__ import annotations

import re
from functools import lru_cache

from .profile import Profile

_SIZES = {
    "command-r": 35.0,
    "command-r-plus": 104.0,
    "c4ai-command-r-v01": 35.0,
    "c4ai-command-r-plus": 104.0,
    "deepseek-coder-v2": 236.0,
    "deepseek-v2.5": 236.0,
    "deepseek-v3": 671.0,
    "deepseek-r1": 671.0,
    "jamba-1.5-large": 398.0,
    "mistral-large-2": 123.0,
    "mistral-nemo-instruct-2407": 12.0,
    "mixtral-8x7b-v0.1": 47.0,
    "mixtral-8x7b-instruct-v0.1": 47.0,
    "mixtral-8x22b-instruct-v0.1": 141.0,
    "phi-3-mini-4k-instruct": 3.8,
    "phi-3.5-mini-instruct": 3.8,
}
"""The numbers of parameters, in billions, of open models whose names do not contain the number."""
_IN_NAME = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)b(?![a-z])")


@lru_cache(maxsize=1024)
def parameters_of(name: str) -> float | None:
    """Returns the number of parameters of the model `name` in billions, or None if it is unknown.

    Most names of open models contain the number, such as `Qwen/Qwen2.5-72B-Instruct`.
    """
    short = name.rpartition("/")[2].lower()
    if short in _SIZES:
        return _SIZES[short]
    match = _IN_NAME.search(short)
    return float(match[1]) if match else None


def profile_of_name(name: str) -> Profile | None:
    """Returns the profile of the model `name`, or None if nothing is known of the model."""
    size = parameters_of(name)
    return None if size is None else Profile(parameters=size)
