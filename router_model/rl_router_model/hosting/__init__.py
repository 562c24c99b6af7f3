"""Hosts the router model on this machine with an engine, which is either vLLM or llama.cpp.

This package imports only Python's standard library, because the system's Python runs the package before the virtual
environment `.venv` exists.
"""
