"""Helps tests and benchmarks with a Kubernetes cluster without nodes, fake upstreams, and testbeds of real routers."""
