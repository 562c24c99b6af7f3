"""Generates files from the schema: the CRD and its reference in the docs."""
