"""The router API: an OpenAI-compatible API in which a policy chooses the target models that answer."""
