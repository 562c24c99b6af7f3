"""RL Router's data plane: an OpenAI-compatible API that lets a router model choose who answers."""
