"""HTTP/1.1 for an ASGI application: a protocol for uvicorn's server that bounds slow and endless clients.

Imports the standard library and httptools alone.
"""
