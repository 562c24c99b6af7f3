"""Hosts the router model on this machine: chooses the engine, starts it, and waits until it answers.

The package imports only the standard library, because it runs under the system's Python before `.venv` exists.
"""
