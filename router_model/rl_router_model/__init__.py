"""The CPU fallback of the router model: llama.cpp behind vLLM's flag names."""
