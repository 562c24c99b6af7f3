"""The modules that send requests to the API server."""
