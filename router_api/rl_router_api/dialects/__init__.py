"""Dialects: wire formats of requests and answers, converted to the internal request and answer and back."""
