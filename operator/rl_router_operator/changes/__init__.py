"""Computes the actions that bring live objects to their desired state. The package sends no requests."""
