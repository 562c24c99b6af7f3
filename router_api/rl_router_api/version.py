"""Defines the version of RL Router. No other file defines the version of RL Router."""

__version__ = "0.1.0"
