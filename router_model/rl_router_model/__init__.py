"""The CPU fallback is a server that runs the router model with llama.cpp on a CPU and accepts most of vLLM's flags."""
