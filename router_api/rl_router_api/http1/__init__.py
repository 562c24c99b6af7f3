"""An HTTP/1.1 connection handler for uvicorn's server, with timeouts and size limits against slow and endless requests.

This package imports only the standard library and httptools.
"""
