"""Generates the CRD and the CRD's reference page in the documentation from the schema."""
