"""Measures policies that are trained on public tables: `make lab-bench`."""
