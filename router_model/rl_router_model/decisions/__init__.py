"""Answers requests for routing decisions with the learned policy instead of the language model."""
