"""What every process of RL Router does with its surroundings: standard streams, output and signals.

The package imports only the standard library, because `host.sh` runs it with the system's Python.
"""
