"""An HTTP/1.1 connection handler for uvicorn's server, with timeouts for slow clients and limits on headers.

This package imports only the standard library and httptools.
"""
