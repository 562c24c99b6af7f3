"""Trains a policy on a table of outcomes."""
