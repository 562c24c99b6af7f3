"""Computes the actions that bring live objects to their desired state, without sending requests."""
