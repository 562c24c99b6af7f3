"""Defines the version of RL Router. No other file defines the version."""

__version__ = "0.1.0"
