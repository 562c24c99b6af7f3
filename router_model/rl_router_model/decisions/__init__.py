"""Answers the requests that ask for a routing decision by the learned policy, without the language model."""
