"""The policy `rl`, which lets the router model choose the targets.

The router model is a language model that was trained by reinforcement learning to route requests.
"""

from .policy import create

__all__ = ["create"]
