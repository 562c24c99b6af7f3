"""Outcomes of synthetic models whose probabilities of a good answer are known."""
