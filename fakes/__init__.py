"""Contains fakes for tests and benchmarks: a Kubernetes cluster without nodes, upstreams, and test routers."""
