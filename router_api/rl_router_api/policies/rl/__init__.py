"""The policy `rl`: decides with the router model, a language model that reinforcement learning trained to route."""

from .policy import create

__all__ = ["create"]
