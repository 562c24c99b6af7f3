"""Dialects convert between wire formats and the internal format of requests and answers."""
