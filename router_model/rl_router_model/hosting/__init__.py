"""Hosts the router model on this machine: chooses the engine, starts it, and waits until it answers.

It imports only the standard library, because it runs under the system's Python before any environment exists.
"""
