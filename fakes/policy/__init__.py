"""Small artefacts, evidence and requests for tests of the learned policy."""
