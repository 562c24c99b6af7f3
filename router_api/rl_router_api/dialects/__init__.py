"""Dialects convert requests and answers between an API format and the internal format of the router API."""
