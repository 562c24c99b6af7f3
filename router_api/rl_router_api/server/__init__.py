"""The HTTP endpoints, the ASGI application and the worker processes."""
