"""The policy `rl`, which lets the router model choose the targets.

The router model is a language model that was trained to route requests, by reinforcement learning.
"""

from .policy import create

__all__ = ["create"]
