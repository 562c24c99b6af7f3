"""Kubernetes objects as plain values: kinds, names, manifests, quantities, and observed state."""
