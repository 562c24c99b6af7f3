"""Hosts the router model on this machine with an engine, which is either vLLM or llama.cpp.

The system's Python runs this package before the virtual environment `.venv` exists. Therefore this package and the
modules that it imports use only Python's standard library.
"""
