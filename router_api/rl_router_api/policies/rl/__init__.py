"""The policy `rl`, which lets the router model choose the targets.

The name `rl` comes from the name RL Router, in which RL stands for reinforcement learning.
"""

from .policy import create

__all__ = ["create"]
