"""The CPU fallback: serves the router model with llama.cpp, and accepts vLLM's flags."""
