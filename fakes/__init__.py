"""Fakes that the tests and benchmarks share: a Kubernetes cluster without nodes, and upstreams of the router API."""
