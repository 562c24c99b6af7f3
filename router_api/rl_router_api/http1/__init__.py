"""HTTP/1.1 for an ASGI application: a connection handler for uvicorn's server that limits slow and endless clients.

Imports only the standard library and httptools.
"""
