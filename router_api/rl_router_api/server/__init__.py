"""The HTTP server of the router API: its endpoints, ASGI application and worker processes."""
