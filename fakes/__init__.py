"""Provides fakes for tests and benchmarks, for example fake upstreams and a Kubernetes cluster without nodes."""
