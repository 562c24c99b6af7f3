"""Lets the router model decide, a language model that was trained by reinforcement learning to route."""

from .policy import create

__all__ = ["create"]
