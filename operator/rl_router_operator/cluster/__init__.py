"""Contains the modules that access the Kubernetes API server, and the store of the watched objects."""
