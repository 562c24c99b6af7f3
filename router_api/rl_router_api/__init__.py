"""The router API: an OpenAI-compatible API in which a router model chooses the target models that answer."""
