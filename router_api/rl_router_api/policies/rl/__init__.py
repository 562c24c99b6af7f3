"""The policy `rl`, which lets the router model choose the targets.

The name `rl` stands for reinforcement learning, the method by which a router model is meant to be trained.
"""

from .policy import create

__all__ = ["create"]
