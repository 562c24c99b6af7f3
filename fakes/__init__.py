"""What tests and benchmarks share: a Kubernetes cluster without nodes, upstreams, and testbeds that run real routers."""
