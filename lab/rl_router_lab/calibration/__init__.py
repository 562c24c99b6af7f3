"""Asks all targets of a configuration the same prompts within a budget, and grades the answers."""
