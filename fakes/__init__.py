"""Contains the fakes of tests and benchmarks: a Kubernetes cluster without nodes, upstreams, and test routers."""
