"""The CPU fallback is a server that runs llama.cpp on a CPU and accepts most of vLLM's flags."""
