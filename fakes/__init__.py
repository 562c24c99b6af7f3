"""Fakes for tests and benchmarks: a Kubernetes cluster without nodes, upstreams, and testbeds that run real routers."""
