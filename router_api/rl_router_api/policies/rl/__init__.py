"""Asks the router model, a language model trained by reinforcement learning to route, for each decision."""

from .policy import create

__all__ = ["create"]
