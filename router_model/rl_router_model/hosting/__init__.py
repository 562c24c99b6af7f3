"""Hosts the router model on this machine with an engine, which is either vLLM or llama.cpp.

In a clone, the system's Python runs this package before the virtual environment `.venv` exists. Therefore this package
and the modules of RL Router that it imports require only Python's standard library.
"""
