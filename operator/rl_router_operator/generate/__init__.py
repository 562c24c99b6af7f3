"""Writes what follows from the schema: the CRD, its reference in the docs and the chart's part of it."""
