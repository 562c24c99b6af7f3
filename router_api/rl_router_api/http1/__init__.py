"""HTTP/1.1 towards clients, below the ASGI application."""
