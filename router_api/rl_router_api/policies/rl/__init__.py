"""The policy `rl`, which decides with the router model: a language model trained to route by reinforcement learning."""

from .policy import create

__all__ = ["create"]
