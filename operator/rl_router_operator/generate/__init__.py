"""Generates files from the schema: the CRD, its reference in the docs, and the chart's copy."""
