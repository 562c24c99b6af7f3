"""What one RouterDeployment is turned into: pure functions from its spec to manifests, one file a kind."""
