"""Contains the modules that describe Kubernetes objects as plain values, such as kinds, names and manifests."""
