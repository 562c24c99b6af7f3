"""Measures what training learns from public tables: `make lab-bench`."""
