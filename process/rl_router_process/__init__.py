"""The code with which every process of RL Router opens its standard streams and writes its output.

The package imports only the standard library, because `host.sh` runs the package with a Python from the PATH,
which may have no other packages.
"""
