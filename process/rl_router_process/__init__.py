"""The code with which the processes of RL Router open closed standard streams and write their output.

The package imports only the standard library, because `host.sh` runs the package with a Python from the PATH,
which may have no other packages.
"""
