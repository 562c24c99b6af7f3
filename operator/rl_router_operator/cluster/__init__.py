"""Contains the modules that send requests to the Kubernetes API server."""
